#include "lock.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "error.h"
#include "path.h"
#include "random_id.h"
#include "text.h"

namespace zk {

namespace {

std::optional<int> stored_limit(const std::string& data) {
  const auto object = nlohmann::json::parse(data, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("limit") || !object["limit"].is_number_integer()) return std::nullopt;
  return object["limit"].get<int>();
}

// A contender from its first request to its lock or its withdrawal.
class Attempt {
 public:
  Attempt(Session& session, const LockRequest& request) : session_(session), request_(request), id_(random_id(8)) {}

  // Our node's name when we are inside; nullopt if the lock is not free and nobody wants to wait.
  std::optional<std::string> run(const Until& until, const Queued& queued);

  // Removes whatever node we have or may have.
  void withdraw(const Until& until);

  std::int64_t token() const { return token_; }

 private:
  void agree_on_limit(const Until& until);
  void enter_queue(const Until& until);
  bool find_own(const Until& until);
  void wait_for_change(const Turn& turn, const Until& until, const Queued& queued);
  void list(const Until& until);
  std::string child(const std::string& name) const { return join(request_.path, name); }

  Session& session_;
  const LockRequest& request_;
  const std::string id_;
  std::string name_;                   // our node's, once it is known
  std::int64_t token_ = 0;             // its czxid
  std::vector<std::string> children_;  // of the folder, when last seen
};

std::optional<std::string> Attempt::run(const Until& until, const Queued& queued) {
  enter_queue(until);
  for (;;) {
    const Turn turn = turn_of(name_, children_, request_.limit);
    switch (turn.kind) {
      case Turn::Kind::enter:
        // Whoever waits directly behind us learns that it is the first in line now (see turn_of).
        if (request_.kind == Kind::permit)
          session_.insist(until, [&] { return session_.set(child(name_), request_.about); });
        return name_;
      case Turn::Kind::conflict:
        throw Refused(request_.kind == Kind::permit ? request_.path + " is in use without a limit, not with --limit " +
                                                          std::to_string(request_.limit)
                                                    : request_.path + " is in use with a limit; say --limit");
      case Turn::Kind::gone:
        // Somebody deleted our node, or the whole folder. Should the node be there all the same, it goes.
        session_.insist(until, [&] { return session_.remove(child(name_)); });
        enter_queue(until);
        break;
      case Turn::Kind::wait_for:
      case Turn::Kind::wait_first:
        if (request_.only_if_free) return std::nullopt;
        wait_for_change(turn, until, queued);
        break;
    }
  }
}

// The first to come writes its limit into the folder's data; the others must have the same.
void Attempt::agree_on_limit(const Until& until) {
  const std::string ours = nlohmann::json{{"limit", request_.limit}}.dump();
  for (;;) {
    const auto folder = session_.insist(until, [&] { return session_.get(request_.path); });
    if (!folder) {
      if (session_.make_directory(request_.path, ours, until)) return;
    } else if (folder->data.empty()) {
      if (session_.insist(until, [&] { return session_.set(request_.path, ours, folder->stat.version); })) return;
    } else if (const auto limit = stored_limit(folder->data); !limit) {
      throw Refused(request_.path + " holds data of something else, where a lock with --limit keeps its limit");
    } else if (*limit != request_.limit) {
      throw Refused(request_.path + " has a limit of " + std::to_string(*limit) + ", not " +
                    std::to_string(request_.limit) + "; use the same, or delete " + request_.path +
                    " when nobody uses it");
    } else {
      return;
    }
  }
}

void Attempt::enter_queue(const Until& until) {
  for (;;) {
    if (request_.kind == Kind::permit) agree_on_limit(until);
    auto creating =
        session_.create(child(contender_prefix(id_, request_.kind)), request_.about, Mode::ephemeral_sequential);
    auto listing = session_.children(request_.path);  // shares the round trip, and sees our node
    std::optional<Reply<std::optional<Node>>> reading;
    if (request_.kind == Kind::permit) reading = session_.get(request_.path);
    try {
      const Created created = creating.get(until);
      if (created.code == Code::no_node) {
        if (request_.kind != Kind::permit) session_.make_directory(request_.path, "", until);
        continue;
      }
      name_ = name_of(created.path);
      token_ = created.stat.czxid;
      children_ = listing.get(until).value_or(std::vector<std::string>{});
      if (!reading) return;
      // The folder may have gone and come again since we agreed, with another limit; now that we are in it, it stays.
      const auto folder = reading->get(until);
      if (folder && stored_limit(folder->data) == request_.limit) return;
      withdraw(until);
    } catch (const ConnectionLoss&) {
      if (find_own(until)) {
        if (request_.kind != Kind::permit) return;
        withdraw(until);  // and again, with the limit agreed on anew
      }
    }
  }
}

// After a lost answer: whether our node exists. A create that the old connection's server still had in hand when we
// reconnected is refused by the leader (the session has moved), and sync brings what was accepted before that.
bool Attempt::find_own(const Until& until) {
  for (;;) {
    try {
      session_.wait_connected(until);
      auto synced = session_.sync(request_.path);
      auto listed = session_.children(request_.path);
      synced.get(until);
      children_ = listed.get(until).value_or(std::vector<std::string>{});
      for (const auto& name : children_) {
        if (!name.starts_with(id_ + "-")) continue;
        const auto node = session_.get(child(name)).get(until);
        if (!node || node->stat.owner != session_.id()) continue;
        name_ = name;
        token_ = node->stat.czxid;
        return true;
      }
      return false;
    } catch (const ConnectionLoss&) {
      // and again
    }
  }
}

void Attempt::list(const Until& until) {
  children_ =
      session_.insist(until, [&] { return session_.children(request_.path); }).value_or(std::vector<std::string>{});
}

void Attempt::wait_for_change(const Turn& turn, const Until& until, const Queued& queued) {
  try {
    if (turn.kind == Turn::Kind::wait_first) {
      auto [listing, change] = session_.watch_children(request_.path);
      children_ = listing.get(until).value_or(std::vector<std::string>{});
      if (turn_of(name_, children_, request_.limit).kind != Turn::Kind::wait_first) return;
      if (queued)
        if (const auto ahead = session_.get(child(turn.ahead)).get(until)) queued(turn.position, ahead->data);
      change.wait(until, request_.path);
    } else {
      // A read with a watch, not a question whether the node exists: that would leave a watch behind if it is gone.
      auto [reading, change] = session_.watch(child(turn.ahead));
      const auto ahead = reading.get(until);
      const bool entered_meanwhile = ahead && request_.kind == Kind::permit && ahead->stat.version > 0;
      if (ahead && !entered_meanwhile) {
        if (queued) queued(turn.position, ahead->data);
        change.wait(until, request_.path);
      }
    }
    session_.prepare_to_guard(child(name_));
  } catch (const ConnectionLoss&) {
    session_.wait_connected(until);
  }
  list(until);
}

void Attempt::withdraw(const Until& until) {
  if (!name_.empty()) {
    session_.insist(until, [&] { return session_.remove(child(name_)); });
    name_.clear();
  } else if (find_own(until)) {
    withdraw(until);
  }
}

}  // namespace

std::optional<Lock> Lock::acquire(Session& session, const LockRequest& request, const Until& until,
                                  const Queued& queued) {
  check_path(request.path);
  Attempt attempt(session, request);
  // Giving up must be possible after `until` has ended. If it takes too long, the end of the session does it.
  const auto withdraw = [&] { attempt.withdraw(Until{}.within(session.timeout() / 5)); };
  try {
    if (auto name = attempt.run(until, queued)) return Lock(session, request.path, *name, attempt.token());
  } catch (const SessionLost&) {
    throw;  // and the node with it
  } catch (...) {
    try {
      withdraw();
    } catch (const std::runtime_error&) {
      // What made us give up is what the caller should hear of; the node goes with the session.
    }
    throw;
  }
  withdraw();
  return std::nullopt;
}

void Lock::release(const Until& until) {
  int asked = 0;
  const bool removed = session_->insist(until, [&] {
    ++asked;
    return session_->remove(node());
  });
  // Asked twice, it may have been the first time, whose answer was lost, that removed it.
  if (!removed && asked == 1) throw SessionLost("its node was deleted by someone else");
}

std::string Lock::node() const { return join(path_, name_); }

std::vector<Place> places(Session& session, const std::string& path, const Until& until) {
  auto reading = session.get(path);
  auto listing = session.children(path);
  const auto folder = reading.get(until);
  const auto children = listing.get(until);
  if (!folder || !children) return {};

  // Any contender does as the origin of the order: their numbers lie close together.
  const auto someone = std::find_if(children->begin(), children->end(),
                                    [](const std::string& name) { return parse_contender(name).has_value(); });
  if (someone == children->end()) return {};
  const auto contenders = in_order(*children, parse_contender(*someone)->sequence);
  std::vector<Reply<std::optional<Node>>> nodes;
  for (const auto& contender : contenders) nodes.push_back(session.get(join(path, contender.name)));

  const auto holds = inside(contenders, stored_limit(folder->data).value_or(1));
  std::vector<Place> places;
  for (std::size_t i = 0; i < contenders.size(); ++i)
    if (auto node = nodes[i].get(until)) places.push_back({contenders[i], std::move(*node), holds[i]});
  return places;
}

bool is_inside(Session& session, const std::string& node, const Until& until) {
  const auto contender = parse_contender(name_of(node));
  if (!contender) throw Refused(printable(node, 200) + " is not the node of one who holds a lock: take ZK_LOCK_NODE");
  const std::string path = parent_of(node);
  const auto folder = session.insist(until, [&] { return session.get(path); });
  const auto children = session.insist(until, [&] { return session.children(path); });
  if (!folder || !children) return false;
  return turn_of(contender->name, *children, stored_limit(folder->data).value_or(1)).kind == Turn::Kind::enter;
}

}  // namespace zk
