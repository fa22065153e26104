#include "commit.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "error.h"
#include "node_json.h"
#include "path.h"
#include "sequence.h"
#include "text.h"

namespace zk {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t sequence_digits = 10;

std::optional<std::int32_t> parse_number(std::string_view text) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::vector<std::string> without(const std::vector<std::string>& from, const std::set<std::string>& those) {
  std::vector<std::string> rest;
  std::ranges::copy_if(from, std::back_inserter(rest), [&](const auto& name) { return !those.contains(name); });
  return rest;
}

// The rest of the object is for its own reader.
std::optional<Json> parse_object(const std::string& data) {
  try {
    Json object = parse_flat(data);
    if (object.is_object()) return object;
  } catch (const Refused&) {
  }
  return std::nullopt;
}

}  // namespace

// --- what is there ---

bool Proposal::asks(const std::string& member) const { return std::ranges::find(roster, member) != roster.end(); }

bool Proposal::before(const Proposal& other) const {
  return order != other.order ? order < other.order : InOrder()(id, other.id);
}

std::string Proposal::json() const {
  Json object = Json::parse(transaction.json());
  object["roster"] = roster;
  object["by"] = Json::parse(about);
  return object.dump();
}

std::optional<Proposal> Proposal::parse(const std::string& id, const Node& node) {
  if (!coordinator_of(id)) return std::nullopt;
  try {
    const Json object = parse_flat(node.data);
    Proposal proposal{.id = id,
                      .about = object.at("by").dump(),
                      .roster = object.at("roster"),
                      .transaction = Transaction::parse(node.data),
                      .order = node.stat.czxid};
    for (const auto& member : proposal.roster) check_name("id", member);
    if (proposal.roster.empty()) return std::nullopt;  // nobody could say no
    return proposal;
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const Refused&) {
    return std::nullopt;
  }
}

std::optional<std::int32_t> coordinator_of(const std::string& transaction) {
  const auto dash = transaction.find('-');
  if (dash == std::string::npos || !parse_number(std::string_view(transaction).substr(dash + 1))) return std::nullopt;
  return parse_number(std::string_view(transaction).substr(0, dash));
}

std::optional<std::int32_t> coordinator_number(const std::string& name) {
  if (name.size() < sequence_digits) return std::nullopt;
  const auto sequence = parse_sequence(name.substr(name.size() - sequence_digits));
  if (!sequence || *sequence < 0) return std::nullopt;
  return *sequence + 1;  // people count from one
}

std::string next_of(const std::string& transaction) {
  const auto dash = transaction.find('-') + 1;
  return transaction.substr(0, dash) + std::to_string(parse_number(transaction.substr(dash)).value_or(0) + 1);
}

std::vector<LogEntry> log_entries(const std::vector<std::string>& names) {
  std::vector<LogEntry> entries;
  for (const auto& name : names) {
    const auto dash = name.rfind('-');
    if (dash == std::string::npos || !coordinator_of(name.substr(0, dash))) continue;
    if (const auto sequence = parse_sequence(name.substr(dash + 1)); sequence && *sequence >= 0)
      entries.push_back({name.substr(0, dash), std::int64_t{*sequence} + 1, name});
  }
  std::ranges::sort(entries, {}, &LogEntry::version);
  return entries;
}

std::vector<LogEntry> done_with(const std::vector<LogEntry>& log, const std::vector<std::string>& proposals) {
  std::vector<LogEntry> done;
  for (const auto& entry : log)
    if (entry.version != log.back().version && std::ranges::find(proposals, entry.transaction) == proposals.end())
      done.push_back(entry);
  return done;
}

Votes Votes::of(const std::vector<std::string>& children) {
  Votes votes{.yes = {}, .no = {}, .names = children};
  for (const auto& name : children) {
    if (name.starts_with("yes-")) votes.yes.insert(name.substr(4));
    if (name.starts_with("no-")) votes.no.insert(name.substr(3));
    if (name == "committed") votes.committed = true;
  }
  return votes;
}

// --- what follows ---

Verdict decide(const std::vector<std::string>& roster, const Votes& votes, const std::set<std::string>& alive,
               const std::string& give_up) {
  using Kind = Verdict::Kind;
  if (!votes.no.empty()) return {Kind::abort, listed({votes.no.begin(), votes.no.end()}) + " voted no"};
  const auto missing = without(roster, votes.yes);
  if (missing.empty()) return {Kind::commit};
  if (!give_up.empty()) return {Kind::abort, give_up, missing};
  const auto dead = without(missing, alive);
  if (!dead.empty()) return {Kind::abort, listed(dead) + " died before " + (dead.size() == 1 ? "its vote" : "voting")};
  return {Kind::wait, "", missing};
}

