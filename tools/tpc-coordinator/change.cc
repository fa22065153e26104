#include <nlohmann/json.hpp>
#include <utility>

#include "child.h"
#include "error.h"
#include "identity.h"
#include "log.h"
#include "output.h"
#include "text.h"
#include "tpc-coordinator.h"

namespace {

using zk::Milestone;
using zk::Result;
using zk::Until;
using Json = nlohmann::ordered_json;
using What = Milestone::What;

std::string as_object(const Milestone& milestone) {
  Json object{{"transaction", milestone.transaction}};
  switch (milestone.what) {
    case What::begin:
      object.update({{"event", "begin"}, {"roster", milestone.proposal->roster}});
      object.update(Json::parse(milestone.proposal->transaction.json()));
      break;
    case What::vote:
      object.update({{"event", "vote"}, {"member", milestone.member}, {"vote", milestone.yes ? "yes" : "no"}});
      if (!milestone.yes) object["why"] = milestone.text;
      break;
    case What::committed:
      object.update({{"event", "committed"}, {"version", milestone.version}});
      break;
    case What::aborted:
      object.update({{"event", "aborted"}, {"why", milestone.text}});
      break;
    case What::acknowledged:
      object.update({{"event", "acknowledged"}, {"member", milestone.member}});
      break;
  }
  return object.dump();
}

int status_of(const Result& result) {
  constexpr int status_aborted = 1;
  return result.kind == Result::Kind::committed ? zk::status_done
         : result.kind == Result::Kind::aborted ? status_aborted
                                                : zk::status_unknown;
}

const char* word_of(Result::Kind kind) {
  return kind == Result::Kind::committed ? "committed" : kind == Result::Kind::aborted ? "aborted" : "unknown";
}

// Another session, to learn what the first one does not know any more.
void find_out(zk::Frame& frame, const Options& options, const std::vector<zk::InDoubt>& doubts) {
  const Until until = frame.until.within(options.timeout);
  std::unique_ptr<zk::Session> session;
  for (const auto& doubt : doubts) {
    try {
      if (!session) session = std::make_unique<zk::Session>(frame.settings, until);
      doubt.done(zk::find_out(*session, options.path, doubt, until));
    } catch (const std::runtime_error&) {  // nor this one
      doubt.done({.kind = Result::Kind::unknown, .transaction = doubt.transaction});
    }
  }
}

}  // namespace

std::string shown(const Milestone& milestone) {
  const auto& id = milestone.transaction;
  switch (milestone.what) {
    case What::begin:
      return id + "  begin  " + milestone.proposal->transaction.shown() +
             "  asked: " + zk::listed(milestone.proposal->roster);
    case What::vote:
      return id + "  vote  " + milestone.member + ": " + (milestone.yes ? "yes" : "no: " + milestone.text);
    case What::committed:
      return id + "  committed  version " + std::to_string(milestone.version);
    case What::aborted:
      return id + "  aborted  " + milestone.text;
    case What::acknowledged:
      return id + "  acknowledged  " + milestone.member;
  }
  return "";
}

std::string shown(const Result& result) {
  std::string line = word_of(result.kind) + std::string(" ") + (result.transaction.empty() ? "-" : result.transaction);
  if (result.version > 0) line += " version " + std::to_string(result.version);
  if (!result.why.empty()) line += ": " + result.why;
  return line;
}

std::string as_json(const Result& result) {
  Json object{{"result", word_of(result.kind)}};
  if (!result.transaction.empty()) object["transaction"] = result.transaction;
  if (result.version > 0) object["version"] = result.version;
  if (!result.why.empty()) object["why"] = result.why;
  return object.dump();
}

void await_participants(zk::Session& session, const Options& options, const Until& until) {
  if (!options.participants) return;
  const zk::RegisterPaths paths{options.path};
  const Until limit = until.within(options.timeout);
  for (std::size_t here = 0;;) {
    try {
      auto [asked, change] = session.watch_children(paths.all_alive());
      const auto alive = asked.get(limit);
      here = alive ? alive->size() : 0;
      if (here >= static_cast<std::size_t>(*options.participants)) return;
      if (alive) {
        change.wait(limit, options.path);
        continue;
      }
      auto [looking, creation] = session.watch_stat(paths.all_alive());
      if (!looking.get(limit)) creation.wait(limit, options.path);
    } catch (const zk::ConnectionLoss&) {
      session.wait_connected(limit);
    } catch (const zk::TimedOut&) {
      throw zk::TimedOut("gave up waiting at " + options.path + ": " + std::to_string(here) + " of " +
                         std::to_string(*options.participants) + " participants are alive");
    }
  }
}

int change(zk::Frame& frame, const Options& options) {
  auto transaction = zk::Transaction::of(options.words);
  zk::Coordinator::check(transaction, options.path);
  zk::Child guard{std::vector<std::string>{}};  // closes our session should we be killed: then others decide at once
  zk::FailPoint fail = options.fail;
  zk::Backlog out(std::string::npos / 2, [](int) { return ""; });
  Result result;
  // Participants do not wait for a decision because nobody reads what we say: then it is said at the end.
  const auto tell = [&](const Milestone& milestone) {
    out.add((options.json ? as_object(milestone) : shown(milestone)) + "\n");
  };
  zk::Session session(frame.settings, frame.until);
  guard.keep(session.will());
  await_participants(session, options, frame.until);
  zk::Coordinator coordinator(session,
                              {.path = options.path,
                               .about = zk::Identity::mine("").json(),
                               .quorum = options.quorum,
                               .patience = options.timeout,
                               .tell = tell,
                               .reached = [&](const char* point) { fail.reach(point); }},
                              frame.until);
  coordinator.submit(std::move(transaction), [&](const Result& done) { result = done; });
  coordinator.finish();
  try {
    coordinator.work(frame.until);
  } catch (const zk::Stopped&) {
    try {
      coordinator.give_up("its coordinator was told to stop", Until{}.within(session.timeout()));
    } catch (const std::runtime_error& why) {  // the server does not answer, say
      zk::log::warning(why.what());
      for (const auto& doubt : coordinator.in_doubt()) doubt.done({.transaction = doubt.transaction});
    }
    if (result.kind == Result::Kind::aborted) {
      out.finish(Until{}.within(std::chrono::seconds(1)));
      throw;
    }
  } catch (const zk::SessionLost& lost) {
    zk::log::warning(lost.what());
    find_out(frame, options, coordinator.in_doubt());
  }
  try {
    out.finish(frame.until);
  } catch (const zk::ReaderGone&) {
  } catch (const std::runtime_error& why) {  // the status says what became of it all the same
    zk::log::warning(why.what());
  }
  if (result.kind == Result::Kind::aborted && result.transaction.empty()) zk::log::error("aborted: " + result.why);
  if (result.kind == Result::Kind::unknown)
    zk::log::error(result.transaction +
                   " is in doubt: whether it was committed could not be found out. The "
                   "participants settle it; tpc-coordinator " +
                   options.path + " status shows how");
  if (!result.absent.empty()) zk::log::warning("committed, and not acknowledged yet by " + zk::listed(result.absent));
  return status_of(result);
}
