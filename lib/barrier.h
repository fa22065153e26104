// The double barrier: members start together, and it is over when all have left. It may be used again at once.
//
// Guarantees:
//  - All members of a generation see the same roster of exactly N, and a member is in no other. One generation at a
//    time is inside; who is not in its roster waits for the next, in the order of arrival.
//  - Nobody is counted whose session has ended, nor who has given up.
//  - A generation ends when every member has left, or has died inside; who died is told to all, by its id. A member
//    whose session has ended never counts as one who has left.
//  - Who gives up waiting has either entered after all, or is in no roster, then and later.
//
// Blocking: enter, until N members are here and the generation before has ended; await_end, until the last has left.
// Somebody killed holds the others up for the time of its session and no longer. Should it be counted in that time, the
// others are told as of one who died inside (will.h makes that time short).
//
// Cost, for each member of a generation, however many there are: 2 writes (it arrives, it leaves) and some 9 reads; one
// of the arrivals also opens, one of the leavings also ends it, or one write more does. Each watches the barrier's
// folder and one other member. See bench/README.md.
//
// Source: ZooKeeper Recipes, "Double Barriers", whose faults (reuse, ghosts, late comers, a crash taken for a leave)
// this does not have: the roster is decided in one transaction that checks all who are in it. The steps are pure
// (roster.h); the nodes are in docs/znodes.md.
//
// Proved for the algorithm by Spin (model/barrier.pml, `make model`), over all interleavings of reads, transactions,
// watches, crashes, ends of sessions and time-outs: agreement on the roster; nobody is counted whose session has ended
// or who has given up; an end only when all have left or died, and the dead are named; one generation at a time; nobody
// hangs. Bounds: 3 processes that come twice, N of 2 or 3, with a crash or the end of a session; 3 that come once, with
// two crashes and the end of a session; 2 that come twice, with two of each; 4 that come once, without. The model's
// head has them all, and what it leaves out: replies lost within a session, ids that come twice, nodes that others
// delete.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "roster.h"
#include "session.h"
#include "until.h"

namespace zk {

struct BarrierRequest {
  std::string path;   // the barrier's folder; created if missing
  int members = 2;    // of a generation; all must say the same
  std::string id;     // ours, among all that are here
  std::string about;  // JSON, who we are: for others to see
};

/// Told while somebody waits, after each look that brought news. May be empty.
using Looked = std::function<void(const BarrierState&, const Attendance&)>;

class Barrier {
 public:
  /// Blocks until we are inside, or `until` ends. May enter although `until` has ended, if that came first; else no
  /// node of ours remains, or none longer than the session. Throws TimedOut, Stopped, SessionLost; Refused if the
  /// others want another number of members, our id is there already, or there are too many for so long a path; Unknown
  /// if we gave up and the server did not say in time what came first.
  static Barrier enter(Session& session, const BarrierRequest& request, const Until& until, const Looked& looked = {});

  std::int64_t generation() const { return generation_; }
  const std::vector<Member>& roster() const { return roster_; }
  std::size_t rank() const;  // our place in it
  /// Our node, to be guarded while we are inside.
  std::string node() const;

  /// Blocks until somebody has died inside who was not told yet, and answers who. Throws SessionLost if it is us who
  /// are counted as dead. To be called by one thread at a time, as the others.
  std::vector<std::string> await_crash(const Until& until);

  /// Leaves: from now on we count as one who has done so. Blocks until the server has confirmed it. Throws SessionLost
  /// if we were not inside any more. After it, await the end or end the session: others rely on who is here to look
  /// after them.
  void leave(const Until& until);

  /// After leave. Blocks until all have left or died, or, unless `to_the_end`, until somebody has died. Answers who
  /// died. Throws SessionLost, after which it may go on with another session; Unknown if the barrier was deleted.
  std::vector<std::string> await_end(bool to_the_end, const Until& until, const Looked& looked = {});
  void go_on_with(Session& session, const Until& until);

 private:
  Barrier(Session& session, const BarrierRequest& request) : session_(&session), request_(request) {}

  void take_part(const Until& until, const Looked& looked);
  bool withdraw(const Until& until);
  void arrive(const Until& until);
  void make_folder(const Until& until);
  bool is_ours(const Until& until);
  bool settle_members(const Until& until);
  void refuse_duplicate(const Until& until);
  void refuse_other_number(const Member& first) const;
  bool inside() const;
  bool over() const;
  void look(const Until& until);
  void look_anew(const Until& until);
  void read(const std::optional<Node>& folder);
  bool write(const Step& step, const Until& until, bool arriving = false);
  void wait(const Until& until);
  std::optional<Node> member_node(const std::string& name, const Until& until);

  Session* session_;
  BarrierRequest request_;
  std::string name_;  // ours, once we are here

  // What was seen last.
  std::int64_t folder_ = 0;  // its czxid and 1: another one is another barrier. 0: there is none
  BarrierState state_;
  int version_ = 0;  // of the folder's data
  Attendance seen_;
  bool current_ = false;  // nothing has happened since that we know of
  std::optional<Watch> state_change_, neighbour_change_;
  std::string neighbour_;

  // Once inside.
  std::int64_t generation_ = 0;
  std::int64_t entered_folder_ = 0;
  std::vector<Member> roster_;
  std::size_t crashes_told_ = 0;
  bool moved_ = false;  // to another session
};

/// What is at the barrier; a picture that may be old when it is looked at. nullopt if there is none.
struct BarrierPicture {
  struct Place {
    Member member;
    Node node;  // empty if it has gone
    enum class Where { waiting, inside, left, crashed } where;
  };
  BarrierState state;
  std::vector<Place> places;  // the roster by rank, then those who wait in line
};
std::optional<BarrierPicture> picture_of_barrier(Session& session, const std::string& path, const Until& until);

}  // namespace zk
