#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "error.h"
#include "identity.h"
#include "log.h"
#include "output.h"
#include "settle.h"
#include "text.h"
#include "tpc-coordinator.h"

namespace {

using zk::Until;
using Json = nlohmann::ordered_json;

struct Member {
  zk::Membership membership;
  std::optional<zk::Presence> presence;
};

struct InFlight {
  zk::Proposal proposal;
  zk::Votes votes;
  std::int64_t version = 0;
  bool orphaned = false;
};

struct Picture {
  std::int64_t newest = 0;
  std::map<std::string, Member> members;
  std::vector<InFlight> transactions;
};

std::map<std::string, Member> members_of(zk::Session& session, const zk::RegisterPaths& paths, const Until& until) {
  std::map<std::string, Member> members;
  const auto ids = session.children(paths.members()).get(until).value_or(std::vector<std::string>{});
  for (const auto& id : ids) {
    const auto node = session.get(paths.member(id)).get(until);
    if (const auto membership = node ? zk::Membership::parse(node->data) : std::nullopt)
      members[id] = {*membership, {}};
  }
  for (const auto& [id, presence] : zk::present(session, paths, until))
    if (members.contains(id)) members[id].presence = presence;
  return members;
}

Picture look(zk::Session& session, const zk::RegisterPaths& paths, const Until& until) {
  const auto state = zk::state_of(session, paths, until);
  Picture picture{.newest = state.newest(), .members = members_of(session, paths, until), .transactions = {}};
  for (const auto& proposal : state.proposals) {
    const auto children = session.children(paths.proposal(proposal.id)).get(until);
    if (!children) continue;
    picture.transactions.push_back(
        {proposal, zk::Votes::of(*children), state.version_of(proposal.id), state.orphaned(proposal)});
  }
  return picture;
}

Picture look_until(zk::Session& session, const zk::RegisterPaths& paths, const Until& until) {
  for (;;) {
    try {
      return look(session, paths, until);
    } catch (const zk::ConnectionLoss&) {
      session.wait_connected(until);
    }
  }
}

const char* state_of(const InFlight& transaction) {
  if (transaction.votes.committed) return "committed";
  return transaction.orphaned ? "in doubt" : "voting";
}

// Who has to do something before it is over.
std::vector<std::string> waits_for(const Picture& picture, const InFlight& transaction) {
  std::vector<std::string> who;
  for (const auto& id : transaction.proposal.roster) {
    const auto member = picture.members.find(id);
    const bool has_it = member == picture.members.end() || member->second.membership.version >= transaction.version;
    if (transaction.votes.committed ? !has_it : !transaction.votes.from(id)) who.push_back(id);
  }
  return who;
}

std::string as_text(const Picture& picture, const std::string& path) {
  const auto alive =
      std::ranges::count_if(picture.members, [](const auto& entry) { return entry.second.presence.has_value(); });
  std::string text = path + "  version " + std::to_string(picture.newest) + "  " +
                     zk::counted(static_cast<std::int64_t>(picture.members.size()), "member", "members") + ", " +
                     std::to_string(alive) + " alive\n";
  for (const auto& [id, member] : picture.members) {
    const auto behind = picture.newest - member.membership.version;
    text += "  " + zk::printable(id, 100) + (member.presence ? "  alive" : "  away ") + "  version " +
            std::to_string(member.membership.version);
    if (behind > 0) text += ", " + std::to_string(behind) + " behind";
    if (member.presence) {
      const auto who = zk::Identity::parse(member.presence->about);
      text += "  at " + zk::printable(member.presence->endpoint, 100) + (who ? "  " + who->shown() : "");
    }
    text += "\n";
  }
  for (const auto& transaction : picture.transactions) {
    const auto& proposal = transaction.proposal;
    const auto who = zk::Identity::parse(proposal.about);
    text += "  " + proposal.id + "  " + state_of(transaction);
    if (transaction.version > 0) text += " as version " + std::to_string(transaction.version);
    text += "  " + proposal.transaction.shown() + "  by " + (who ? who->shown() : "somebody") +
            (transaction.orphaned ? ", who is gone" : "") + (who ? ", since " + zk::printable(who->since, 40) : "");
    const auto waits = waits_for(picture, transaction);
    if (!waits.empty())
      text += transaction.votes.committed ? "; waits for " + zk::listed(waits) + " to acknowledge it"
                                          : "; waits for the vote of " + zk::listed(waits);
    text += "\n";
  }
  return text;
}

std::string as_object(const Picture& picture, const std::string& path) {
  Json members = Json::array(), transactions = Json::array();
  for (const auto& [id, member] : picture.members) {
    Json object{{"id", id}, {"alive", member.presence.has_value()}, {"version", member.membership.version}};
    if (member.presence) object["endpoint"] = member.presence->endpoint;
    members.push_back(object);
  }
  for (const auto& transaction : picture.transactions) {
    const auto& proposal = transaction.proposal;
    Json object{{"transaction", proposal.id}, {"state", state_of(transaction)}, {"roster", proposal.roster}};
    object.update(Json::parse(proposal.transaction.json()));
    object.update({{"yes", transaction.votes.yes},
                   {"no", transaction.votes.no},
                   {"waits_for", waits_for(picture, transaction)},
                   {"coordinator_alive", !transaction.orphaned},
                   {"by", Json::parse(proposal.about)}});
    if (transaction.version > 0) object["version"] = transaction.version;
    transactions.push_back(object);
  }
  return Json{{"register", path}, {"version", picture.newest}, {"members", members}, {"transactions", transactions}}
             .dump() +
         "\n";
}

std::string said(const zk::Settled& settled) {
  using What = zk::Settled::What;
  switch (settled.what) {
    case What::committed:
      return "committed";
    case What::aborted:
      return "aborted: " + settled.text;
    case What::cleared:
      return "cleared away: everybody has it";
    case What::waits:
      return "committed; waits for " + settled.text + " to acknowledge it";
    case What::nothing:
    case What::changed:
      return "";
  }
  return "";
}

// One step for each transaction of a coordinator that is gone. Answers whether there was one to make.
bool settle_all(zk::Session& session, const zk::RegisterPaths& paths, std::map<std::string, std::string>& news,
                const Until& until) {
  const auto state = zk::state_of(session, paths, until);
  bool some = false;
  for (const auto& proposal : state.proposals) {
    if (!state.orphaned(proposal)) continue;
    const auto settled = zk::settle(session, paths, proposal, state.version_of(proposal.id), until);
    some = some || (settled.what != zk::Settled::What::waits && settled.what != zk::Settled::What::nothing);
    if (const auto what = said(settled); !what.empty()) news[proposal.id] = what;
  }
  if (some) return true;
  zk::trim_log(session, paths, until);
  return false;
}

void settle_everything(zk::Session& session, const Options& options, const Until& until) {
  std::map<std::string, std::string> news;
  constexpr int most_rounds = 100;  // somebody may have put something there that is none of ours
  bool more = true;
  for (int round = 0; more && round < most_rounds; ++round) {
    try {
      more = settle_all(session, {options.path}, news, until);
    } catch (const zk::ConnectionLoss&) {
      session.wait_connected(until);
    }
  }
  zk::Output out;
  for (const auto& [id, what] : news)
    out.write((options.json ? Json{{"transaction", id}, {"outcome", what}}.dump() : id + "  " + what) + "\n", until);
}

}  // namespace

