// Two-phase commit through ZooKeeper: what is kept where, and what follows from what is there. Pure.
//
//   REGISTER                          the register's random id
//   REGISTER/members/<id>             who belongs to it: the id of its store, and the version it has on its disk
//   REGISTER/alive/<id>               ephemeral: who is there and up to date, and where it can be asked
//   REGISTER/coordinators/<k>         ephemeral: who coordinates
//   REGISTER/tx/<k>-<n>               the n-th transaction of coordinator k, and its roster: who has to vote
//   REGISTER/tx/<k>-<n>/yes-<id>      a vote, made once; or no-<id>, with the reason
//   REGISTER/tx/<k>-<n>/committed     the decision
//   REGISTER/log/<k>-<n>-<sequence>   the order of what was committed: the sequence + 1 is the version
//
// The decision is one transaction that checks that everybody in the roster has voted yes, and makes `committed` and the
// entry in the log. Its opposite removes the votes that were seen and the transaction, which fails if `committed` is
// there or a vote has come since. So one of them happens, once, whoever tries: the coordinator, or, should that die,
// anybody. A transaction that is not there is not committed: presumed abort. That of a committed one therefore stays
// until everybody in its roster has it on its disk.
//
// Proved for the algorithm by Spin (model/tpc.pml, `make model`), over all interleavings of looks, writes to the disk,
// transactions, crashes with and without return, ends of sessions, time-outs and lost replies: AC1, all decide alike;
// AC2, no decision is reversed; AC3, a commit only if all in the roster have voted yes and have it on their disks; AC4,
// and always then if nothing fails; AC5, when those that crashed are back all decide, and nothing is left. And: all
// apply the same sequence; a vote is on the state that it will be applied to; what somebody needs is kept for it.
// Bounds: 2 participants with 3 transactions, or 2 coordinators and 2 crashes; 3 participants with 2 transactions or 2
// coordinators and a crash, or with 2 crashes. The model's head has them all, and what it leaves out: values, watches,
// damaged disks.
//
// Source: J. Gray, "Notes on Data Base Operating Systems", 1978, for the two phases; J. Gray and L. Lamport, "Consensus
// on Transaction Commit", 2006: it does not block because the votes and the decision are kept by a quorum.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "session.h"
#include "transaction.h"

namespace zk {

struct RegisterPaths {
  std::string root;
  std::string members() const { return root + "/members"; }
  std::string member(const std::string& id) const { return members() + "/" + id; }
  std::string all_alive() const { return root + "/alive"; }
  std::string alive(const std::string& id) const { return all_alive() + "/" + id; }
  std::string coordinators() const { return root + "/coordinators"; }
  std::string proposals() const { return root + "/tx"; }
  std::string proposal(const std::string& id) const { return proposals() + "/" + id; }
  std::string vote(const std::string& id, bool yes, const std::string& member) const {
    return proposal(id) + (yes ? "/yes-" : "/no-") + member;
  }
  std::string committed(const std::string& id) const { return proposal(id) + "/committed"; }
  std::string log() const { return root + "/log"; }
};

/// A transaction that somebody has begun.
struct Proposal {
  std::string id;
  std::string about;  // who began it: JSON
  std::vector<std::string> roster;
  Transaction transaction;
  std::int64_t order = 0;  // of two, the one with the lower number, or of the same the lower id, was begun first

  bool asks(const std::string& member) const;
  bool before(const Proposal& other) const;

  std::string json() const;
  /// nullopt for what is none.
  static std::optional<Proposal> parse(const std::string& id, const Node& node);
};

/// The order of one coordinator's transactions: 1-9 comes before 1-10.
struct InOrder {
  bool operator()(const std::string& one, const std::string& two) const {
    return one.size() != two.size() ? one.size() < two.size() : one < two;
  }
};

/// Of coordinator `k`, from a transaction's or a coordinator's name; nullopt for names of something else.
std::optional<std::int32_t> coordinator_of(const std::string& transaction);
std::optional<std::int32_t> coordinator_number(const std::string& name);

/// What the same coordinator will begin next: of 1-9 it is 1-10.
std::string next_of(const std::string& transaction);

struct LogEntry {
  std::string transaction;
  std::int64_t version = 0;
  std::string name;
};

/// Those among the names that are, in order.
std::vector<LogEntry> log_entries(const std::vector<std::string>& names);

/// Those that need not be kept: the transaction is gone from `proposals`, and it is not the newest, by which a replica
/// sees whether it is up to date.
std::vector<LogEntry> done_with(const std::vector<LogEntry>& log, const std::vector<std::string>& proposals);

/// What is below a transaction.
struct Votes {
  std::set<std::string> yes, no;
  bool committed = false;
  std::vector<std::string> names;  // of all that is there

  static Votes of(const std::vector<std::string>& children);
  bool from(const std::string& member) const { return yes.contains(member) || no.contains(member); }
};

struct Verdict {
  enum class Kind { wait, commit, abort } kind = Kind::wait;
  std::string why{};                   // of an abort: a clause
  std::vector<std::string> missing{};  // whose votes are waited for
};

/// What is to become of an undecided transaction. `give_up`: why nothing is waited for any more, or nothing.
Verdict decide(const std::vector<std::string>& roster, const Votes& votes, const std::set<std::string>& alive,
               const std::string& give_up);

/// How many must vote yes: so many, or all, or, by default, a majority of those who are registered. Everybody who is
/// there must in any case.
struct Quorum {
  int least = 0;  // 0: a majority
  bool all = false;

  /// `2`, `all`. Throws WrongUsage.
  static Quorum parse(const std::string& text);
};

/// Who has to vote; or why nobody is asked.
struct Roster {
  std::vector<std::string> ids{};
  std::string why_not{};
};
Roster roster_of(const std::set<std::string>& members, const std::set<std::string>& alive, const Quorum& quorum);

/// Which of these, undecided and in the order in which they were begun, may be voted on: no earlier one touches the
/// same keys.
std::vector<const Proposal*> free_to_vote(const std::vector<const Proposal*>& undecided);

std::vector<Operation> commit_operations(const RegisterPaths& paths, const std::string& id,
                                         const std::vector<std::string>& roster);
/// The transaction with all that was seen below it, to abort it.
std::vector<Operation> removal_operations(const RegisterPaths& paths, const std::string& id, const Votes& votes);
/// The same, for a committed one that everybody has who is registered: that is so as long as `holders` are registered,
/// of which there must be one.
std::vector<Operation> clearing_operations(const RegisterPaths& paths, const std::string& id, const Votes& votes,
                                           const std::set<std::string>& holders);

/// What a member says of itself in REGISTER/members.
struct Membership {
  std::string store;
  std::int64_t version = 0;

  std::string json() const;
  static std::optional<Membership> parse(const std::string& data);
};

/// Where one that is alive can be asked.
struct Presence {
  std::string about;  // who: JSON
  std::string endpoint, key;

  std::string json() const;
  static std::optional<Presence> parse(const std::string& data);
};

/// A sentence's list: `a`, `a and b`, `a, b and c`; safe to show.
std::string listed(const std::vector<std::string>& names);

}  // namespace zk
