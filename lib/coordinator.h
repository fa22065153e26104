// The coordinator of two-phase commit over a register: begins transactions, collects the votes, decides, and clears up
// when everybody has what was decided (commit.h has what is kept in ZooKeeper).
//
// Guarantees:
//  - A transaction is committed only if everybody in its roster has voted yes, and then for all; else it has no effect.
//    The decision is made once, whoever makes it; should we die, the participants do.
//  - Aborted if somebody votes no, dies before its vote, or does not vote in time; or if too few are there to begin.
//  - Who is told `committed` can rely on it: it is on the disks of the roster, and the next linearizable read sees it.
//
// Cost of a transaction with R in its roster: one write to begin, R votes, one to decide, R acknowledgements, and an
// eighth of one to clear up. In sequence these are 4 writes and 5 reads: begin; the participants' list and get; vote;
// our list of the votes; decide; the participants' list; acknowledge; our get. To clear up is not waited for.
// Transactions in flight share what they can, on both sides. bench/README.md has the count at the server.
//
// Blocking: work(), until nothing is left to do. A time limit for the votes, and `until`, bound it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "commit.h"
#include "fail_point.h"
#include "session.h"
#include "until.h"

namespace zk {

struct Result {
  enum class Kind { committed, aborted, unknown } kind = Kind::unknown;
  std::string transaction{};          // empty if it was not even begun
  std::int64_t version = 0;           // of a commit
  std::string why{};                  // of an abort
  std::vector<std::string> absent{};  // those in the roster who have not acknowledged a commit yet
};

/// What a transaction goes through, as it happens.
struct Milestone {
  enum class What { begin, vote, committed, aborted, acknowledged } what;
  std::string transaction;
  std::string member{}, text{};
  std::int64_t version = 0;
  bool yes = false;
  const Proposal* proposal = nullptr;
};

struct CoordinatorRequest {
  std::string path;   // the register
  std::string about;  // JSON, who we are
  Quorum quorum{};
  Duration patience = std::chrono::seconds(30);  // for the votes, and then for the acknowledgements of those alive
  std::function<void(const Milestone&)> tell{};
  Reached reached{};
};

using Done = std::function<void(const Result&)>;

/// A transaction whose session ended while it was in flight.
struct InDoubt {
  std::string transaction;
  std::int64_t since = 0;  // it was begun after this version
  Done done;
};

class Coordinator {
 public:
  /// Registers as a coordinator. Blocks for two round trips. Throws Refused if there is no such register.
  Coordinator(Session& session, const CoordinatorRequest& request, const Until& until);

  /// Throws Refused if the transaction is too large.
  static void check(const Transaction& transaction, const std::string& path);

  /// Hands over a transaction; `done` is called from work(). From any thread, without blocking.
  void submit(Transaction transaction, Done done);

  /// There will be no more. From any thread.
  void finish();

  /// Works until everything is done and there will be no more. Throws SessionLost, Stopped, TimedOut; Error and Refused
  /// if the server does not let us, or somebody has removed the register.
  void work(const Until& until);

  /// Aborts what is not decided, and waits for nobody. Blocks and throws as work().
  void give_up(const std::string& why, const Until& until);

  /// What is not done: after SessionLost.
  std::vector<InDoubt> in_doubt();

 private:
  struct Flight {
    Proposal proposal;
    Done done;
    Time deadline{}, finished{};
    enum class Stage { beginning, voting, acknowledging, over } stage = Stage::beginning;
    std::optional<Watch> change{};
    Votes votes{};
    bool lingers = false;   // committed and told; one who was away has not acknowledged it yet
    bool aborting = false;  // asked for; the answer may have been lost
    std::string why{};      // of an abort
    LogEntry entry{};       // of a commit
    std::int64_t since = 0;
    std::set<std::string> acknowledged{};
  };
  struct Submission {
    Transaction transaction;
    Done done;
  };
  struct Position {
    std::int64_t version = 0;
    std::optional<Watch> change{};
  };
  struct CleanUp {
    Reply<Outcome> reply;
    std::vector<std::string> transactions;
    std::int64_t newest;  // entry of the log then
  };

  void enroll(const Until& until);
  void look(const Until& until);
  void look_at_members(const Until& until);
  void begin_new(const Until& until);
  void look_at_votes(const Until& until);
  void take_votes(Flight& flight, const std::optional<std::vector<std::string>>& children, const Until& until);
  void find_version(Flight& flight, const Until& until);
  void decide_all(const Until& until);
  void commit_all(const std::vector<Flight*>& flights, const Until& until);
  bool commit(const std::vector<Flight*>& flights, const Until& until);
  void abort(Flight& flight, const Until& until);
  void committed(Flight& flight, const LogEntry& entry);
  void aborted(Flight& flight);
  void in_doubt(Flight& flight);
  std::vector<Operation> clearing(const Flight& flight) const;
  void await_acknowledgements();
  void look_after_lingering();
  static bool is_finished(const Flight& flight);
  void clear_up(const Until& until);
  bool time_to_clean();
  void finish_cleaning(const Until& until);
  void trim(const Until& until);
  void forget_what_was_seen();
  void wait(const Until& until);
  bool idle();
  void reached(const char* point) const;
  void tell(const Milestone& milestone) const;

  Session* session_;
  CoordinatorRequest request_;
  RegisterPaths paths_;
  Watch bell_;
  std::int32_t number_ = 0, begun_ = 0;
  std::int64_t newest_ = 0;  // that we know of
  std::set<std::string> members_, alive_;
  std::optional<Watch> members_change_, alive_change_;
  std::map<std::string, Position> positions_;
  std::map<std::string, Flight, InOrder> flights_;
  std::string giving_up_;  // why, if we are
  std::optional<CleanUp> cleaning_;
  Time clean_at_ = Time::max();
  std::vector<LogEntry> trimmable_;  // theirs are gone from tx/

  std::mutex mutex_;
  std::vector<Submission> submitted_;
  bool no_more_ = false;
};

/// What became of it, with another session: the participants settle it, in ZooKeeper or in their stores it can be seen.
/// Blocks until then, or `until` ends; then, or if nobody knows any more, it is unknown.
Result find_out(Session& session, const std::string& path, const InDoubt& doubt, const Until& until);

}  // namespace zk
