// Who takes part in a barrier, and what is to be written next. Pure.
//
// The barrier's folder holds the state as its data, and for each member up to two nodes. A member's name is
// <id>@<members>#<number>: the id that it chose, how many members it wants, and a number, by which they are in line:
// one more than all that it saw when it arrived. Of two who arrived together the ids say who is first. (Should an id
// come twice, the one that came first counts.)
//
//   here-<name>   ephemeral: it has arrived, and its session lives
//   left-<name>   persistent: it has left in good order
//
// The state goes to and fro, each step a transaction that checks the version of the folder's data:
//
//   forming --open--> open --end--> forming, or, if enough are waiting, open
//                      |  |
//                      +--+ crash, any number of times
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace zk {

struct Member {
  std::string id;
  int members = 0;
  std::int32_t number = 0;
  std::string name;  // all of it

  bool operator==(const Member&) const = default;

  /// nullopt for what is not a member's name.
  static std::optional<Member> parse(const std::string& name);
};

std::string here_node(const std::string& name);
std::string left_node(const std::string& name);

/// The data of the barrier's folder.
struct BarrierState {
  enum class Phase {
    forming,  // members arrive; nobody is inside
    open,     // those of the roster are inside, or have left
  };

  int members = 0;              // how many a generation has
  std::int64_t generation = 0;  // that is open or, when forming, the last that was
  Phase phase = Phase::forming;
  std::vector<Member> roster{};        // by their ids: a member's place is its rank. Empty when forming
  std::vector<std::string> crashed{};  // ids of those in the roster who died inside

  /// Generations that have ended, and who died in them, for members that are slow to look: the newest. None up to
  /// `forgotten` is known any more.
  struct Broken {
    std::int64_t generation = 0;
    std::vector<std::string> crashed{};
    bool operator==(const Broken&) const = default;
  };
  std::vector<Broken> broken{};
  std::int64_t forgotten = 0;

  bool operator==(const BarrierState&) const = default;

  bool has(const std::string& name) const;  // in the roster

  std::string json() const;
  static std::optional<BarrierState> parse(const std::string& data);
};

/// What the folder's children say.
struct Attendance {
  std::vector<Member> here{};        // in the order in which they came
  std::vector<Member> duplicates{};  // those who came later under an id that is here
  std::set<std::string> nodes{};     // all children
  static Attendance of(const std::vector<std::string>& children);
};

/// What somebody wants who looks.
enum class Wish {
  take_part,  // be in a roster
  look,       // nothing for itself: it is inside, has left, or is no member
  leave,      // be counted as one who has left
  withdraw,   // not be in a roster, and go
};

/// What is to be written now, in one transaction on condition that the state is the one that was looked at. Each of
/// them may be found by anybody, and is written once.
struct Step {
  enum class Kind { none, open, crash, leave, end, withdraw } kind = Kind::none;
  BarrierState state{};                         // from now on
  std::vector<std::string> exist{};             // nodes that must be there still
  std::vector<std::string> create{}, remove{};  // nodes
};

/// Decides for the member `mine` (or for one who is none), from one reading of the state and a later one of the
/// children.
///
///  - open: N members are here that want to be N. The roster are the first N in line; the same for everybody.
///  - crash: a member is not here any more and has not left.
///  - end: all of the roster have left or died. If enough wait, the next generation opens in the same step.
Step next_step(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish);

/// What somebody is to be called who arrives now: like nobody who is here or in the roster.
Member newcomer(const BarrierState& state, const Attendance& seen, const std::string& id, int members);

/// The same, with somebody more.
Attendance joined_by(Attendance seen, const Member& member);

/// Whose end a member watches: that of the one before it in line; the first watches the last. So the end of each is
/// seen by somebody who lives, if anybody does, and by one only. Empty if nobody else is here.
std::string neighbour_of(const Attendance& seen, const std::string& mine);

/// Who died in the generation that has ended, if that is known still.
std::optional<std::vector<std::string>> crashed_in(const BarrierState& state, std::int64_t generation);

}  // namespace zk
