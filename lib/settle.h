// Settling what a dead coordinator has left: anybody may, and everybody comes to the same (commit.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "commit.h"
#include "session.h"
#include "until.h"

namespace zk {

struct Settled {
  enum class What {
    nothing,    // it is gone, or whoever asked has not seen yet that it is committed
    changed,    // while we looked: look again
    committed,  // all have voted yes
    aborted,    // not all have; `text` says why
    cleared,    // it was committed, and everybody has it: it is gone
    waits,      // it was committed; `text` says who has not acknowledged it
  } what = What::nothing;
  std::string text{};
};

/// `version`: what it was committed as; 0: it is not in the log. One step: to commit and to clear up are two. Blocks
/// for a few round trips. Throws ConnectionLoss: it may be asked again.
Settled settle(Session& session, const RegisterPaths& paths, const Proposal& proposal, std::int64_t version,
               const Until& until);

/// What is in ZooKeeper at one moment; the log not older than the proposals.
struct RegisterState {
  std::vector<Proposal> proposals{};  // in the order in which they were begun
  std::vector<LogEntry> log{};
  std::set<std::int32_t> coordinators{};

  std::int64_t newest() const { return log.empty() ? 0 : log.back().version; }
  std::int64_t version_of(const std::string& transaction) const;
  bool orphaned(const Proposal& proposal) const { return !coordinators.contains(*coordinator_of(proposal.id)); }
};
/// Removes the entries of the log that nobody needs any more.
void trim_log(Session& session, const RegisterPaths& paths, const Until& until);

RegisterState state_of(Session& session, const RegisterPaths& paths, const Until& until);

}  // namespace zk
