// A participant of two-phase commit: one replica of a register, which votes, applies what is committed, and knows when
// it does not know enough (commit.h has what is kept in ZooKeeper, store.h what on disk).
//
// Guarantees:
//  - A yes is a promise that is on our disk before it is sent; a vote is made once, and once only, crash or not.
//  - Every transaction is voted on with the values in which all earlier ones that touch the same keys are decided and
//    applied. So transactions are serializable, in the order of their versions, and none waits for a later one.
//  - What is committed is applied by all in the same order, and acknowledged when it is on the disk.
//  - Who was away catches up from the others, or from ZooKeeper, before it counts as alive.
//  - Should its coordinator die, whoever is there decides a transaction: commit if all have voted yes, else abort.
//    Nobody waits for anybody but the ensemble.
//
// Cost of a transaction, beside the coordinator's: two round trips to learn of it, one to vote; one to learn of the
// decision, one to acknowledge. What comes together shares them, and one fsync.
//
// Blocking: take_part(), until told to stop; within it for the server, for the disk, and, to catch up, for other
// replicas (ten seconds each). It never waits for who reads what it tells.
//
// Source: see commit.h. That it decides in the server's order, and waits for earlier conflicting ones: conservative
// two-phase locking, P. Bernstein et al., "Concurrency Control and Recovery in Database Systems", 1987, chapter 3.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "commit.h"
#include "fail_point.h"
#include "session.h"
#include "store.h"
#include "until.h"

namespace zk {

struct Opinion {
  bool yes = true;
  std::string why{};  // of a no
};

/// What a participant has done, as it is done.
struct Progress {
  enum class What {
    begin,         // of a transaction that we are asked about
    prepared,      // the promise is on the disk
    vote,          // is made
    decision,      // is known: of a commit with its version
    applied,       // on the disk
    acknowledged,  // without a transaction: everything up to the version
    caught_up,     // the same; `text` says from whom
    waiting,       // `text` says for what: we are behind
    alive,         // from now on we are asked
    settled,       // by us, because its coordinator is gone; `text` says how
  } what;
  std::string transaction{}, text{};
  std::int64_t version = 0;
  bool yes = false;
  const Proposal* proposal = nullptr;  // of begin, and of a commit that is known
};

struct ParticipantRequest {
  std::string path;  // the register; made if missing
  std::string id;
  Presence presence;
  /// Told when a vote is due whose conditions hold; nullopt: it will be known later, and then wake() is called. Asked
  /// again in each round.
  std::function<std::optional<Opinion>(const Proposal&)> opinion;
  std::function<void(const std::string& transaction)> decided;  // no opinion is needed any more
  std::function<void(const Progress&)> tell;
  Reached reached;
};

/// The register's random id. Makes the register if `make`; else throws Refused if there is none.
std::string register_id(Session& session, const std::string& path, bool make, const Until& until);

class Participant {
 public:
  /// The store is of this register and member. Both must outlive it.
  Participant(Session& session, Store& store, const ParticipantRequest& request);

  /// Takes part until `until` ends. Throws Stopped; SessionLost, after which another one may go on with the same store;
  /// Refused if this is not the member that it says, or its store has lost what it had acknowledged; OutOfSpace if what
  /// is committed cannot be written (promises stay); StoreFailed.
  void take_part(const Until& until);

  /// Somebody has an opinion now. From any thread.
  void wake() const { bell_.fire(); }

 private:
  struct Known {
    Proposal proposal;
    bool asked = false;             // it is told, and we are in the roster
    std::optional<Opinion> vote{};  // what was to be sent
    bool voted = false;
    bool applied = false;
    int attempts = 0;  // to settle it, in vain
  };
  struct Vote {
    std::string id;
    Opinion opinion;
  };
  struct Plan {
    Store::Batch batch;
    std::vector<Vote> votes;
  };

  void join(const Until& until);
  void register_member(const Until& until);
  void await_end_of_earlier(const Until& until);
  void appear(const Until& until);
  void disappear(const Until& until);
  void catch_up(const Until& until);
  bool catch_up_from_others(std::int64_t version, const Until& until);
  bool look(const Until& until);
  void meet(const std::vector<std::string>& names, const std::optional<Node>& expected, const Until& until);
  bool voted_before(const Proposal& proposal, const Votes& votes) const;
  void part(const std::vector<std::string>& names);
  Plan plan();
  void plan_commits(Plan& plan);
  void plan_votes(Plan& plan);
  void write(Plan& plan);
  void send(const Plan& plan, const Until& until);
  bool send_single(const Plan& plan, const Until& until);
  void send_one_by_one(const Plan& plan, const Until& until);
  void acknowledged(const std::vector<Vote>& votes);
  void settle_orphans(const Until& until);
  void forget_what_was_seen();
  std::int64_t newest() const { return log_.empty() ? 0 : log_.back().version; }
  std::int64_t version_of(const std::string& transaction) const;
  bool orphaned(const std::string& transaction) const;
  void reached(const char* point);
  void tell(const Progress& progress);
  void say();

  Session* session_;
  Store* store_;
  ParticipantRequest request_;
  RegisterPaths paths_;
  Watch bell_;
  std::vector<Progress> untold_;
  std::map<std::string, Known> known_;  // transactions that are there
  std::string expected_;  // the transaction that will be next, as likely as not: it is read along with the list
  std::vector<LogEntry> log_;
  std::set<std::int32_t> coordinators_;
  std::optional<Watch> proposals_change_, log_change_, coordinators_change_;
  int membership_version_ = 0;
  std::int64_t acknowledged_ = 0;
  std::vector<Commit> unacknowledged_;  // applied; their changes do not matter
  bool first_look_ = true;
  bool incomplete_ = false;  // one vanished while we read: it may be committed, and that later than we read the log
  bool clean_up_ = true;     // what nobody looks after may be over
};

}  // namespace zk
