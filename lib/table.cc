#include "table.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "error.h"
#include "identity.h"
#include "lock.h"
#include "path.h"
#include "wall_clock.h"

namespace zk {

namespace {

using Phase = SeatState::Phase;
using Json = nlohmann::ordered_json;

constexpr std::size_t most_recent = 16;

constexpr std::string_view seat_prefix = "seat-", record_prefix = "left-", referee_prefix = "referee-",
                           request_prefix = "put-down-";

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = -1;
  const char* const end = text.data() + text.size();
  const auto [at, failed] = std::from_chars(text.data(), end, number);
  return failed == std::errc() && at == end && number >= 0 ? std::optional(number) : std::nullopt;
}

std::vector<std::string> children_of(Session& session, const std::string& path, const Until& until) {
  return session.insist(until, [&] { return session.children(path); }).value_or(std::vector<std::string>{});
}

std::string who_sits(const std::optional<Node>& seat) {
  const auto who = seat ? Identity::parse(seat->data) : std::nullopt;
  return who ? who->shown() : "somebody";
}

}  // namespace

std::string seat_node(int seat) { return std::string(seat_prefix) + std::to_string(seat); }
std::string fork_node(int fork) { return "fork-" + std::to_string(fork); }
std::string record_node(int seat, std::int64_t began) {
  return std::string(record_prefix) + std::to_string(seat) + "-" + std::to_string(began);
}
std::string referee_node(std::int64_t session) { return std::string(referee_prefix) + std::to_string(session); }
std::string request_node(int seat) { return std::string(request_prefix) + std::to_string(seat); }

std::optional<int> parse_seat(const std::string& name) {
  if (!name.starts_with(seat_prefix)) return std::nullopt;
  return parse_number<int>(std::string_view(name).substr(seat_prefix.size()));
}

std::optional<std::pair<int, std::int64_t>> parse_record(const std::string& name) {
  if (!name.starts_with(record_prefix)) return std::nullopt;
  const auto rest = std::string_view(name).substr(record_prefix.size());
  const auto dash = rest.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto seat = parse_number<int>(rest.substr(0, dash));
  const auto began = parse_number<std::int64_t>(rest.substr(dash + 1));
  if (!seat || !began) return std::nullopt;
  return std::pair(*seat, *began);
}

std::string TableState::json() const {
  return Json{{"seats", seats}, {"rule", name_of(rule)}, {"begun", begun}}.dump();
}

