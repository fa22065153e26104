#include "settle.h"

#include <algorithm>
#include <optional>

#include "error.h"
#include "path.h"

namespace zk {

namespace {

using Names = std::vector<std::string>;

// Of those in the roster who are registered: who has it, and who has not.
struct Acknowledged {
  std::set<std::string> holders;
  Names behind;
};

// Of two who are the last at the same time one has to see that: hence the sync.
Acknowledged acknowledged(Session& session, const RegisterPaths& paths, const Proposal& proposal, std::int64_t version,
                          const Until& until) {
  session.sync(paths.members()).get(until);
  std::vector<Reply<std::optional<Node>>> replies;
  for (const auto& id : proposal.roster) replies.push_back(session.get(paths.member(id)));
  Acknowledged result;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const auto node = replies[i].get(until);
    const auto membership = node ? Membership::parse(node->data) : std::nullopt;
    if (!membership) continue;
    if (membership->version >= version)
      result.holders.insert(proposal.roster[i]);
    else
      result.behind.push_back(proposal.roster[i]);
  }
  return result;
}

// If the whole roster is forgotten: who else has it, having caught up.
std::set<std::string> others_with(Session& session, const RegisterPaths& paths, std::int64_t version,
                                  const Until& until) {
  std::set<std::string> holders;
  for (const auto& id : session.children(paths.members()).get(until).value_or(Names{})) {
    const auto node = session.get(paths.member(id)).get(until);
    const auto membership = node ? Membership::parse(node->data) : std::nullopt;
    if (membership && membership->version >= version) holders.insert(id);
  }
  return holders;
}

}  // namespace

Settled settle(Session& session, const RegisterPaths& paths, const Proposal& proposal, std::int64_t version,
               const Until& until) {
  using What = Settled::What;
  const auto& id = proposal.id;
  const auto children = session.children(paths.proposal(id)).get(until);
  if (!children) return {};
  const auto votes = Votes::of(*children);
  if (votes.committed) {
    if (version == 0) return {};  // whoever asked has not seen it yet
    auto [holders, behind] = acknowledged(session, paths, proposal, version, until);
    if (!behind.empty()) return {What::waits, listed(behind)};
    if (holders.empty()) holders = others_with(session, paths, version, until);
    if (holders.empty()) return {What::waits, "anybody"};
    const auto outcome = session.transact(clearing_operations(paths, id, votes, holders)).get(until);
    if (outcome.code == Code::no_auth) throw Error(outcome.code, "clear away", paths.proposal(id));
    return {outcome.code == Code::ok ? What::cleared : What::changed};
  }
  const auto verdict = decide(proposal.roster, votes, {}, "its coordinator is gone");
  const bool commits = verdict.kind == Verdict::Kind::commit;
  const auto operations =
      commits ? commit_operations(paths, id, proposal.roster) : removal_operations(paths, id, votes);
  const auto outcome = session.transact(operations).get(until);
  if (outcome.code == Code::no_auth) throw Error(outcome.code, "settle", paths.proposal(id));
  if (outcome.code != Code::ok) return {What::changed};
  return {commits ? What::committed : What::aborted, verdict.why};
}

std::int64_t RegisterState::version_of(const std::string& transaction) const {
  const auto entry = std::ranges::find(log, transaction, &LogEntry::transaction);
  return entry == log.end() ? 0 : entry->version;
}

// The transactions are listed after the log: one that is begun and committed in between must not look as if it was
// over.
void trim_log(Session& session, const RegisterPaths& paths, const Until& until) {
  auto logged = session.children(paths.log());
  auto proposed = session.children(paths.proposals());
  const auto log = log_entries(logged.get(until).value_or(Names{}));
  const auto proposals = proposed.get(until);
  if (!proposals) return;
  std::vector<Reply<bool>> removals;
  for (const auto& entry : done_with(log, *proposals))
    removals.push_back(session.remove(join(paths.log(), entry.name)));
  for (auto& removal : removals) removal.get(until);
}

RegisterState state_of(Session& session, const RegisterPaths& paths, const Until& until) {
  auto proposed = session.children(paths.proposals());
  auto logged = session.children(paths.log());
  auto coordinating = session.children(paths.coordinators());
  RegisterState state;
  auto names = proposed.get(until);
  if (!names) throw Refused("there is no register at " + paths.root + "; a tpc-participant makes it");
  state.log = log_entries(logged.get(until).value_or(Names{}));
  for (const auto& name : coordinating.get(until).value_or(Names{}))
    if (const auto number = coordinator_number(name)) state.coordinators.insert(*number);
  std::vector<std::pair<std::string, Reply<std::optional<Node>>>> nodes;
  for (const auto& name : *names) nodes.emplace_back(name, session.get(paths.proposal(name)));
  for (auto& [name, reply] : nodes) {
    const auto node = reply.get(until);
    if (auto proposal = node ? Proposal::parse(name, *node) : std::nullopt)
      state.proposals.push_back(*std::move(proposal));
  }
  std::ranges::sort(state.proposals, [](const auto& one, const auto& two) { return one.before(two); });
  return state;
}

}  // namespace zk
