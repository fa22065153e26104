#include "observe.h"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <utility>

#include "error.h"
#include "path.h"

namespace zk {

namespace {

using Event = Change::Event;

// After a reconnection the client library names everything that is watched in one request, and a server drops a
// connection that sends more than 1 MiB at once, again and again.
constexpr std::size_t most_watched_bytes = 900'000;

std::optional<Family> family_of(const Reading& reading) {
  if (reading.code != Code::ok) return std::nullopt;
  Family family{reading.node, reading.children};
  std::sort(family.children.begin(), family.children.end());
  return family;
}

}  // namespace

// What the session's threads bring and we take: of each subscription the newest reading only. One that replaces another
// goes to the end, so that all that is taken is in the order in which it was read.
class Observer::Inbox {
 public:
  void put(Reading reading) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = newest_.find(reading.subscription);
      if (found != newest_.end()) readings_.erase(found->second);
      const auto subscription = reading.subscription;
      newest_[subscription] = readings_.insert(readings_.end(), std::move(reading));
    }
    arrived_.notify_all();  // not under the mutex, which whoever wakes wants at once
  }

  void put_end() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    arrived_.notify_all();
  }

  // nullopt: there will be no more.
  std::optional<Reading> take(const Until& until) {
    const std::stop_callback wake(until.stop, [this] {
      const std::lock_guard lock(mutex_);
      arrived_.notify_all();
    });
    std::unique_lock lock(mutex_);
    const auto arrived = [&] { return !readings_.empty() || over_ || until.stop.stop_requested(); };
    for (;;) {
      if (!readings_.empty() || over_) break;
      if (until.stop.stop_requested()) throw Stopped("stopped while waiting for a change");
      if (until.expired()) throw TimedOut("gave up waiting for a change");
      // Condition variables compute with such limits; "for ever" would overflow them.
      const Time near = std::min<Time>(until.deadline, Clock::now() + std::chrono::hours(1));
      arrived_.wait_until(lock, near, arrived);
    }
    if (readings_.empty()) return std::nullopt;
    Reading reading = std::move(readings_.front());
    readings_.pop_front();
    newest_.erase(reading.subscription);
    return reading;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;  // not condition_variable_any, whose second mutex costs time when it wakes us
  std::list<Reading> readings_;
  std::unordered_map<std::uint64_t, std::list<Reading>::iterator> newest_;
  bool over_ = false;
};

Observer::Observer(const Settings& settings, Observation what, const Until& until)
    : settings_(settings), what_(std::move(what)) {
  for (const auto& target : what_.targets) check_path(target.path);
  open(until);
  for (std::size_t i = 0; i < what_.targets.size(); ++i) {
    const auto& [kind, path] = what_.targets[i];
    if (!room_for(path)) throw Refused("too many paths to watch with one session; divide them among some");
    follow({i, path}, {.kind = kind, .path = path, .found_at_first = true});
  }
}

Observer::~Observer() = default;

Change Observer::next(const Until& until) {
  while (changes_.empty()) {
    if (!session_) renew(until);
    if (const auto reading = inbox_->take(until)) {
      take(*reading);
      continue;
    }
    try {
      session_->wait_connected(until);
    } catch (const SessionLost& lost) {
      if (what_.trouble) what_.trouble(lost.what());
    }
    session_.reset();
  }
  Change change = std::move(changes_.front());
  changes_.pop_front();
  return change;
}

// --- sessions ---

void Observer::open(const Until& until) {
  inbox_ = std::make_shared<Inbox>();
  connection_ = 0;
  session_ = std::make_unique<Session>(settings_, until);
  session_->listen(
      {[inbox = inbox_](Reading reading) { inbox->put(std::move(reading)); }, [inbox = inbox_] { inbox->put_end(); }});
}

void Observer::renew(const Until& until) {
  Duration patience = std::chrono::milliseconds(250);
  while (!session_) {
    try {
      open(until);
      // Another server may not have heard yet of what the last one told us.
      session_->insist(until, [&] { return session_->sync("/"); });
    } catch (const SessionLost&) {
      session_.reset();
      pause(patience, until);
    } catch (const CannotConnect& error) {
      session_.reset();
      if (what_.trouble) what_.trouble(std::string(error.what()) + "; trying again");
      pause(patience, until);
      patience = std::min<Duration>(patience * 2, std::chrono::seconds(10));
    } catch (...) {
      session_.reset();
      throw;
    }
  }
  ++interruptions_;
  changes_.push_back({.event = Event::gap, .path = "", .new_session = true});
  subscriptions_.clear();
  // Children first: of what has gone, they went first.
  for (auto at = followed_.rbegin(); at != followed_.rend(); ++at) {
    auto& [key, followed] = *at;
    if (followed.kind != Target::Kind::children) subscribe(key, followed, Aspect::data);
    if (followed.kind != Target::Kind::data) subscribe(key, followed, Aspect::children);
  }
}

