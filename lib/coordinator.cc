#include "coordinator.h"

#include <algorithm>

#include "error.h"
#include "path.h"
#include "random_id.h"
#include "replica.h"
#include "text.h"

namespace zk {

namespace {

using Names = std::vector<std::string>;
using What = Milestone::What;

constexpr std::size_t most_left = 8;           // of those that are over
constexpr std::size_t most_at_once = 400'000;  // bytes in a transaction; a server drops who sends more than 1 MiB
constexpr Duration rest_before_cleaning = std::chrono::milliseconds(50);
constexpr std::size_t most_beside_the_changes = 100'000;  // in a transaction's node: the roster, who we are

std::size_t bytes_of(const std::vector<Operation>& operations) {
  constexpr std::size_t beside = 64 + 256;  // what an operation has beside its path, and a long chroot
  std::size_t bytes = 0;
  for (const auto& operation : operations) bytes += operation.path.size() + operation.data.size() + beside;
  return bytes;
}

std::set<std::string> as_set(std::optional<Names> names, const std::string& path) {
  if (!names) throw Refused(path + " has vanished: somebody has removed the register");
  return {names->begin(), names->end()};
}

}  // namespace

Coordinator::Coordinator(Session& session, const CoordinatorRequest& request, const Until& until)
    : session_(&session), request_(request), paths_{request.path}, bell_(session.own_watch()) {
  check_path(request.path);
  enroll(until);
}

void Coordinator::reached(const char* point) const {
  if (request_.reached) request_.reached(point);
}

void Coordinator::tell(const Milestone& milestone) const {
  if (request_.tell) request_.tell(milestone);
}

// Our number makes the names of our transactions unlike all others that ever were.
void Coordinator::enroll(const Until& until) {
  const auto prefix = random_id(8) + "-";
  for (;;) {
    try {
      auto creating = session_->create(join(paths_.coordinators(), prefix), request_.about, Mode::ephemeral_sequential);
      auto logged = session_->children(paths_.log());
      auto proposed = session_->children(paths_.proposals());
      const auto made = creating.get(until);
      if (made.code == Code::no_node)
        throw Refused("there is no register at " + request_.path + "; a tpc-participant makes it");
      if (made.code != Code::ok) throw Error(made.code, "create", paths_.coordinators());
      number_ = coordinator_number(made.path).value_or(0);
      const auto log = log_entries(logged.get(until).value_or(Names{}));
      const auto names = proposed.get(until).value_or(Names{});
      trimmable_ = done_with(log, names);
      if (log.empty()) return;
      newest_ = log.back().version;
      if (std::ranges::find(names, log.back().transaction) == names.end()) trimmable_.push_back(log.back());
      return;
    } catch (const ConnectionLoss&) {
      // A node that we do not know of would be one of a coordinator without transactions, until our session ends.
      session_->wait_connected(until);
    }
  }
}

// --- handing over ---

void Coordinator::check(const Transaction& transaction, const std::string& path) {
  const auto bytes = transaction.json().size();
  constexpr auto most = most_data - most_beside_the_changes;
  if (bytes > most)
    throw Refused("a transaction of " + std::to_string(bytes) + " bytes is too large for " + path + ": at most " +
                  std::to_string(most));
}

void Coordinator::submit(Transaction transaction, Done done) {
  {
    const std::lock_guard lock(mutex_);
    submitted_.push_back({std::move(transaction), std::move(done)});
  }
  bell_.fire();
}

void Coordinator::finish() {
  {
    const std::lock_guard lock(mutex_);
    no_more_ = true;
  }
  bell_.fire();
}

bool Coordinator::idle() {
  const std::lock_guard lock(mutex_);
  return no_more_ && submitted_.empty() &&
         std::ranges::all_of(flights_, [](const auto& entry) { return entry.second.lingers; });
}

std::vector<InDoubt> Coordinator::in_doubt() {
  std::vector<InDoubt> list;
  for (auto& [id, flight] : flights_)
    if (flight.done) list.push_back({id, flight.since, std::move(flight.done)});
  const std::lock_guard lock(mutex_);
  for (auto& [transaction, done] : submitted_) list.push_back({"", 0, std::move(done)});
  flights_.clear();
  submitted_.clear();
  return list;
}

// --- a round ---

void Coordinator::work(const Until& until) {
  for (;;) {
    try {
      while (!idle()) {
        bell_.take();
        look(until);
        decide_all(until);
        await_acknowledgements();
        look_after_lingering();
        clear_up(until);
        if (!idle()) wait(until);
      }
      return trim(until);
    } catch (const ConnectionLoss&) {
      // What is read next must not be older than what we did.
      session_->insist(until, [&] { return session_->sync(request_.path); });
      forget_what_was_seen();
    }
  }
}

void Coordinator::give_up(const std::string& why, const Until& until) {
  std::vector<Submission> submitted;
  {
    const std::lock_guard lock(mutex_);
    no_more_ = true;
    submitted.swap(submitted_);
  }
  for (auto& [transaction, done] : submitted) done({.kind = Result::Kind::aborted, .why = why});
  giving_up_ = why;
  work(until);
}

void Coordinator::forget_what_was_seen() {
  members_change_.reset();
  alive_change_.reset();
  positions_.clear();
  cleaning_.reset();
  for (auto& [id, flight] : flights_) flight.change.reset();
}

void Coordinator::look(const Until& until) {
  look_at_members(until);
  begin_new(until);
  look_at_votes(until);
}

void Coordinator::look_at_members(const Until& until) {
  const auto stale = [](const std::optional<Watch>& change) { return !change || change->fired(); };
  std::optional<Reply<std::optional<Names>>> members, alive;
  const auto read = [&](const std::string& path, std::optional<Watch>& change, auto& reply) {
    if (!stale(change)) return;
    auto [asked, watch] = session_->watch_children(path);
    reply = asked;
    change = watch;
  };
  read(paths_.members(), members_change_, members);
  read(paths_.all_alive(), alive_change_, alive);
  std::vector<std::pair<std::string, Reply<std::optional<Node>>>> positions;
  const auto read_position = [&](const std::string& id) {
    if (!stale(positions_[id].change)) return;
    auto [asked, watch] = session_->watch(paths_.member(id));
    positions.emplace_back(id, asked);
    positions_[id].change = watch;
  };
  if (!flights_.empty())
    for (const auto& id : members_) read_position(id);

  if (alive) alive_ = as_set(alive->get(until), paths_.all_alive());
  if (members) {
    members_ = as_set(members->get(until), paths_.members());
    std::erase_if(positions_, [&](const auto& entry) { return !members_.contains(entry.first); });
    if (!flights_.empty())
      for (const auto& id : members_) read_position(id);
  }
  for (auto& [id, reply] : positions) {
    const auto node = reply.get(until);
    const auto membership = node ? Membership::parse(node->data) : std::nullopt;
    if (membership && positions_.contains(id)) positions_[id].version = membership->version;
  }
}

void Coordinator::begin_new(const Until& until) {
  std::vector<Submission> submitted;
  {
    const std::lock_guard lock(mutex_);
    submitted.swap(submitted_);
  }
  for (auto& [transaction, done] : submitted) {
    const auto roster = roster_of(members_, alive_, request_.quorum);
    if (!roster.why_not.empty()) {
      done({.kind = Result::Kind::aborted, .why = roster.why_not});
      continue;
    }
    const auto id = std::to_string(number_) + "-" + std::to_string(++begun_);
    Flight flight;
    flight.proposal = {.id = id, .about = request_.about, .roster = roster.ids, .transaction = std::move(transaction)};
    flight.done = std::move(done);
    flight.since = newest_;
    flight.deadline = request_.patience == Duration::max() ? Time::max() : Clock::now() + request_.patience;
    tell({.what = What::begin,
          .transaction = id,
          .proposal = &flights_.emplace(id, std::move(flight)).first->second.proposal});
  }
  // Also those whose creation was not answered.
  std::vector<std::pair<Flight*, Reply<Created>>> creating;
  std::vector<std::pair<Flight*, Reply<std::optional<Names>>>> watching;
  for (auto& [id, flight] : flights_) {
    if (flight.stage != Flight::Stage::beginning) continue;
    creating.emplace_back(&flight, session_->create(paths_.proposal(id), flight.proposal.json(), Mode::persistent));
    auto [children, change] = session_->watch_children(paths_.proposal(id));
    watching.emplace_back(&flight, children);
    flight.change = change;
  }
  for (auto& [flight, reply] : creating) {
    const auto made = reply.get(until);
    if (made.code == Code::no_node) throw Refused(request_.path + " has vanished: somebody has removed the register");
    flight->stage = Flight::Stage::voting;
  }
  if (!creating.empty()) reached("after-begin");
  for (auto& [flight, reply] : watching) take_votes(*flight, reply.get(until), until);
}

void Coordinator::look_at_votes(const Until& until) {
  std::vector<std::pair<Flight*, Reply<std::optional<Names>>>> watching;
  for (auto& [id, flight] : flights_) {
    if (flight.stage != Flight::Stage::voting || (flight.change && !flight.change->fired())) continue;
    auto [children, change] = session_->watch_children(paths_.proposal(id));
    watching.emplace_back(&flight, children);
    flight.change = change;
  }
  for (auto& [flight, reply] : watching) take_votes(*flight, reply.get(until), until);
}

void Coordinator::take_votes(Flight& flight, const std::optional<Names>& children, const Until& until) {
  const auto& id = flight.proposal.id;
  // Only we decide while our session lasts: it is our own abort whose answer was lost, or somebody has meddled.
  if (!children) return flight.aborting ? aborted(flight) : in_doubt(flight);
  const auto votes = Votes::of(*children);
  for (const auto& member : flight.proposal.roster) {
    if (flight.votes.from(member) || !votes.from(member)) continue;
    const bool yes = votes.yes.contains(member);
    std::string why;
    if (!yes) {
      const auto node = session_->get(paths_.vote(id, false, member)).get(until);
      why = node ? printable(node->data, 400) : "";
      flight.why += (flight.why.empty() ? "" : "; ") + member + ": " + why;
    }
    tell({.what = What::vote, .transaction = id, .member = member, .text = why, .yes = yes});
  }
  flight.votes = votes;
  if (votes.committed) find_version(flight, until);
}

// A commit of ours that we had no answer to.
void Coordinator::find_version(Flight& flight, const Until& until) {
  const auto log = log_entries(session_->children(paths_.log()).get(until).value_or(Names{}));
  const auto entry = std::ranges::find(log, flight.proposal.id, &LogEntry::transaction);
  if (entry == log.end()) throw Unknown(flight.proposal.id + " is committed, but not in the log of " + request_.path);
  committed(flight, *entry);
}

// --- deciding ---

void Coordinator::decide_all(const Until& until) {
  std::vector<Flight*> to_commit, to_abort;
  for (auto& [id, flight] : flights_) {
    if (flight.stage != Flight::Stage::voting) continue;
    std::string reason = giving_up_;
    if (reason.empty() && Clock::now() >= flight.deadline) reason = "no vote in time";
    const auto verdict = decide(flight.proposal.roster, flight.votes, alive_, reason);
    if (verdict.kind == Verdict::Kind::commit) to_commit.push_back(&flight);
    if (verdict.kind != Verdict::Kind::abort) continue;
    if (flight.votes.no.empty()) {
      flight.why = verdict.why;
      if (!reason.empty() && !verdict.missing.empty()) flight.why += "; not heard of: " + listed(verdict.missing);
    }
    to_abort.push_back(&flight);
  }
  if (!to_commit.empty() || !to_abort.empty()) reached("before-decision");
  if (!to_commit.empty()) commit_all(to_commit, until);
  for (auto* flight : to_abort) abort(*flight, until);
  if (!to_commit.empty() || !to_abort.empty()) reached("after-decision");
}

void Coordinator::commit_all(const std::vector<Flight*>& flights, const Until& until) {
  std::vector<Flight*> together;
  std::size_t bytes = 0;
  const auto commit_those = [&] {
    if (!commit(together, until) && together.size() > 1)
      for (auto* flight : together) commit({flight}, until);
    together.clear();
    bytes = 0;
  };
  for (auto* flight : flights) {
    bytes += bytes_of(commit_operations(paths_, flight->proposal.id, flight->proposal.roster));
    if (!together.empty() && bytes > most_at_once) commit_those();
    together.push_back(flight);
  }
  commit_those();
}

// In one transaction. If it fails, somebody has meddled, and the votes are looked at anew.
bool Coordinator::commit(const std::vector<Flight*>& flights, const Until& until) {
  std::vector<Operation> operations;
  std::vector<std::size_t> entries;
  for (const auto* flight : flights) {
    const auto own = commit_operations(paths_, flight->proposal.id, flight->proposal.roster);
    operations.insert(operations.end(), own.begin(), own.end());
    entries.push_back(operations.size() - 1);
  }
  const auto outcome = session_->transact(operations).get(until);
  if (outcome.code == Code::no_auth) throw Error(outcome.code, "commit at", request_.path);
  for (std::size_t i = 0; i < flights.size(); ++i) {
    if (outcome.code != Code::ok) {
      flights[i]->change.reset();
      continue;
    }
    const auto made = log_entries({name_of(outcome.created.at(entries[i]))});
    committed(*flights[i], made.at(0));
  }
  return outcome.code == Code::ok;
}

void Coordinator::abort(Flight& flight, const Until& until) {
  flight.aborting = true;
  const auto outcome = session_->transact(removal_operations(paths_, flight.proposal.id, flight.votes)).get(until);
  if (outcome.code == Code::no_auth) throw Error(outcome.code, "abort at", request_.path);
  if (outcome.code == Code::ok || outcome.code == Code::no_node) return aborted(flight);
  flight.change.reset();  // a vote came in
}

void Coordinator::committed(Flight& flight, const LogEntry& entry) {
  flight.entry = entry;
  if (!flight.votes.committed) flight.votes.names.push_back("committed");
  flight.stage = Flight::Stage::acknowledging;
  flight.deadline = request_.patience == Duration::max() ? Time::max() : Clock::now() + request_.patience;
  newest_ = std::max(newest_, entry.version);
  tell({.what = What::committed, .transaction = flight.proposal.id, .version = entry.version});
}

void Coordinator::in_doubt(Flight& flight) {
  flight.stage = Flight::Stage::over;
  flight.done(
      {.kind = Result::Kind::unknown, .transaction = flight.proposal.id, .why = "somebody else has settled it"});
  flight.done = nullptr;
}

void Coordinator::aborted(Flight& flight) {
  flight.stage = Flight::Stage::over;
  tell({.what = What::aborted, .transaction = flight.proposal.id, .text = flight.why});
  flight.done({.kind = Result::Kind::aborted, .transaction = flight.proposal.id, .why = flight.why});
  flight.done = nullptr;
}

// --- afterwards ---

// It is over for who asked when all those who are alive have it. The others read it from ZooKeeper when they come back.
void Coordinator::await_acknowledgements() {
  for (auto& [id, flight] : flights_) {
    if (flight.stage != Flight::Stage::acknowledging || !flight.done) continue;
    std::vector<std::string> absent;
    bool wait = false;
    for (const auto& member : flight.proposal.roster) {
      if (!members_.contains(member) || flight.acknowledged.contains(member)) continue;
      if (positions_[member].version >= flight.entry.version) {
        flight.acknowledged.insert(member);
        tell({.what = What::acknowledged, .transaction = id, .member = member, .version = flight.entry.version});
        continue;
      }
      absent.push_back(member);
      wait = wait || alive_.contains(member);
    }
    if (wait && giving_up_.empty() && Clock::now() < flight.deadline) continue;
    flight.done(
        {.kind = Result::Kind::committed, .transaction = id, .version = flight.entry.version, .absent = absent});
    flight.done = nullptr;
    flight.finished = Clock::now();
    flight.lingers = !absent.empty() || flight.acknowledged.empty();
  }
}

// Somebody has been away, and has caught up. If that is after us, whoever acknowledges last clears up.
void Coordinator::look_after_lingering() {
  for (auto& [id, flight] : flights_) {
    if (!flight.lingers) continue;
    bool missing = false;
    for (const auto& member : flight.proposal.roster) {
      if (!members_.contains(member)) continue;
      if (positions_[member].version >= flight.entry.version)
        flight.acknowledged.insert(member);
      else
        missing = true;
    }
    if (missing || flight.acknowledged.empty()) continue;
    flight.lingers = false;
    flight.finished = Clock::now();
  }
}

bool Coordinator::is_finished(const Flight& flight) {
  return flight.stage == Flight::Stage::acknowledging && !flight.done && !flight.lingers;
}

std::vector<Operation> Coordinator::clearing(const Flight& flight) const {
  auto operations = clearing_operations(paths_, flight.proposal.id, flight.votes, flight.acknowledged);
  // The newest entry stays: by it a replica sees whether it is up to date.
  if (flight.entry.version < newest_)
    operations.push_back({Operation::Kind::remove, join(paths_.log(), flight.entry.name)});
  return operations;
}

void Coordinator::clear_up(const Until& until) {
  if (cleaning_) finish_cleaning(until);
  std::erase_if(flights_, [](const auto& entry) { return entry.second.stage == Flight::Stage::over; });
  if (!time_to_clean()) return;
  std::vector<Operation> operations;
  std::vector<std::string> cleaned;
  for (auto& [id, flight] : flights_) {
    if (!is_finished(flight)) continue;
    const auto own = clearing(flight);
    if (!cleaned.empty() && bytes_of(operations) + bytes_of(own) > most_at_once) break;
    operations.insert(operations.end(), own.begin(), own.end());
    cleaned.push_back(id);
  }
  reached("before-cleanup");
  cleaning_ = CleanUp{session_->transact(operations), std::move(cleaned), newest_};
}

// Each time wakes all participants; so some are cleared away together, unless there is nothing else to do.
bool Coordinator::time_to_clean() {
  std::size_t finished = 0;
  Time oldest = Time::max();
  std::size_t lingering = 0;
  for (const auto& [id, flight] : flights_) {
    if (flight.lingers) ++lingering;
    if (!is_finished(flight)) continue;
    ++finished;
    oldest = std::min(oldest, flight.finished);
  }
  clean_at_ = finished == 0 ? Time::max() : oldest + rest_before_cleaning;
  if (finished == 0) return false;
  if (finished >= most_left || Clock::now() >= clean_at_) return true;
  const std::lock_guard lock(mutex_);
  return no_more_ && submitted_.empty() && finished + lingering == flights_.size();
}

void Coordinator::finish_cleaning(const Until& until) {
  const auto outcome = cleaning_->reply.get(until);
  const bool alone = cleaning_->transactions.size() == 1;
  for (const auto& id : cleaning_->transactions) {
    const auto& flight = flights_.at(id);
    // One that somebody has meddled with stays, for who comes after us; the others go.
    const bool again = outcome.code != Code::ok && !alone;
    const bool gone =
        outcome.code == Code::ok || (again && session_->transact(clearing(flight)).get(until).code == Code::ok);
    if (gone && flight.entry.version >= cleaning_->newest) trimmable_.push_back(flight.entry);
    flights_.erase(id);
  }
  cleaning_.reset();
  trim(until);
}

// What was the newest entry, and those that others have left. Others may do the same at the same time.
void Coordinator::trim(const Until& until) {
  std::vector<Reply<bool>> removals;
  std::erase_if(trimmable_, [&](const LogEntry& entry) {
    if (entry.version >= newest_) return false;
    removals.push_back(session_->remove(join(paths_.log(), entry.name)));
    return true;
  });
  for (auto& removal : removals) removal.get(until);
}

void Coordinator::wait(const Until& until) {
  std::vector<const Watch*> watches{&bell_, &*members_change_, &*alive_change_};
  Time deadline = std::min(until.deadline, clean_at_);
  if (!flights_.empty())
    for (const auto& id : members_) {
      if (!positions_[id].change) return;  // not read yet: the first transaction has just begun
      watches.push_back(&*positions_[id].change);
    }
  for (const auto& [id, flight] : flights_) {
    if (flight.stage == Flight::Stage::voting && !flight.change) return;
    if (flight.stage == Flight::Stage::voting) watches.push_back(&*flight.change);
    if (flight.done) deadline = std::min(deadline, flight.deadline);
  }
  try {
    Watch::wait_any(watches, {deadline, until.stop}, request_.path);
  } catch (const TimedOut&) {
    if (until.expired()) throw;
  }
}

// --- after the end of a session ---

namespace {

// It is not in ZooKeeper any more: aborted, or committed and on everybody's disk.
Result ask_replicas(Session& session, const RegisterPaths& paths, const InDoubt& doubt, const Until& until) {
  const auto log = log_entries(session.children(paths.log()).get(until).value_or(Names{}));
  const std::int64_t newest = log.empty() ? 0 : log.back().version;
  for (const auto& [id, replica] : present(session, paths, until)) {
    try {
      const auto missed = missed_since(replica, doubt.since, newest, until);
      if (!missed.image.empty()) continue;  // too long ago to be known one by one
      for (const auto& commit : missed.commits)
        if (commit.transaction == doubt.transaction)
          return {.kind = Result::Kind::committed, .transaction = doubt.transaction, .version = commit.version};
      return {
          .kind = Result::Kind::aborted, .transaction = doubt.transaction, .why = "its coordinator's session ended"};
    } catch (const PeerGone&) {
    }
  }
  return {.kind = Result::Kind::unknown, .transaction = doubt.transaction};
}

Result look_for(Session& session, const RegisterPaths& paths, const InDoubt& doubt, const Until& until) {
  for (;;) {
    auto [asked, change] = session.watch_children(paths.proposal(doubt.transaction));
    const auto children = asked.get(until);
    if (!children) return ask_replicas(session, paths, doubt, until);
    if (Votes::of(*children).committed) {
      const auto log = log_entries(session.children(paths.log()).get(until).value_or(Names{}));
      const auto entry = std::ranges::find(log, doubt.transaction, &LogEntry::transaction);
      if (entry != log.end())
        return {.kind = Result::Kind::committed, .transaction = doubt.transaction, .version = entry->version};
    }
    change.wait(until, paths.proposal(doubt.transaction));
  }
}

}  // namespace

Result find_out(Session& session, const std::string& path, const InDoubt& doubt, const Until& until) {
  const RegisterPaths paths{path};
  if (doubt.transaction.empty()) return {.kind = Result::Kind::aborted, .why = "the session ended before it was begun"};
  for (;;) {
    try {
      session.insist(until, [&] { return session.sync(path); });
      return look_for(session, paths, doubt, until);
    } catch (const ConnectionLoss&) {
    } catch (const TimedOut&) {
      return {.kind = Result::Kind::unknown, .transaction = doubt.transaction};
    }
  }
}

}  // namespace zk