Quorum Quorum::parse(const std::string& text) {
  if (text == "all") return {.all = true};
  const auto least = parse_number(text);
  if (!least || *least < 1)
    throw WrongUsage("--quorum is how many must vote yes, or 'all', not '" + printable(text, 100) + "'");
  return {.least = *least};
}

Roster roster_of(const std::set<std::string>& members, const std::set<std::string>& alive, const Quorum& quorum) {
  std::vector<std::string> here, away;
  for (const auto& id : members) (alive.contains(id) ? here : away).push_back(id);
  const std::size_t majority = members.size() / 2 + 1;
  const std::size_t needed = quorum.all         ? std::max<std::size_t>(members.size(), 1)
                             : quorum.least > 0 ? static_cast<std::size_t>(quorum.least)
                                                : majority;
  if (here.size() >= needed) return {.ids = here};
  if (needed > members.size())
    return {.why_not = counted(static_cast<std::int64_t>(needed), "member", "members") + " must be there, but there " +
                       (members.size() == 1 ? "is " : "are ") + std::to_string(members.size())};
  std::string why = std::to_string(needed) + " of the " +
                    counted(static_cast<std::int64_t>(members.size()), "member", "members") + " must be there; ";
  why += here.empty() ? "nobody is" : listed(here) + (here.size() == 1 ? " is" : " are");
  if (!away.empty()) why += "; missing: " + listed(away);
  return {.why_not = why};
}

std::vector<const Proposal*> free_to_vote(const std::vector<const Proposal*>& undecided) {
  std::unordered_set<std::string_view> changed, looked_at;  // by those before
  std::vector<const Proposal*> free;
  for (const auto* proposal : undecided) {
    const auto& [changes, conditions] = proposal->transaction;
    const auto in_changed = [&](const auto& entry) { return changed.contains(entry.key); };
    const auto in_looked_at = [&](const auto& entry) { return looked_at.contains(entry.key); };
    if (std::ranges::none_of(changes, in_changed) && std::ranges::none_of(changes, in_looked_at) &&
        std::ranges::none_of(conditions, in_changed))
      free.push_back(proposal);
    for (const auto& entry : changes) changed.insert(entry.key);
    for (const auto& entry : conditions) looked_at.insert(entry.key);
  }
  return free;
}

std::vector<Operation> commit_operations(const RegisterPaths& paths, const std::string& id,
                                         const std::vector<std::string>& roster) {
  std::vector<Operation> operations;
  for (const auto& member : roster) operations.push_back({Operation::Kind::check, paths.vote(id, true, member)});
  operations.push_back({Operation::Kind::create, paths.committed(id)});
  operations.push_back({Operation::Kind::create, join(paths.log(), id + "-"), "", Mode::persistent_sequential});
  return operations;
}

std::vector<Operation> removal_operations(const RegisterPaths& paths, const std::string& id, const Votes& votes) {
  std::vector<Operation> operations;
  for (const auto& name : votes.names) operations.push_back({Operation::Kind::remove, join(paths.proposal(id), name)});
  operations.push_back({Operation::Kind::remove, paths.proposal(id)});
  return operations;
}

std::vector<Operation> clearing_operations(const RegisterPaths& paths, const std::string& id, const Votes& votes,
                                           const std::set<std::string>& holders) {
  auto operations = removal_operations(paths, id, votes);
  for (const auto& member : holders) operations.push_back({Operation::Kind::check, paths.member(member)});
  return operations;
}

// --- what members say of themselves ---

std::string Membership::json() const { return Json{{"store", store}, {"version", version}}.dump(); }

std::optional<Membership> Membership::parse(const std::string& data) try {
  const auto object = parse_object(data);
  if (!object) return std::nullopt;
  return Membership{object->at("store"), object->at("version")};
} catch (const Json::exception&) {
  return std::nullopt;
}

std::string Presence::json() const {
  Json object = Json::parse(about);
  object["endpoint"] = endpoint;
  object["key"] = key;
  return object.dump();
}

std::optional<Presence> Presence::parse(const std::string& data) try {
  const auto object = parse_object(data);
  if (!object) return std::nullopt;
  return Presence{data, object->at("endpoint"), object->at("key")};
} catch (const Json::exception&) {
  return std::nullopt;
}

std::string listed(const std::vector<std::string>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i)
    list += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + printable(names[i], 100);
  return list;
}

}  // namespace zk