// --- what is followed ---

// In bytes of what the client library names after a reconnection.
std::size_t Observer::cost(const std::string& path) const {
  return 2 * (settings_.hosts.chroot.size() + path.size() + 4);
}

bool Observer::room_for(const std::string& path) const {
  return followed_.size() < what_.most_nodes && watched_bytes_ + cost(path) <= most_watched_bytes;
}

void Observer::follow(const Key& key, Followed followed) {
  auto& added = followed_.emplace(key, std::move(followed)).first->second;
  watched_bytes_ += cost(added.path);
  added.data_answered = added.kind == Target::Kind::children;
  added.children_answered = added.kind == Target::Kind::data;
  unanswered_ += (added.data_answered ? 0 : 1) + (added.children_answered ? 0 : 1);
  if (added.kind != Target::Kind::children) subscribe(key, added, Aspect::data);
  if (added.kind != Target::Kind::data) subscribe(key, added, Aspect::children);
}

void Observer::subscribe(const Key& key, Followed& followed, Aspect aspect) {
  const bool is_target = followed.depth == 0;  // the others are found again when they are listed again
  auto& subscription = aspect == Aspect::data ? followed.data : followed.children;
  subscription = session_->subscribe(followed.path, aspect, /*await_creation=*/is_target);
  subscriptions_.emplace(subscription, key);
}

// The node has gone, and is not followed any more.
void Observer::forget(const Key& key, bool after_gap) {
  const auto found = followed_.find(key);
  auto& followed = found->second;
  for (const auto subscription : {followed.data, followed.children}) {
    session_->unsubscribe(subscription);
    subscriptions_.erase(subscription);
  }
  if (!followed.told_deleted || followed.read) {
    Change change{Event::deleted, followed.path};
    if (followed.node) change.last = followed.node->stat;
    if (!followed.read) change.missed = 1;  // its creation
    tell(std::move(change), after_gap);
  }
  watched_bytes_ -= cost(followed.path);
  unanswered_ -= (followed.data_answered ? 0 : 1) + (followed.children_answered ? 0 : 1);
  crowded_.erase(key);
  room_came_ = true;
  followed_.erase(found);
}

// Children first: that is the order in which they went, whatever the order in which we hear of it.
void Observer::forget_below(const Key& key, bool after_gap) {
  const std::string below = key.second == "/" ? "/" : key.second + "/";
  std::vector<Key> descendants;
  for (auto at = followed_.lower_bound({key.first, below}); at != followed_.end(); ++at) {
    if (at->first.first != key.first || !at->first.second.starts_with(below)) break;
    if (at->first != key) descendants.push_back(at->first);
  }
  for (auto at = descendants.rbegin(); at != descendants.rend(); ++at) forget(*at, after_gap);
}

// It is another node of the same name. What is read of it from now on comes behind what is on its way of the nodes
// above it: should they have been made anew as well, they are told before it.
void Observer::replace(const Key& key, bool after_gap) {
  const Followed& old = followed_.at(key);
  Followed anew{.kind = old.kind,
                .path = old.path,
                .depth = old.depth,
                .found_at_first = false,
                .told_deleted = true,
                .data_seen = after_gap ? interruptions_ - 1 : interruptions_,
                .children_seen = after_gap ? interruptions_ - 1 : interruptions_};
  forget(key, after_gap);
  follow(key, std::move(anew));
}

// Some nodes have gone: others, which were left out, may be followed now.
void Observer::use_room() {
  if (!std::exchange(room_came_, false)) return;
  for (const auto& key : crowded_) session_->read_again(followed_.at(key).children);
}

// --- what is read ---

void Observer::take(const Reading& reading) {
  const auto subscription = subscriptions_.find(reading.subscription);
  if (subscription == subscriptions_.end()) return;
  const Key key = subscription->second;
  if (reading.connection != connection_) {
    connection_ = reading.connection;
    ++interruptions_;
    changes_.push_back({.event = Event::gap, .path = ""});
  }
  auto& followed = followed_.at(key);
  const bool of_data = reading.subscription == followed.data;
  if (!std::exchange(of_data ? followed.data_answered : followed.children_answered, true)) --unanswered_;
  int& seen = of_data ? followed.data_seen : followed.children_seen;
  const bool after_gap = std::exchange(seen, interruptions_) != interruptions_;
  if (reading.code != Code::ok && reading.code != Code::no_node)
    tell_unreadable(followed, after_gap);
  else if (of_data)
    take_data(key, followed, reading, after_gap);
  else if (followed.kind == Target::Kind::children)
    take_family(followed, reading, after_gap);
  else
    take_branch(key, followed, reading, after_gap);
  use_room();
  if (unanswered_ == 0 && !std::exchange(complete_, true)) changes_.push_back({.event = Event::complete, .path = ""});
}

void Observer::tell(Change change, bool after_gap) {
  change.after_gap = after_gap;
  changes_.push_back(std::move(change));
}

