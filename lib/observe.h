// Following nodes and whole trees: what they are, and every change of them that can be seen.
//
// Guarantee: for each node the first change tells its state; then every difference between two readings is told once,
// in the order in which it was read; after the last change the state told is the node's state. What came between two
// readings is counted (change.h). After an interruption, and with a new session if the old one ended, everything is
// read again, what was told is marked as a difference over a gap, and the gap is told before it. Who takes changes
// slowly costs neither the session nor memory: of each node only the newest reading is kept.
//
// Cost: one session; for each change of a node one read. The C client has no recursive watch, so a tree is followed
// node by node, two watches each.
//
// Source: ZooKeeper Programmer's Guide, "ZooKeeper Watches": watches fire once, so read and watch again.
#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "change.h"
#include "session.h"
#include "until.h"

namespace zk {

struct Target {
  enum class Kind {
    data,      // of a node, which need not exist yet
    children,  // the names directly below it
    tree,      // the data of the node and of all below it
  } kind;
  std::string path;
  bool operator==(const Target&) const = default;
};

struct Observation {
  std::vector<Target> targets;
  std::size_t most_nodes = 100'000;  // of a tree; the rest is told as left out
  std::size_t deepest = 1'000;       // levels below a tree's first node; the rest likewise
  /// Told why the session ended, and of vain attempts to get another one. From the thread that waits in next.
  std::function<void(const std::string&)> trouble{};
};

class Observer {
 public:
  /// Connects. Blocks until connected or `until` ends; throws CannotConnect, and Refused for paths that are none.
  Observer(const Settings& settings, Observation what, const Until& until);
  ~Observer();

  /// Blocks until there is a change, or throws TimedOut or Stopped. Goes on through the ends of sessions. Throws
  /// Refused if the server does not accept our credentials.
  Change next(const Until& until);

 private:
  class Inbox;

  // A node that is followed.
  struct Followed {
    Target::Kind kind;
    std::string path;
    std::size_t depth = 0;                 // below the target
    bool found_at_first;                   // it was there when we began, as far as we know
    std::uint64_t data = 0, children = 0;  // subscriptions
    bool read = false, listed = false;     // what they have told at least once
    bool data_answered = false, children_answered = false;
    std::optional<Node> node{};  // as it was last told, without its data
    std::optional<Family> family{};
    std::optional<Family> early{};  // of a tree: came before the node's own data
    bool unreadable = false;
    bool told_deleted = false;  // as the one that it took the place of
    std::size_t left_out = 0;
    int data_seen = 0, children_seen = 0;  // the last interruption after which they were read
  };
  using Key = std::pair<std::size_t, std::string>;  // the target and the path

  void open(const Until& until);
  void renew(const Until& until);
  void follow(const Key& key, Followed followed);
  void subscribe(const Key& key, Followed& followed, Aspect aspect);
  void take(const Reading& reading);
  void take_data(const Key& key, Followed& followed, const Reading& reading, bool after_gap);
  void take_family(Followed& followed, const Reading& reading, bool after_gap);
  void take_branch(const Key& key, Followed& followed, const Reading& reading, bool after_gap);
  void forget(const Key& key, bool after_gap);
  void forget_below(const Key& key, bool after_gap);
  void replace(const Key& key, bool after_gap);
  void enter(const Key& key, Followed& followed, Family now, bool after_gap);
  void use_room();
  void tell(Change change, bool after_gap);
  void tell_all(std::vector<Change> changes, bool after_gap);
  void tell_unreadable(Followed& followed, bool after_gap);
  std::size_t cost(const std::string& path) const;
  bool room_for(const std::string& path) const;

  Settings settings_;
  Observation what_;
  std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<Session> session_;
  int interruptions_ = 0;  // of which we have told
  int connection_ = 0;     // of the present session
  std::map<Key, Followed> followed_;
  std::unordered_map<std::uint64_t, Key> subscriptions_;
  std::size_t watched_bytes_ = 0;
  std::size_t unanswered_ = 0;  // of what is followed
  bool complete_ = false;       // there was a moment without such
  std::set<Key> crowded_;       // folders with children that are left out
  bool room_came_ = false;
  std::deque<Change> changes_;
};

}  // namespace zk
