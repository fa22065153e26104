#include "replica.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "error.h"
#include "text.h"

namespace zk {

namespace {

using Json = nlohmann::json;

// An answer is a line of JSON, and then bytes.
std::pair<Json, std::string_view> parse_answer(const std::string& answer) {
  const auto end = answer.find('\n');
  auto head = Json::parse(answer.substr(0, end));
  return {std::move(head), end == std::string::npos ? std::string_view{} : std::string_view(answer).substr(end + 1)};
}

std::string answer_read(const Store& store, const std::string& id, const Json& request,
                        const std::optional<Duration>& cut_off) {
  const std::vector<std::string> keys = request.at("keys");
  const auto view = keys.empty() ? store.read_all() : store.read(keys);
  Json values = Json::object();
  for (const auto& [key, value] : view.values) values[key] = {{"value", value.value}, {"version", value.version}};
  Json answer{{"replica", id}, {"version", view.version}, {"values", std::move(values)}};
  if (cut_off) answer["cut_off_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(*cut_off).count();
  return answer.dump();
}

std::string answer_missed(const Store& store, const Json& request) {
  const auto commits = store.since(request.at("after"));
  if (!commits) return Json{{"image", true}}.dump() + "\n" + store.image();
  Json list = Json::array();
  for (const auto& commit : *commits) {
    Json changes = Json::array();
    for (const auto& [key, value] : commit.changes) changes.push_back({key, value ? Json(*value) : Json()});
    list.push_back({{"version", commit.version}, {"transaction", commit.transaction}, {"changes", changes}});
  }
  return Json{{"commits", list}}.dump();
}

std::string ask_replica(const Presence& replica, const Json& request, const Until& until) {
  Endpoint endpoint;
  try {
    endpoint = Endpoint::parse("its endpoint", replica.endpoint);
  } catch (const Refused& why) {
    throw PeerGone(why.what());
  }
  return ask(endpoint, replica.key, request.dump(), until);
}

// What follows may be large, and take its time.
void await_version(const Presence& replica, std::int64_t at_least, const Until& until) {
  constexpr Duration patience = std::chrono::seconds(2);
  ask_replica(replica, {{"do", "version"}, {"at_least", at_least}}, until.within(patience));
}

template <class Read>
auto understood(const Read& read) {
  try {
    return read();
  } catch (const Json::exception&) {
    throw PeerGone("it answered what nobody understands; is it of another version?");
  }
}

}  // namespace

std::optional<std::string> answer_as_replica(const Store& store, const std::string& id, const std::string& request,
                                             const std::function<std::optional<Duration>()>& cut_off) {
  const Json wanted = Json::parse(request);
  if (store.version() < wanted.at("at_least").get<std::int64_t>()) return std::nullopt;
  const auto what = wanted.at("do").get<std::string>();
  if (what == "version") return Json{{"version", store.version()}}.dump();
  if (what == "read") return answer_read(store, id, wanted, cut_off());
  if (what == "missed") return answer_missed(store, wanted);
  throw Refused("a request for '" + printable(what, 100) + "'");
}

ReplicaView read_from(const Presence& replica, const std::vector<std::string>& keys, std::int64_t at_least,
                      const Until& until) {
  const Json request{{"do", "read"}, {"keys", keys}, {"at_least", at_least}};
  await_version(replica, at_least, until);
  const auto answer = ask_replica(replica, request, until);
  return understood([&] {
    const auto head = parse_answer(answer).first;
    ReplicaView result{.replica = head.at("replica"), .view = {.version = head.at("version"), .values = {}}};
    for (const auto& [key, value] : head.at("values").items())
      result.view.values[key] = {value.at("value"), value.at("version")};
    if (head.contains("cut_off_ms"))
      result.cut_off = std::chrono::milliseconds(head.at("cut_off_ms").get<std::int64_t>());
    return result;
  });
}

Missed missed_since(const Presence& replica, std::int64_t version, std::int64_t at_least, const Until& until) {
  const Json request{{"do", "missed"}, {"after", version}, {"at_least", at_least}};
  await_version(replica, at_least, until);
  const auto answer = ask_replica(replica, request, until);
  return understood([&] {
    Missed missed;
    const auto [head, rest] = parse_answer(answer);
    if (head.contains("image")) {
      missed.image = rest;
      return missed;
    }
    for (const auto& item : head.at("commits")) {
      Commit commit{item.at("version"), item.at("transaction"), {}};
      for (const auto& change : item.at("changes"))
        commit.changes.push_back({change.at(0), change.at(1).is_null()
                                                    ? std::nullopt
                                                    : std::optional<std::string>(change.at(1).get<std::string>())});
      missed.commits.push_back(std::move(commit));
    }
    return missed;
  });
}

std::map<std::string, Presence> present(Session& session, const RegisterPaths& paths, const Until& until) {
  std::map<std::string, Presence> result;
  const auto ids =
      session.insist(until, [&] { return session.children(paths.all_alive()); }).value_or(std::vector<std::string>{});
  std::vector<std::pair<std::string, Reply<std::optional<Node>>>> replies;
  for (const auto& id : ids) replies.emplace_back(id, session.get(paths.alive(id)));
  for (auto& [id, reply] : replies) {
    const auto node = reply.get(until);
    const auto presence = node ? Presence::parse(node->data) : std::nullopt;
    if (presence) result.emplace(id, *presence);
  }
  return result;
}

namespace {

// A transaction that only checks goes the way of all writes, through a quorum; what follows on the same session is at
// least as new.
std::int64_t newest_version(Session& session, const RegisterPaths& paths, bool stale, const Until& until) {
  for (;;) {
    try {
      std::optional<Reply<Outcome>> confirmation;
      if (!stale) confirmation = session.transact({{Operation::Kind::check, paths.log()}});
      auto listing = session.children(paths.log());
      if (confirmation) confirmation->get(until);
      const auto names = listing.get(until);
      if (!names) throw Refused("there is no register at " + paths.root + "; a tpc-participant makes it");
      const auto log = log_entries(*names);
      return log.empty() ? 0 : log.back().version;
    } catch (const ConnectionLoss&) {
      session.wait_connected(until);
    }
  }
}

}  // namespace

RegisterReading read_register(Session& session, const RegisterPaths& paths, const std::vector<std::string>& keys,
                              bool stale, const Until& until) {
  const auto newest = newest_version(session, paths, stale, until);
  for (std::string last = "nobody answers";;) {
    const auto replicas = present(session, paths, until);
    if (replicas.empty())
      throw Refused("nobody is alive at " + paths.root + " who could be asked; tpc-coordinator " + paths.root +
                    " status shows who is missing");
    std::vector<std::pair<std::string, Presence>> order(replicas.begin(), replicas.end());
    std::ranges::shuffle(order, std::mt19937(std::random_device()()));
    for (const auto& [id, replica] : order) {
      try {
        return {read_from(replica, keys, stale ? 0 : newest, until), newest};
      } catch (const PeerGone& why) {
        last = id + ": " + why.what();
      } catch (const TimedOut&) {
        last = id + " does not have version " + std::to_string(newest) + " yet, or does not answer";
        if (until.expired()) throw TimedOut("gave up reading " + paths.root + ": " + last);
      }
    }
    try {
      pause(std::chrono::milliseconds(100), until);
    } catch (const TimedOut&) {
      throw TimedOut("gave up reading " + paths.root + ": " + last);
    }
  }
}

}  // namespace zk