int show_status(zk::Frame& frame, const Options& options) {
  zk::Session session(frame.settings, frame.until);
  await_participants(session, options, frame.until);
  const Until until = frame.until.within(options.timeout);
  const auto picture = look_until(session, {options.path}, until);
  zk::Output().write(options.json ? as_object(picture, options.path) : as_text(picture, options.path), frame.until);
  return zk::status_done;
}

int recover(zk::Frame& frame, const Options& options) {
  zk::Session session(frame.settings, frame.until);
  settle_everything(session, options, frame.until.within(options.timeout));
  return zk::status_done;
}

int forget(zk::Frame& frame, const Options& options) {
  if (options.words.size() != 2) throw zk::WrongUsage("forget: which replica's ID?");
  const auto& id = options.words[1];
  const zk::RegisterPaths paths{options.path};
  zk::Session session(frame.settings, frame.until);
  const Until until = frame.until.within(options.timeout);
  const auto newest = zk::state_of(session, paths, until).newest();
  const auto members = members_of(session, paths, until);
  const auto found = members.find(id);
  if (found == members.end())
    throw zk::Refused("there is no replica '" + zk::printable(id, 100) + "' at " + options.path);
  if (found->second.presence) throw zk::Refused(id + " is alive: stop it first, or it would come back");
  // Who has everything is checked again in the step itself: another one may be about to be forgotten as well.
  const auto holder = std::ranges::find_if(
      members, [&](const auto& entry) { return entry.first != id && entry.second.membership.version >= newest; });
  if (holder == members.end())
    throw zk::Refused("no other replica than " + id + " has version " + std::to_string(newest) +
                      ": start others, let them catch up, and then forget it");
  // That it is not alive is checked by making its node, and taking it away.
  using Kind = zk::Operation::Kind;
  const auto forgotten = session.insist(until, [&] {
    return session.transact({{Kind::check, paths.member(holder->first)},
                             {Kind::create, paths.alive(id)},
                             {Kind::remove, paths.alive(id)},
                             {Kind::remove, paths.member(id)}});
  });
  if (forgotten.code == zk::Code::node_exists) throw zk::Refused(id + " has just come back; stop it first");
  if (forgotten.code == zk::Code::no_node && forgotten.failed == 0)
    throw zk::Refused(holder->first +
                      ", which has everything, is being forgotten as well; look at the status, and try again");
  if (forgotten.code != zk::Code::ok && forgotten.code != zk::Code::no_node)
    throw zk::Error(forgotten.code, "forget", paths.member(id));
  settle_everything(session, options, until);
  return zk::status_done;
}