void Observer::tell_all(std::vector<Change> changes, bool after_gap) {
  for (auto& change : changes) tell(std::move(change), after_gap);
}

void Observer::tell_unreadable(Followed& followed, bool after_gap) {
  if (!std::exchange(followed.unreadable, true)) tell({Event::unreadable, followed.path}, after_gap);
}

void Observer::take_data(const Key& key, Followed& followed, const Reading& reading, bool after_gap) {
  const auto now = reading.code == Code::ok ? std::optional(reading.node) : std::nullopt;
  const bool is_tree = followed.kind == Target::Kind::tree;
  const bool replaced = now && followed.node && now->stat.czxid != followed.node->stat.czxid;
  if (is_tree && (!now || replaced)) {
    forget_below(key, after_gap);
    followed.early.reset();
    if (followed.depth > 0) return replaced ? replace(key, after_gap) : forget(key, after_gap);
  }
  const bool was_unreadable = std::exchange(followed.unreadable, false);
  if (!std::exchange(followed.read, true) && followed.found_at_first) {
    tell({Event::initial, followed.path, Aspect::data, now}, after_gap);
  } else {
    auto changes = data_changes(followed.path, followed.node, now);
    if (changes.empty() && was_unreadable) changes.push_back({Event::readable, followed.path, Aspect::data, now});
    tell_all(std::move(changes), after_gap);
  }
  followed.node = now ? std::optional(Node{"", now->stat}) : std::nullopt;  // the data are not needed again
  if (!now) followed.found_at_first = false;                                // what will be below it one day was not
  if (!is_tree || !now) return;
  // It may have been deleted and created again between two answers.
  if (followed.children == 0) subscribe(key, followed, Aspect::children);
  if (replaced) session_->read_again(followed.children);
  if (auto early = std::exchange(followed.early, std::nullopt)) enter(key, followed, std::move(*early), after_gap);
}

void Observer::take_family(Followed& followed, const Reading& reading, bool after_gap) {
  auto now = family_of(reading);
  followed.unreadable = false;
  if (!std::exchange(followed.read, true)) {
    Change change{Event::initial, followed.path, Aspect::children};
    if (now) change.node = now->node;
    if (now) change.children = now->children;
    tell(std::move(change), after_gap);
  } else {
    tell_all(family_changes(followed.path, followed.family, now), after_gap);
  }
  followed.family = std::move(now);
}

// Of a tree the data tell what is there; the children tell where else to look, and what has been missed.
void Observer::take_branch(const Key& key, Followed& followed, const Reading& reading, bool after_gap) {
  auto now = family_of(reading);
  if (!now) {
    if (followed.depth > 0) {
      subscriptions_.erase(followed.children);
      followed.children = 0;
    }
    followed.family.reset();
  } else if (!followed.node) {
    followed.early = std::move(now);
  } else if (followed.node->stat.czxid == now->node.stat.czxid) {
    enter(key, followed, std::move(*now), after_gap);
  }  // else it is another node of the same name, whose data are on their way
}

void Observer::enter(const Key& key, Followed& followed, Family now, bool after_gap) {
  if (followed.listed || !followed.found_at_first)
    for (auto& change : family_changes(followed.path, followed.family, now))
      if (change.event != Event::deleted && change.missed > 0) {
        change.event = Event::children;
        tell(std::move(change), after_gap);
      }
  const bool found_at_first = followed.found_at_first && !followed.listed;
  const int seen = after_gap ? interruptions_ - 1 : interruptions_;
  std::size_t left_out = 0;
  for (const auto& name : now.children) {
    const Key child{key.first, join(followed.path, name)};
    if (followed_.contains(child) || child.second == "/zookeeper") continue;
    if (followed.depth >= what_.deepest || !room_for(child.second) || !is_path(child.second)) {
      ++left_out;
      continue;
    }
    follow(child, {.kind = followed.kind,
                   .path = child.second,
                   .depth = followed.depth + 1,
                   .found_at_first = found_at_first,
                   .data_seen = seen,
                   .children_seen = seen});
  }
  // Those that we may not read do not tell that they have gone; nor do those that we could not when they changed.
  if (followed.family)
    for (const auto& name : followed.family->children) {
      const auto child = followed_.find({key.first, join(followed.path, name)});
      if (child == followed_.end() || std::ranges::binary_search(now.children, name)) continue;
      if (child->second.unreadable)
        forget(Key(child->first), after_gap);
      else
        session_->read_again(child->second.data);
    }
  if (followed.left_out != left_out) {
    Change change{Event::left_out, followed.path};
    change.missed = static_cast<std::int64_t>(left_out);
    tell(std::move(change), after_gap);
  }
  if (left_out > 0 && followed.depth < what_.deepest)
    crowded_.insert(key);
  else
    crowded_.erase(key);
  followed.left_out = left_out;
  followed.listed = true;
  followed.family = std::move(now);
}

}  // namespace zk
