// Dining philosophers: seats in a ring, a fork between each two, and both forks needed to eat. One process a seat.
//
// Guarantees, whatever the rule: a seat is taken once. A fork is held by one at a time, and its holders' tokens rise;
// so two neighbours never eat at once, if each stops when its lease ends (Session::guard, with the forks). Who dies or
// leaves lays down its forks with its session, and holds nobody back after that.
//
//  - fair: takes both forks in one transaction, if it is not ahead of a living neighbour (seat.h). No deadlock; nobody
//    starves as long as all stop eating some time; neighbours' meals, since both sit there, differ by one at most.
//  - ordered: takes the fork with the lower number first (Dijkstra). No deadlock; a quick neighbour may eat more often.
//  - table: takes the lock of the whole table, waits until both forks are there, takes them, and lets go of the table.
//    No deadlock, first come first served; nobody else may as much as try meanwhile.
//  - naive: takes the left fork, then the right one. When all hold their left one, nobody goes on.
//
// Cost of a meal: two writes with `fair` (take, put down), and a read for each change of a neighbour while one is
// hungry. With `ordered` and `naive` one more for the second fork and one for each fork waited for, with `table` two
// more for the lock. Nothing polls.
//
// Source: Dijkstra, "Hierarchical Ordering of Sequential Processes", Acta Informatica 1, 1971 (the problem, and
// `ordered`); `fair` is the rule "not ahead of a neighbour" of the classic lab, with living neighbours only.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "seat.h"
#include "session.h"
#include "until.h"

namespace zk {

struct TableState;

struct TableRequest {
  std::string path;  // the table's folder; created if missing, and deleted by the last who leaves
  int seat = 0, seats = 5;
  Rule rule = Rule::fair;
  std::string about;  // JSON, who we are: for others to see
};

class Diner {
 public:
  /// Sits down. Throws Refused if the seat is taken, or the others have another number of seats or another rule.
  static Diner sit(Session& session, const TableRequest& request, const Until& until);

  /// Blocks until all seats have been taken once, or `until` ends.
  void await_all(const Until& until);

  /// Is hungry; blocks until it holds both forks, or `until` ends: then it holds none. Answers the fencing token.
  std::int64_t take_forks(const Until& until);
  /// The meal is over, and the next one wanted at once or not.
  void put_forks(bool hungry_again, const Until& until);
  /// Leaves the table, and clears it if it is the last. Blocks until the server has confirmed it.
  void leave(const Until& until);

  /// The nodes to be guarded while we eat.
  std::vector<std::string> forks() const;
  std::int64_t meals() const { return state_.meals; }
  /// Of the last meal.
  const Meal& meal() const { return meal_; }

 private:
  // A neighbour as it was last seen.
  struct Neighbour {
    int seat;
    std::optional<SeatState> state{};  // nullopt: nobody sits there
    int version = 0;                   // of its node
    std::optional<Watch> change{};
  };

  using Changes = std::vector<std::optional<Watch>>;

  Diner(Session& session, const TableRequest& request) : session_(&session), request_(request) {}

  void sit_down(const Until& until);
  bool take_seat(const Node& folder, const TableState& table, const Until& until);
  void look(Neighbour& neighbour, const Until& until);
  Beside living(const Until& until);
  void take_fairly(const Until& until);
  void take_under_lock(const Until& until);
  void take_both(const Until& until);
  void take_in_order(const std::vector<int>& forks, const Until& until);
  SeatState hungry(std::optional<int> waits_for) const;
  SeatState holding(int fork) const;
  SeatState eating() const;
  bool write(SeatState next, std::vector<Operation> operations, const Until& until);
  std::vector<Operation> creating(const std::vector<int>& forks) const;
  std::vector<Operation> removing(const std::vector<int>& forks) const;
  bool watch_forks(const std::vector<int>& forks, Changes& changes, const Until& until);
  bool asked_to_put_down(Changes& changes, const Until& until);
  void wait(const Changes& changes, const Until& until);
  void lay_down(const Until& until);
  std::vector<int> both() const;
  std::string node(const std::string& name) const;

  Session* session_;
  TableRequest request_;
  std::vector<Neighbour> neighbours_;
  SeatState state_;         // as it was written last
  int version_ = 0;         // of our seat's node
  std::int64_t began_ = 0;  // the transaction that made it
  std::int64_t at_ = 0;     // the one that wrote it last
  Meal meal_;
};

/// Deletes what is left at a table at which nobody sits any more, and which no referee watches: then also the table.
/// Blocks until that is done or `until` ends.
void clear_table(Session& session, const std::string& path, const Until& until);

/// The data of the table's folder.
struct TableState {
  int seats = 0;
  Rule rule = Rule::fair;
  bool begun = false;  // all seats have been taken once

  std::string json() const;
  static std::optional<TableState> parse(const std::string& data);
};

std::string seat_node(int seat);
std::string fork_node(int fork);
/// Where one who leaves writes its last state, if a referee is there, who deletes it; by the seat and the transaction
/// that made the seat's node.
std::string record_node(int seat, std::int64_t began);
/// Made by a referee: ephemeral.
std::string referee_node(std::int64_t session);
/// Made by who wants the philosopher on that seat to put down what it holds, if it is waiting.
std::string request_node(int seat);
/// The seat that the name is of; nullopt if it is none.
std::optional<int> parse_seat(const std::string& name);
/// The seat and the transaction; nullopt if it is none.
std::optional<std::pair<int, std::int64_t>> parse_record(const std::string& name);

}  // namespace zk
