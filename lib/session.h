// One session with a ZooKeeper ensemble: requests, watches, heartbeats, and the knowledge whether it still lives.
// The only part of the toolkit that sees the C client; its source is the only file that includes it.
//
// A request is on its way when the function returns; Reply::get waits for the answer. Two requests made before the
// first get share a round trip, and the server handles them in order. Every wait is one wait on one monitor: for the
// answer or the watch, for the deadline and the stop token of an Until, and for the loss of the session.
//
// A wait throws TimedOut, Stopped or SessionLost; an answer that has arrived wins over all three. Requests throw Error
// for what their descriptions do not name as an answer, ConnectionLoss if the outcome is unknown, and Refused for paths
// and data that a server would not take.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "clock.h"
#include "credentials.h"
#include "error.h"
#include "hosts.h"
#include "subscriptions.h"
#include "until.h"
#include "will.h"

namespace zk {

struct Settings {
  Hosts hosts;
  Duration session_timeout = std::chrono::seconds(10);
  Duration connect_timeout = std::chrono::seconds(5);
  std::vector<Credential> credentials;
  bool creator_only = false;                  // nodes are for those with our credentials only; else for everybody
  void (*client_log)(const char*) = nullptr;  // receives the C client's own log, from any thread
  std::function<void(bool connected)> connection_changed{};  // told of an outage of some length, and of its end
};

struct Stat {
  std::int64_t czxid = 0;  // the transaction that created the node: the fencing token
  std::int64_t mzxid = 0;  // the one that last set its data
  std::int64_t pzxid = 0;  // the one that last changed its children
  std::int64_t ctime = 0;  // when, by the server's clock, in milliseconds since 1970: for people
  std::int64_t mtime = 0;
  std::int64_t owner = 0;     // the session of an ephemeral node, else 0
  std::int32_t version = 0;   // how often the data were set
  std::int32_t cversion = 0;  // how often children were created or deleted
  std::int32_t aversion = 0;  // how often the access list was set
  std::int32_t bytes = 0;     // of data
  std::int32_t children = 0;
};

struct Node {
  std::string data;
  Stat stat;
};

enum class Mode {
  persistent,
  persistent_sequential,
  ephemeral,
  ephemeral_sequential,
  container,
  ttl,  // the server deletes it when it has had no child and no change for so long
  ttl_sequential,
};

struct Created {
  Code code = Code::ok;  // ok, node_exists, or no_node: the parent is missing
  std::string path;      // with the sequence number
  Stat stat;
};

/// One operation of a transaction.
struct Operation {
  enum class Kind { check, create, set, remove } kind;
  std::string path;
  std::string data = {};
  Mode mode = Mode::persistent;
  int version = -1;  // -1: any
};

struct Outcome {
  Code code = Code::ok;                // why the transaction failed, if it did: nothing was changed then
  std::size_t failed = 0;              // the first operation that failed
  std::vector<std::string> created{};  // for each operation the path that it created, or nothing
  std::vector<Stat> stats{};           // for each operation that set data the new stat, or nothing
};

class Session;

/// What a request leaves behind for its answer. `code` is ok for every answer that the request's description names.
struct Answer {
  virtual ~Answer() = default;
  bool done = false;
  Code code = Code::ok;
  std::string operation, path;
};

template <class T>
struct AnswerWith : Answer {
  T value{};
};

/// The answer to a request that has been sent. May be dropped; the session then takes care of it.
template <class T>
class Reply {
 public:
  Reply(Session& session, std::shared_ptr<AnswerWith<T>> answer) : session_(&session), answer_(std::move(answer)) {}

  /// Blocks until the answer is there or `until` ends. Call once.
  T get(const Until& until = {});

 private:
  Session* session_;
  std::shared_ptr<AnswerWith<T>> answer_;
};

/// A change that was asked to be told of. Fires once; never for a change of the connection. If the request it came with
/// found no node, it fires at once: there is nothing to wait for, except with watch_stat.
class Watch {
 public:
  struct State {
    bool fired = false;
  };
  Watch(Session& session, std::shared_ptr<State> state) : session_(&session), state_(std::move(state)) {}

  /// Blocks until the node changes or `until` ends; `what` says what for, in the message of TimedOut. A wake-up is a
  /// hint: read again.
  void wait(const Until& until, const std::string& what) const { wait_any({this}, until, what); }

  /// The same, until one of them fires; they are of one session.
  static void wait_any(const std::vector<const Watch*>& watches, const Until& until, const std::string& what);

  /// Does not block.
  bool fired() const;

  /// These two are for one that was made by Session::own_watch. Now; from any thread, without blocking.
  void fire() const;
  /// Whether it has fired; arms it again.
  bool take() const;