std::optional<TableState> TableState::parse(const std::string& data) {
  try {
    const Json object = Json::parse(data);
    const auto rule = parse_rule(object.at("rule").get<std::string>());
    if (!rule) return std::nullopt;
    const TableState table{object.at("seats"), *rule, object.at("begun")};
    return table.seats < 2 || table.seats > most_seats ? std::nullopt : std::optional(table);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

void clear_table(Session& session, const std::string& path, const Until& until) {
  const auto names = children_of(session, path, until);
  const auto in_use = [](const std::string& name) {
    return name.starts_with(seat_prefix) || name.starts_with(referee_prefix);
  };
  if (std::ranges::any_of(names, in_use)) return;
  std::vector<std::string> left;
  for (const auto& name : names)
    if (name == "lock" || name.starts_with(record_prefix) || name.starts_with(request_prefix))
      left.push_back(join(path, name));
  left.push_back(path);
  for (const auto& node : left) {
    try {
      session.insist(until, [&] { return session.remove(node); });
    } catch (const Error& error) {
      if (error.code() != Code::not_empty) throw;  // somebody has just come
    }
  }
}

// --- coming and going ---

Diner Diner::sit(Session& session, const TableRequest& request, const Until& until) {
  check_path(request.path);
  Diner diner(session, request);
  diner.state_.about = request.about;
  const auto [left, right] = neighbours_of(request.seat, request.seats);
  diner.neighbours_.push_back({left});
  if (right != left) diner.neighbours_.push_back({right});
  diner.sit_down(until);
  return diner;
}

void Diner::sit_down(const Until& until) {
  const std::string ours = node(seat_node(request_.seat));
  TableState table{request_.seats, request_.rule};
  for (;;) {
    const auto folder = session_->insist(until, [&] { return session_->get(request_.path); });
    const auto children = session_->insist(until, [&] { return session_->children(request_.path); });
    if (!folder || !children) {
      session_->make_directory(request_.path, table.json(), until);
      continue;
    }
    const bool empty = std::ranges::none_of(*children, [](const auto& name) { return parse_seat(name).has_value(); });
    const auto found = TableState::parse(folder->data);
    if (!found && !folder->data.empty())
      throw Refused(request_.path + " holds data of something else, where a table keeps its own");
    if (empty && (!found || found->json() != table.json())) {  // of those who were here before us
      session_->insist(until, [&] { return session_->set(request_.path, table.json(), folder->stat.version); });
      continue;
    }
    if (!found) continue;
    if (found->seats != request_.seats || found->rule != request_.rule)
      throw Refused(request_.path + " is a table of " + std::to_string(found->seats) + " seats with the rule " +
                    std::string(name_of(found->rule)) + ", not of " + std::to_string(request_.seats) + " with " +
                    std::string(name_of(request_.rule)) + ": all must say the same");
    try {
      if (!take_seat(*folder, *found, until)) continue;
    } catch (const ConnectionLoss&) {
      session_->insist(until, [&] { return session_->sync(request_.path); });
    }
    const auto there = session_->insist(until, [&] { return session_->get(ours); });
    if (there && there->stat.owner == session_->id()) {
      began_ = there->stat.czxid;
      return;
    }
    if (there)
      throw Refused("seat " + std::to_string(request_.seat) + " of " + request_.path + " is taken by " +
                    who_sits(there) + "; if that one is dead, it is free when its session has ended");
  }
}

// Answers false if something has changed since the folder was read: then all is to be looked at again. True does not
// mean that the seat is ours.
bool Diner::take_seat(const Node& folder, const TableState& table, const Until& until) {
  state_.turns = turns_to_begin_with(living(until));
  state_.since = wall_clock();
  // The folder is written as well: of two who sit down at the same time one goes round again, and sees the other one.
  // Nor may a neighbour have eaten or gone since we took over its count.
  std::vector<Operation> operations{
      {Operation::Kind::set, request_.path, table.json(), Mode::persistent, folder.stat.version},
      {Operation::Kind::create, node(seat_node(request_.seat)), state_.json(), Mode::ephemeral}};
  for (const auto& neighbour : neighbours_)
    if (neighbour.state)
      operations.push_back(
          {Operation::Kind::check, node(seat_node(neighbour.seat)), "", Mode::persistent, neighbour.version});
  const Outcome outcome = session_->transact(operations).get(until);
  if (outcome.code == Code::no_auth) throw Error(Code::no_auth, "sit down at", request_.path);
  return outcome.code == Code::ok || outcome.code == Code::node_exists;
}

void Diner::await_all(const Until& until) {
  for (;;) {
    try {
      auto [reading, change] = session_->watch(request_.path);
      auto [listing, coming] = session_->watch_children(request_.path);
      const auto folder = reading.get(until);
      const auto children = listing.get(until);
      auto table = folder ? TableState::parse(folder->data) : std::nullopt;
      if (!table || !children) throw SessionLost("the table was deleted");
      if (table->begun) return;
      int taken = 0;
      for (int seat = 0; seat < request_.seats; ++seat)
        taken += std::ranges::find(*children, seat_node(seat)) != children->end() ? 1 : 0;
      if (taken == request_.seats) {
        table->begun = true;
        session_->insist(until, [&] { return session_->set(request_.path, table->json(), folder->stat.version); });
      } else {
        Watch::wait_any({&change, &coming}, until,
                        std::to_string(request_.seats - taken) + " more at " + request_.path);
      }
    } catch (const ConnectionLoss&) {
      session_->wait_connected(until);
    }
  }
}

void Diner::leave(const Until& until) {
  const std::string seat = node(seat_node(request_.seat));
  // A referee may be slow to look, and the seat's node goes now.
  const auto names = children_of(*session_, request_.path, until);
  if (state_.meals > 0 &&
      std::ranges::any_of(names, [](const auto& name) { return name.starts_with(referee_prefix); })) {
    const std::string record = node(record_node(request_.seat, began_));
    session_->insist(until, [&] { return session_->create(record, state_.json(), Mode::persistent); });
  }
  session_->insist(until, [&] { return session_->remove(seat); });
  clear_table(*session_, request_.path, until);
}

// --- eating ---

std::int64_t Diner::take_forks(const Until& until) {
  meal_ = {.number = state_.meals + 1, .hungry = state_.phase == Phase::hungry ? state_.since : wall_clock()};
  const int left = both()[0], right = both()[1];
  try {
    switch (request_.rule) {
      case Rule::fair:
        take_fairly(until);
        break;
      case Rule::table:
        take_under_lock(until);
        break;
      case Rule::ordered:
        take_in_order({std::min(left, right), std::max(left, right)}, until);
        break;
      case Rule::naive:
        take_in_order({left, right}, until);
        break;
    }
  } catch (const SessionLost&) {
    throw;
  } catch (const std::runtime_error&) {
    lay_down(Until{}.within(session_->timeout()));
    throw;
  }
  meal_.token = at_;
  meal_.eating = state_.since;
  return meal_.token;
}

void Diner::put_forks(bool hungry_again, const Until& until) {
  meal_.done = wall_clock();
  SeatState next = state_;
  next.phase = hungry_again ? Phase::hungry : Phase::thinking;
  next.since = meal_.done;
  next.holds.clear();
  next.recent.push_back(meal_);
  if (next.recent.size() > most_recent) next.recent.erase(next.recent.begin());
  if (!write(next, removing(both()), until)) throw SessionLost("its forks were taken away by someone else");
  // When that was is known only now; it is written with the next.
  meal_.put = state_.recent.back().put = at_;
}

SeatState Diner::eating() const {
  SeatState next = state_;
  next.phase = Phase::eating;
  next.since = wall_clock();
  next.holds = both();
  next.waits_for.reset();
  ++next.meals;
  ++next.turns.left;
  ++next.turns.right;
  return next;
}

SeatState Diner::holding(int fork) const {
  SeatState next = hungry({});
  next.holds.push_back(fork);
  return next;
}

SeatState Diner::hungry(std::optional<int> waits_for) const {
  SeatState next = state_;
  next.phase = Phase::hungry;
  next.since = meal_.hungry;
  next.waits_for = waits_for;
  return next;
}

void Diner::take_fairly(const Until& until) {
  for (;;) {
    try {
      const Beside others = living(until);
      Changes changes;
      for (const auto& neighbour : neighbours_) changes.push_back(neighbour.change);
      if (may_eat(state_.turns, others)) {
        if (write(eating(), creating(both()), until)) return;
        // A fork is there all the same: its holder has just changed, or has no seat.
        if (!watch_forks(both(), changes, until)) continue;
      }
      if (state_.phase != Phase::hungry) write(hungry({}), {}, until);
      wait(changes, until);
    } catch (const ConnectionLoss&) {
      session_->wait_connected(until);
      for (auto& neighbour : neighbours_) neighbour.change.reset();
    }
  }
}

void Diner::take_under_lock(const Until& until) {
  if (state_.phase != Phase::hungry) write(hungry({}), {}, until);
  auto lock = Lock::acquire(*session_, {.path = node("lock"), .about = request_.about}, until);
  const auto release = [&] { lock->release(Until{}.within(session_->timeout())); };
  try {
    take_both(until);
  } catch (const SessionLost&) {
    throw;
  } catch (...) {
    release();
    throw;
  }
  release();
}

void Diner::take_both(const Until& until) {
  for (;;) {
    try {
      if (write(eating(), creating(both()), until)) return;
      Changes changes;
      if (watch_forks(both(), changes, until)) wait(changes, until);
    } catch (const ConnectionLoss&) {
      session_->wait_connected(until);
    }
  }
}

void Diner::take_in_order(const std::vector<int>& forks, const Until& until) {
  for (std::size_t i = 0; i < forks.size();) {
    try {
      if (write(i + 1 < forks.size() ? holding(forks[i]) : eating(), creating({forks[i]}), until)) {
        ++i;
        continue;
      }
      Changes changes;
      if (!watch_forks({forks[i]}, changes, until)) continue;
      if (state_.waits_for != forks[i]) write(hungry(forks[i]), {}, until);
      if (!state_.holds.empty() && asked_to_put_down(changes, until)) {
        lay_down(until);
        changes.pop_back();
        i = 0;  // but not before somebody else has eaten: our first fork is for the one who waits for it
      }
      wait(changes, until);
    } catch (const ConnectionLoss&) {
      session_->wait_connected(until);
    }
  }
}

// --- the parts ---

std::vector<int> Diner::both() const {
  const auto [left, right] = forks_of(request_.seat, request_.seats);
  return {left, right};
}

std::string Diner::node(const std::string& name) const { return join(request_.path, name); }

std::vector<std::string> Diner::forks() const {
  std::vector<std::string> nodes;
  for (const int fork : both()) nodes.push_back(node(fork_node(fork)));
  return nodes;
}

std::vector<Operation> Diner::creating(const std::vector<int>& forks) const {
  std::vector<Operation> operations;
  for (const int fork : forks)
    operations.push_back({Operation::Kind::create, node(fork_node(fork)),
                          Json{{"seat", request_.seat}, {"meal", state_.meals + 1}}.dump(), Mode::ephemeral});
  return operations;
}

std::vector<Operation> Diner::removing(const std::vector<int>& forks) const {
  std::vector<Operation> operations;
  for (const int fork : forks) operations.push_back({Operation::Kind::remove, node(fork_node(fork))});
  return operations;
}

// Our seat and what goes with it, in one transaction. Answers false if a fork is held by somebody. Done once, also when
// answers are lost: nobody else writes our seat, so its version tells.
bool Diner::write(SeatState next, std::vector<Operation> operations, const Until& until) {
  const std::string seat = node(seat_node(request_.seat));
  operations.push_back({Operation::Kind::set, seat, next.json(), Mode::persistent, version_});
  const auto written = [&](std::int64_t at) {
    state_ = std::move(next);
    ++version_;
    at_ = at;
    return true;
  };
  // Once it is on its way we have to know what becomes of it, or we would leave forks behind.
  pause(Duration::zero(), until);
  const Until known = Until{}.within(session_->timeout());
  for (;;) {
    try {
      const Outcome outcome = session_->transact(operations).get(known);
      if (outcome.code == Code::ok) return written(outcome.stats.back().mzxid);
      if (outcome.code == Code::node_exists) return false;
      if (outcome.code == Code::no_auth) throw Error(Code::no_auth, "write to", seat);
      throw SessionLost("its seat or a fork was deleted by someone else");
    } catch (const ConnectionLoss&) {
      session_->insist(known, [&] { return session_->sync(seat); });
      const auto there = session_->insist(known, [&] { return session_->stat(seat); });
      if (there && there->version == version_ + 1) return written(there->mzxid);
    }
  }
}

void Diner::look(Neighbour& neighbour, const Until& until) {
  const std::string seat = node(seat_node(neighbour.seat));
  for (;;) {
    auto [reading, change] = session_->watch(seat);
    if (const auto there = reading.get(until)) {
      neighbour.state = SeatState::parse(there->data);
      neighbour.version = there->stat.version;
      neighbour.change = change;
      return;
    }
    auto [looking, coming] = session_->watch_stat(seat);
    if (looking.get(until)) continue;
    neighbour.state.reset();
    neighbour.change = coming;
    return;
  }
}

// Who sits beside us now.
Beside Diner::living(const Until& until) {
  for (auto& neighbour : neighbours_)
    if (!neighbour.change || neighbour.change->fired()) look(neighbour, until);
  return {neighbours_.front().state, neighbours_.back().state};
}

// Answers false if none of them is held by anybody any more.
bool Diner::watch_forks(const std::vector<int>& forks, Changes& changes, const Until& until) {
  bool held = false;
  for (const int fork : forks) {
    auto [reading, change] = session_->watch(node(fork_node(fork)));
    if (!reading.get(until)) continue;
    changes.emplace_back(change);
    held = true;
  }
  return held;
}

bool Diner::asked_to_put_down(Changes& changes, const Until& until) {
  auto [looking, change] = session_->watch_stat(node(request_node(request_.seat)));
  changes.emplace_back(change);
  return looking.get(until).has_value();
}

void Diner::lay_down(const Until& until) {
  if (state_.phase != Phase::hungry || state_.holds.empty()) return;
  SeatState next = hungry({});
  next.holds.clear();
  write(next, removing(state_.holds), until);
}

void Diner::wait(const Changes& changes, const Until& until) {
  std::vector<const Watch*> watches;
  for (const auto& change : changes)
    if (change) watches.push_back(&*change);
  Watch::wait_any(watches, until, "forks at " + request_.path);
}

}  // namespace zk