 private:
  Session* session_;
  std::shared_ptr<State> state_;
};

/// Told by the session's own thread, never late because others wait: must not block.
struct Vigil {
  std::function<void(Time end)> renewed;             // nobody else can be inside before `end`
  std::function<void(const std::string& why)> lost;  // once
};

/// What a subscription has read.
struct Reading {
  std::uint64_t subscription = 0;
  Code code = Code::ok;  // ok, no_node, or why it cannot be read: no_auth
  Node node{};           // without data, if the children are followed
  std::vector<std::string> children{};
  int connection = 0;  // one more after each interruption
};

/// Told by the session's threads: must note and return.
struct Listener {
  std::function<void(Reading)> read;
  std::function<void()> lost;  // the session is over, and with it its subscriptions
};

class Session {
 public:
  /// Connects. Blocks until connected, `settings.connect_timeout` or `until`. Throws CannotConnect, which says where it
  /// tried and for how long.
  Session(const Settings& settings, const Until& until);

  /// Closes the session, which removes its ephemeral nodes; blocks up to a few seconds if the server is silent.
  ~Session();

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Throws Error with Code::unimplemented if the server does not know the mode.
  Reply<Created> create(const std::string& path, const std::string& data, Mode mode, Duration ttl = {});
  Reply<std::optional<Node>> get(const std::string& path);
  /// Needs no permission to read.
  Reply<std::optional<Stat>> stat(const std::string& path);
  Reply<std::optional<std::vector<std::string>>> children(const std::string& path);
  /// Answers the new stat; nullopt if there is no such node or it has another version.
  Reply<std::optional<Stat>> set(const std::string& path, const std::string& data, int version = -1);
  /// Answers false if there was no such node.
  Reply<bool> remove(const std::string& path, int version = -1);
  Reply<Outcome> transact(const std::vector<Operation>& operations);
  /// What follows reads at least what the ensemble had when this was asked.
  Reply<bool> sync(const std::string& path);
  /// Whether everybody, credentials or not, may create or delete children of the node.
  Reply<bool> open_to_all(const std::string& path);

  /// As get and children, and tells of the next change: of the node's data or its end; of its children or its end.
  std::pair<Reply<std::optional<Node>>, Watch> watch(const std::string& path);
  std::pair<Reply<std::optional<std::vector<std::string>>>, Watch> watch_children(const std::string& path);

  /// As stat, and tells of the next change, also of the creation of a node that is not there.
  std::pair<Reply<std::optional<Stat>>, Watch> watch_stat(const std::string& path);

  /// One that waits for something else than a node, along with those that do: it fires when somebody says so.
  Watch own_watch();

  /// From now on subscriptions are possible. To be called once.
  void listen(Listener listener);

  /// Follows a node: reads it now and after every change, and tells the listener each time. Between two readings the
  /// server may have made more than one change. After an interruption it is read anew, changed or not. If there is no
  /// such node, the listener is told, and the subscription waits for it, or ends if `await_creation` is false. A server
  /// drops the watches of those who may not read the node when it changes, and tells them nothing; so each node is read
  /// and watched again every six session timeouts as well.
  std::uint64_t subscribe(const std::string& path, Aspect aspect, bool await_creation);
  void unsubscribe(std::uint64_t subscription);
  /// Has it read once more, changed or not.
  void read_again(std::uint64_t subscription);

  /// Creates the node with `data` if it is missing, and its missing ancestors: containers, which the server removes
  /// when they have been used and are empty again; those of the chroot are persistent. Answers whether this call
  /// created it.
  bool make_directory(const std::string& path, const std::string& data, const Until& until);

  /// Makes the request until it is answered: for requests that may be carried out twice. Waits while disconnected.
  template <class Request>
  auto insist(const Until& until, Request request) {
    for (;;) {
      try {
        return request().get(until);
      } catch (const ConnectionLoss&) {
        wait_connected(until);
      }
    }
  }

  /// Blocks until connected.
  void wait_connected(const Until& until);

  /// The lease rule (lease.h). From now on the session's heartbeats are transactions that check that `nodes`, its own,
  /// exist; it counts as lost when one is gone, or when the lease ends without an answer. Returns when the lease is
  /// long enough to start on: at once on a new session and for a while after a write, else after a round trip.
  void guard(const std::vector<std::string>& nodes, const Until& until);

  /// Sends the transaction that guard would wait for, if it would, so that the next request shares its round trip.
  void prepare_to_guard(const std::string& node);

  /// From now on `vigil` is told, at once of what holds now. Needs guard.
  void follow(Vigil vigil);

  /// Back to waiting: no lease, no vigil. After it returns, neither function of the vigil is called.
  void unguard();

  Time lease_end() const;

  bool lost() const;

  std::int64_t id() const;

  /// As negotiated with the server.
  Duration timeout() const;

  /// For somebody who is to close the session when we are killed.
  Will will() const;

  struct Impl;

 private:
  template <class T>
  friend class Reply;
  friend class Watch;

  void settle(const Answer& answer, const Until& until);

  std::unique_ptr<Impl> impl_;
};

template <class T>
T Reply<T>::get(const Until& until) {
  session_->settle(*answer_, until);
  return std::move(answer_->value);
}

}  // namespace zk
