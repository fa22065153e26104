#include "session.h"

#include <unistd.h>
#include <zookeeper/zookeeper.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_map>

#include "hang_up.h"
#include "lease.h"
#include "path.h"

namespace zk {

namespace {

using Names = std::optional<std::vector<std::string>>;

static_assert(static_cast<int>(Code::connection_loss) == ZCONNECTIONLOSS);
static_assert(static_cast<int>(Code::no_node) == ZNONODE);
static_assert(static_cast<int>(Code::no_auth) == ZNOAUTH);
static_assert(static_cast<int>(Code::bad_version) == ZBADVERSION);
static_assert(static_cast<int>(Code::node_exists) == ZNODEEXISTS);
static_assert(static_cast<int>(Code::not_empty) == ZNOTEMPTY);
static_assert(static_cast<int>(Code::session_expired) == ZSESSIONEXPIRED);
static_assert(static_cast<int>(Code::auth_failed) == ZAUTHFAILED);
static_assert(static_cast<int>(Code::closing) == ZCLOSING);

// "-2147483648" is the longest number that a server appends to a name.
constexpr std::size_t sequence_digits = 11;

// All subscriptions are read and watched again once in so many session timeouts, a part of them at a time.
constexpr int doubted_each = 6;
constexpr int doubt_parts = 60;

// Longer than an answer usually takes; see start_heart.
constexpr Duration short_wait = std::chrono::milliseconds(50);

// Condition variables compute with such limits; "for ever" would overflow them.
Time near(Time deadline) { return std::min(deadline, Clock::now() + std::chrono::hours(1)); }

int milliseconds(Duration duration) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

Stat stat_of(const ::Stat* s) {
  if (s == nullptr) return {};
  return {.czxid = s->czxid,
          .mzxid = s->mzxid,
          .pzxid = s->pzxid,
          .ctime = s->ctime,
          .mtime = s->mtime,
          .owner = s->ephemeralOwner,
          .version = s->version,
          .cversion = s->cversion,
          .aversion = s->aversion,
          .bytes = s->dataLength,
          .children = s->numChildren};
}

int mode_of(Mode mode) {
  switch (mode) {
    case Mode::persistent:
      return ZOO_PERSISTENT;
    case Mode::persistent_sequential:
      return ZOO_PERSISTENT_SEQUENTIAL;
    case Mode::ephemeral:
      return ZOO_EPHEMERAL;
    case Mode::ephemeral_sequential:
      return ZOO_EPHEMERAL_SEQUENTIAL;
    case Mode::container:
      return ZOO_CONTAINER;
    case Mode::ttl:
      return ZOO_PERSISTENT_WITH_TTL;
    case Mode::ttl_sequential:
      return ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL;
  }
  return ZOO_PERSISTENT;
}

// Whether the code is a server's answer, as against the client library's word that there was none.
bool from_server(int rc) {
  return rc == ZOK || rc == ZNONODE || rc == ZNOAUTH || rc == ZBADVERSION || rc == ZNODEEXISTS || rc == ZNOTEMPTY ||
         rc == ZNOCHILDRENFOREPHEMERALS || rc == ZUNIMPLEMENTED;
}

// What a completion brings, whichever of the C client's seven kinds it is. Borrowed for the length of the call.
struct Raw {
  int rc = ZOK;
  std::string_view text = {};
  const ::Stat* stat = nullptr;
  const String_vector* names = nullptr;
  const ACL_vector* acl = nullptr;
  const std::vector<zoo_op_result_t>* results = nullptr;  // of a transaction
};

Names names_of(const Raw& raw) {
  if (raw.rc != ZOK) return std::nullopt;
  if (raw.names == nullptr) return std::vector<std::string>{};
  return std::vector<std::string>(raw.names->data, raw.names->data + raw.names->count);
}

std::optional<Node> node_of(const Raw& raw) {
  if (raw.rc != ZOK) return std::nullopt;
  return Node{std::string(raw.text), stat_of(raw.stat)};
}

}  // namespace

// The context of one request. The session owns it until its completion has run or the client library is closed, which
// drops completions (ZOOKEEPER-2894).
struct Call {
  Session::Impl* session;
  std::shared_ptr<Answer> answer;
  std::function<void(const Raw&)> fill;  // turns expected codes into values and sets answer->code for the others
  Time sent;
  bool commits = false;                  // a success proves a quorum
  std::vector<zoo_op_result_t> results;  // of a transaction; written by the client library
  std::vector<std::string> names;        // of the nodes that it creates, as well
  std::vector<::Stat> stats;             // of those that it sets, as well
};

// The context of one watch: owned like a Call, but kept until it fires. A subscription's watch has its number for a
// context instead: the client library keeps the same context for the same node once, however often it is asked to.
struct Watching {
  Session::Impl* session;
  std::shared_ptr<Watch::State> state;
  bool own_node = false;  // a node under guard: a change is looked into by a heartbeat
};
static_assert(sizeof(void*) >= sizeof(std::uint64_t), "a subscription's number is the context of its watches");

struct Session::Impl {
  enum class State { connecting, connected, suspended, lost };

  Settings settings;
  std::vector<std::string> addresses;
  std::vector<int> not_ours;  // sockets that were open before we connected
  zhandle_t* handle = nullptr;

  mutable std::mutex mutex;               // guards everything below; never held while calling the client library
  std::condition_variable_any changed;    // an answer, a watch, the state
  std::condition_variable_any heart_due;  // something that the heart should look at
  State state = State::connecting;
  std::string why_lost;
  bool refused = false;  // lost because of our credentials: another session would fare no better
  Time suspended_since{};
  Time hang_up_due{};  // when to give up on a server that is silent
  int hang_ups = 0;
  std::int64_t id = 0;
  Duration timeout{};
  Lease lease{Duration::zero()};
  Time asked{};     // not later than the connection request of the present attempt
  Time resolved{};  // when the newest request was sent that was answered or lost with its connection: not later than
                    // the next connection was asked for
  Time last_sent{};
  Time last_commit{};
  bool outage_told = false;
  bool beating = false;  // a heartbeat is on its way
  bool beat_now = false;
  std::vector<std::string> guarded;
  Time watch_due = Time::max();  // when to watch what is guarded; those who hold for a moment spare us that
  bool leased = false;  // guarded, and the lease was long enough to start on: from then on its end is the session's
  Vigil vigil;
  Time vigil_end{};         // what the vigil knows
  bool vigil_told = false;  // of the loss
  bool in_vigil = false;    // the heart is in one of the vigil's functions
  std::unordered_map<const void*, std::unique_ptr<Call>> calls;
  std::unordered_map<const void*, std::unique_ptr<Watching>> watchings;
  Listener listener;
  Subscriptions subscriptions;
  Time doubt_due = Time::max();  // when to read and watch the next part of the subscriptions again
  std::uint64_t doubts = 0;
  int connection = 0;
  bool closing = false;
  std::jthread heart;

  // --- callbacks: on the client library's threads; they note, notify and return ---

  static void on_session_event(zhandle_t* handle, int type, int state, const char*, void* context) {
    if (type == ZOO_SESSION_EVENT) static_cast<Impl*>(context)->state_changed(handle, state);
  }

  static void on_watch(zhandle_t*, int type, int, const char*, void* context) {
    if (type != ZOO_SESSION_EVENT) static_cast<Watching*>(context)->session->watch_fired(context);
  }

  static void on_news(zhandle_t* handle, int type, int, const char*, void* context) {
    if (type == ZOO_SESSION_EVENT) return;
    auto* const session = static_cast<Impl*>(const_cast<void*>(zoo_get_context(handle)));
    session->news_of(reinterpret_cast<std::uintptr_t>(context));
  }

  static void on_void(int rc, const void* data) { finish(data, {.rc = rc}); }
  static void on_stat(int rc, const ::Stat* stat, const void* data) { finish(data, {.rc = rc, .stat = stat}); }
  static void on_data(int rc, const char* value, int length, const ::Stat* stat, const void* data) {
    finish(data, {.rc = rc,
                  .text = std::string_view(value, value == nullptr || length < 0 ? 0 : static_cast<size_t>(length)),
                  .stat = stat});
  }
  static void on_names(int rc, const String_vector* names, const void* data) {
    finish(data, {.rc = rc, .names = names});
  }
  static void on_names_and_stat(int rc, const String_vector* names, const ::Stat* stat, const void* data) {
    finish(data, {.rc = rc, .stat = stat, .names = names});
  }
  static void on_created(int rc, const char* path, const ::Stat* stat, const void* data) {
    finish(data, {.rc = rc, .text = path == nullptr ? "" : path, .stat = stat});
  }
  static void on_string(int rc, const char*, const void* data) { finish(data, {.rc = rc}); }
  static void on_acl(int rc, ACL_vector* acl, ::Stat*, const void* data) { finish(data, {.rc = rc, .acl = acl}); }

  static void finish(const void* context, const Raw& raw) {
    static_cast<const Call*>(context)->session->finished(context, raw);
  }

  void finished(const void* context, const Raw& raw) {
    note(context, raw);
    ask_subscriptions();
  }

  void note(const void* context, const Raw& raw) {
    const std::lock_guard lock(mutex);
    const auto found = calls.find(context);
    if (found == calls.end()) return;
    const auto call = std::move(found->second);
    calls.erase(found);
    if (from_server(raw.rc) || raw.rc == ZCONNECTIONLOSS || raw.rc == ZOPERATIONTIMEOUT)
      resolved = std::max(resolved, call->sent);
    if (from_server(raw.rc) && state == State::connected) {
      const Time now = Clock::now();
      lease.answered(call->sent, now);
      if (raw.rc == ZOK && call->commits) {
        lease.committed(call->sent, now);
        if (!guarded.empty()) heart_due.notify_all();
      }
    }
    Raw all = raw;
    all.results = &call->results;
    call->fill(all);
    call->answer->done = true;
    changed.notify_all();
  }

  void watch_fired(const void* context) {
    const std::lock_guard lock(mutex);
    const auto found = watchings.find(context);
    if (found == watchings.end()) return;
    fire(*found->second);
    watchings.erase(found);
  }

  void news_of(std::uint64_t subscription) {
    {
      const std::lock_guard lock(mutex);
      subscriptions.fired(subscription);
    }
    ask_subscriptions();
  }

  void fire(const Watching& watching) {
    watching.state->fired = true;
    changed.notify_all();
    if (watching.own_node && !guarded.empty()) {
      beat_now = true;
      watch_due = Clock::now() + short_wait;
      heart_due.notify_all();
    }
  }

  void state_changed(zhandle_t* from, int now) {
    note_state(from, now);
    ask_subscriptions();
  }

  void note_state(zhandle_t* from, int now) {
    const std::lock_guard lock(mutex);
    if (state == State::lost) return;
    if (now == ZOO_CONNECTED_STATE) {
      const std::int64_t given = zoo_client_id(from)->client_id;
      if (state == State::connecting) {
        id = given;
        timeout = std::chrono::milliseconds(zoo_recv_timeout(from));
        lease = Lease(timeout);
        lease.opened(asked);
        last_sent = last_commit = Clock::now();
      } else if (given != id) {  // some servers hand out a new session without a word
        lose("the server gave us another session");
        return;
      } else {
        lease.reconnected(resolved);
        beat_now = !guarded.empty();
        ++connection;
        subscriptions.reconnected();
      }
      state = State::connected;
    } else if (now == ZOO_EXPIRED_SESSION_STATE) {
      lose("the session has expired");
      return;
    } else if (now == ZOO_AUTH_FAILED_STATE) {
      refused = true;
      lose("authentication failed: the server does not accept the credentials of --auth-file");
      return;
    } else if (state == State::connected) {
      state = State::suspended;
      suspended_since = Clock::now();
      hang_ups = 0;
      hang_up_due = suspended_since + timeout / 10;
      lease.disconnected();
    }
    changed.notify_all();
    heart_due.notify_all();
  }

  void lose(std::string why) {
    state = State::lost;
    why_lost = std::move(why);
    if (listener.lost) listener.lost();
    changed.notify_all();
    heart_due.notify_all();
  }

  // --- the heart: sends what keeps the lease, and sees by our own clock when it is over ---

  // A thread, started when something takes longer than a round trip or is guarded: who only asks something does not
  // need it. Under the mutex.
  void start_heart() {
    if (!heart.joinable()) heart = std::jthread([this](std::stop_token stop) { beat(stop); });
  }

  Time next_beat() const {
    if (state != State::connected || beating) return Time::max();
    if (beat_now) return Time::min();
    return guarded.empty() ? last_sent + Lease::idle_beat(timeout) : last_commit + Lease::beat(timeout);
  }

  // Whoever holds something loses it with the lease. Who only waits has nothing to lose: whether its session lives on
  // is for the server to say, which keeps sessions while the whole ensemble is away.
  Time time_of_loss() const { return leased && state != State::lost ? lease.end() : Time::max(); }

  // An interruption that is not over at once is told to people, and so is its end.
  Time time_to_tell() const {
    if (!settings.connection_changed) return Time::max();
    if (state == State::suspended && !outage_told) return suspended_since + timeout / 3;
    return state == State::connected && outage_told ? Time::min() : Time::max();
  }

  // A holder whose server is silent does better with another one, while there is time.
  Time time_to_hang_up() const {
    const bool silent = state == State::connected && beating && !guarded.empty() && addresses.size() > 1;
    return silent || state == State::suspended ? hang_up_due : Time::max();
  }

  Time time_to_doubt() const { return state == State::connected ? doubt_due : Time::max(); }
  Duration doubt_period() const { return timeout * doubted_each / doubt_parts; }

  void beat(std::stop_token stop) {
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      if (Clock::now() >= time_of_loss())
        lose("no server has confirmed the session in time (session timeout " + to_string(timeout) + ")");
      if (tell_vigil(lock)) continue;
      if (Clock::now() >= time_to_tell()) {
        outage_told = !outage_told;
        const bool connected = !outage_told;
        lock.unlock();
        settings.connection_changed(connected);
        lock.lock();
        continue;
      }
      if (Clock::now() >= time_to_hang_up()) {
        // Often at first; less so when it does not help, for the sake of a server that is merely slow.
        hang_up_due = Clock::now() + timeout / 10 * (1 << std::clamp(++hang_ups - 4, 0, 10));
        lock.unlock();
        hang_up(addresses, not_ours);
        lock.lock();
        continue;
      }
      if (Clock::now() >= time_to_doubt()) {
        doubt_due = Clock::now() + doubt_period();
        subscriptions.doubt(++doubts, doubt_parts);
        lock.unlock();
        ask_subscriptions();
        lock.lock();
        continue;
      }
      if (Clock::now() >= watch_due) {
        watch_due = Time::max();
        const auto nodes = guarded;
        lock.unlock();
        for (const auto& node : nodes) read_node(node, node, new_watching(true));
        lock.lock();
        continue;
      }
      if (Clock::now() >= next_beat()) {
        beating = true;
        beat_now = false;
        hang_up_due = Clock::now() + timeout / 5;
        const auto nodes = guarded;
        lock.unlock();
        send_beat(nodes);
        lock.lock();
        continue;
      }
      const Time due = next_due();
      heart_due.wait_until(lock, stop, near(due), [&] { return next_due() < due || vigil_waits(); });
    }
  }

  Time next_due() const {
    return std::min({next_beat(), time_of_loss(), time_to_tell(), time_to_hang_up(), time_to_doubt(), watch_due});
  }

  bool vigil_waits() const {
    if (!vigil.lost || vigil_told) return false;
    return state == State::lost || lease.end() != vigil_end;
  }

  bool tell_vigil(std::unique_lock<std::mutex>& lock) {
    if (!vigil_waits()) return false;
    const Vigil told = vigil;
    const bool over = vigil_told = state == State::lost;
    const Time end = vigil_end = lease.end();
    const std::string why = why_lost;
    in_vigil = true;
    lock.unlock();
    if (over)
      told.lost(why);
    else
      told.renewed(end);
    lock.lock();
    in_vigil = false;
    changed.notify_all();
    return true;
  }

  void beat_ended() {
    beating = false;
    heart_due.notify_all();
  }

  void send_beat(const std::vector<std::string>& nodes) {
    auto answer = std::make_shared<AnswerWith<bool>>();
    if (nodes.empty()) {
      // Any request does; this one finds its node whatever we may read.
      send(
          answer, "heartbeat", "/", false, [this](const Raw&) { beat_ended(); },
          [&](Call* call) { return zoo_aexists(handle, "/", 0, on_stat, call); });
      return;
    }
    std::vector<zoo_op_t> checks(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) zoo_check_op_init(&checks[i], nodes[i].c_str(), -1);
    send(
        answer, "heartbeat", nodes[0], true,
        [this, nodes](const Raw& raw) {
          beat_ended();
          if (raw.rc == ZNONODE && guarded == nodes) lose("its node was deleted by someone else");
          if (raw.rc == ZNOAUTH && guarded == nodes) lose("reading its own node is no longer permitted");
        },
        [&](Call* call) {
          call->results.resize(checks.size());
          return zoo_amulti(handle, static_cast<int>(checks.size()), checks.data(), call->results.data(), on_void,
                            call);
        });
  }

  // --- requests ---

  // Sends a request: `start` hands it to the client library. Fill runs under the mutex.
  void send(std::shared_ptr<Answer> answer, const char* operation, const std::string& path, bool commits,
            std::function<void(const Raw&)> fill, const std::function<int(Call*)>& start) {
    answer->operation = operation;
    answer->path = path;
    auto call =
        std::make_unique<Call>(Call{this, std::move(answer), std::move(fill), Clock::now(), commits, {}, {}, {}});
    Call* const context = call.get();
    {
      const std::lock_guard lock(mutex);
      last_sent = std::max(last_sent, context->sent);
      if (commits) last_commit = std::max(last_commit, context->sent);
      calls.emplace(context, std::move(call));
    }
    int rc = start(context);
    // With a session that is over the client finds no room for the parts of a transaction, and says only that.
    if (rc == ZMARSHALLINGERROR && is_unrecoverable(handle) == ZINVALIDSTATE) rc = ZINVALIDSTATE;
    if (rc != ZOK) finished(context, {.rc = rc});
  }

  // A request whose answer is a T: `value` makes it from the codes that are answers, listed in `expected`.
  template <class T>
  std::shared_ptr<AnswerWith<T>> ask(const char* operation, const std::string& path, bool commits,
                                     std::vector<int> expected, std::function<T(const Raw&)> value,
                                     const std::function<int(Call*)>& start) {
    auto answer = std::make_shared<AnswerWith<T>>();
    send(
        answer, operation, path, commits,
        [answer = answer.get(), expected = std::move(expected), value = std::move(value)](const Raw& raw) {
          if (raw.rc == ZOK || std::find(expected.begin(), expected.end(), raw.rc) != expected.end())
            answer->value = value(raw);
          else
            answer->code = static_cast<Code>(raw.rc);
        },
        start);
    return answer;
  }

  Watching* new_watching(bool own_node) {
    auto watching = std::make_unique<Watching>(Watching{this, std::make_shared<Watch::State>(), own_node});
    Watching* const context = watching.get();
    const std::lock_guard lock(mutex);
    watchings.emplace(context, std::move(watching));
    return context;
  }

  // The client library forgets a watch whose request failed, so do we. Under the mutex.
  void not_armed(Watching* watching) {
    const auto found = watchings.find(watching);
    if (found == watchings.end()) return;
    fire(*found->second);
    watchings.erase(found);
  }

  const ACL_vector* acl() const { return settings.creator_only ? &ZOO_CREATOR_ALL_ACL : &ZOO_OPEN_ACL_UNSAFE; }

  std::string full(const std::string& path) const {
    check_path(path);
    const auto& root = settings.hosts.chroot;
    return root.empty() ? path : path == "/" ? root : root + path;
  }

  std::shared_ptr<AnswerWith<Created>> create(const std::string& full_path, const std::string& shown,
                                              const std::string& data, Mode mode, Duration ttl = {}) {
    check_size(shown, data.size());
    return ask<Created>(
        "create", shown, true, {ZNONODE, ZNODEEXISTS},
        [prefix = settings.hosts.chroot.size()](const Raw& raw) {
          if (raw.rc != ZOK) return Created{static_cast<Code>(raw.rc), {}, {}};
          return Created{Code::ok, std::string(raw.text.substr(std::min(prefix, raw.text.size()))), stat_of(raw.stat)};
        },
        [&](Call* call) {
          const int size = static_cast<int>(data.size());
          if (mode == Mode::ttl || mode == Mode::ttl_sequential)
            return zoo_acreate2_ttl(handle, full_path.c_str(), data.data(), size, acl(), mode_of(mode),
                                    milliseconds(ttl), on_created, call);
          return zoo_acreate2(handle, full_path.c_str(), data.data(), size, acl(), mode_of(mode), on_created, call);
        });
  }

  std::shared_ptr<AnswerWith<std::optional<Node>>> get(const std::string& path, Watching* watching) {
    return read_node(full(path), path, watching);
  }

  std::shared_ptr<AnswerWith<std::optional<Node>>> read_node(const std::string& target, const std::string& shown,
                                                             Watching* watching) {
    return ask<std::optional<Node>>(
        "read", shown, false, {ZNONODE},
        [this, watching](const Raw& raw) {
          if (raw.rc != ZOK) not_armed(watching);
          return node_of(raw);
        },
        [this, watching, &target](Call* call) {
          return zoo_awget(handle, target.c_str(), watching == nullptr ? nullptr : on_watch, watching, on_data, call);
        });
  }

  std::shared_ptr<AnswerWith<Names>> children(const std::string& path, Watching* watching) {
    return ask<Names>(
        "list", path, false, {ZNONODE},
        [this, watching](const Raw& raw) {
          if (raw.rc != ZOK) not_armed(watching);
          return names_of(raw);
        },
        [this, watching, target = full(path)](Call* call) {
          return zoo_awget_children(handle, target.c_str(), watching == nullptr ? nullptr : on_watch, watching,
                                    on_names, call);
        });
  }

  // --- subscriptions: asked for again from the thread that brings the news, without waiting for anybody ---

  void ask_subscriptions() {
    for (;;) {
      std::vector<Subscriptions::Question> questions;
      {
        const std::lock_guard lock(mutex);
        if (state == State::connected && !closing) questions = subscriptions.due();
      }
      if (questions.empty()) return;
      for (const auto& question : questions) ask(question);
    }
  }

  void ask(const Subscriptions::Question& question) {
    using Kind = Subscriptions::Question::Kind;
    const std::string target = full(question.path);
    const auto watch = question.watch ? on_news : nullptr;
    void* const number = reinterpret_cast<void*>(static_cast<std::uintptr_t>(question.subscription));
    send(
        std::make_shared<AnswerWith<bool>>(), "follow", question.path, false,
        [this, question](const Raw& raw) { answered(question, raw); },
        [&](Call* call) {
          switch (question.kind) {
            case Kind::data:
              return zoo_awget(handle, target.c_str(), watch, number, on_data, call);
            case Kind::children:
              return zoo_awget_children2(handle, target.c_str(), watch, number, on_names_and_stat, call);
            case Kind::creation:
              return zoo_awexists(handle, target.c_str(), watch, number, on_stat, call);
          }
          return static_cast<int>(ZBADARGUMENTS);
        });
  }

  // Under the mutex.
  void answered(const Subscriptions::Question& question, const Raw& raw) {
    const bool cut_off = raw.rc == ZCONNECTIONLOSS || raw.rc == ZOPERATIONTIMEOUT || raw.rc == ZSESSIONMOVED;
    const auto answer = raw.rc == ZOK         ? Subscriptions::Answer::ok
                        : raw.rc == ZNONODE   ? Subscriptions::Answer::no_node
                        : from_server(raw.rc) ? Subscriptions::Answer::refused
                                              : Subscriptions::Answer::lost;
    if (!from_server(raw.rc) && !cut_off) return;  // the session is over: nobody is to ask again
    if (!subscriptions.answered(question, answer)) return;
    listener.read({.subscription = question.subscription,
                   .code = static_cast<Code>(raw.rc),
                   .node = raw.rc == ZOK ? *node_of(raw) : Node{},
                   .children = names_of(raw).value_or(std::vector<std::string>{}),
                   .connection = connection});
  }

  // --- waiting ---

  [[noreturn]] void throw_lost() const {
    if (refused) throw Refused(why_lost);
    throw SessionLost(why_lost.empty() ? "the session is over" : why_lost);
  }

  template <class Condition>
  void wait(std::unique_lock<std::mutex>& lock, const Until& until, const std::string& what, Condition condition) {
    const auto over = [&] { return condition() || state == State::lost; };
    while (!over()) {
      if (until.stop.stop_requested()) throw Stopped("stopped while waiting for " + what);
      if (until.expired()) throw TimedOut("gave up waiting for " + what);
      const Time soon = heart.joinable() ? Time::max() : Clock::now() + short_wait;
      changed.wait_until(lock, until.stop, near(std::min(until.deadline, soon)), over);
      if (Clock::now() >= soon) start_heart();
    }
    if (!condition()) throw_lost();
  }

  // --- life ---

  void connect(const Until& outer) {
    const Until until = outer.within(settings.connect_timeout);
    zoo_deterministic_conn_order(1);  // the order is ours, see address_list
    zoo_set_debug_level(settings.client_log == nullptr ? static_cast<ZooLogLevel>(0) : ZOO_LOG_LEVEL_INFO);
    not_ours = tcp_sockets();
    addresses = resolve(settings.hosts.servers, until);
    std::shuffle(addresses.begin(), addresses.end(), std::random_device());  // spreads the clients over the servers

    for (std::size_t attempt = 0; !connected_by(attempt, until); ++attempt) {
      if (outer.expired()) throw TimedOut("gave up waiting for a connection to ZooKeeper at " + shown_addresses());
      if (until.expired())
        throw CannotConnect(
            "no ZooKeeper answered at " + shown_addresses() + " within " + to_string(settings.connect_timeout) +
            "; say where it is with --hosts or ZK_HOSTS, or start one to try with: scripts/zk-server start");
    }
  }

  // One attempt gets a fifth of the session timeout, and twice as much in every further round; but never more than its
  // share of the time there is. Long enough for a server that answers; short enough that the others get their turn, and
  // that the lease, counted from the start of the attempt, is nearly a whole one.
  bool connected_by(std::size_t attempt, const Until& until) {
    const auto round = std::min<std::size_t>(attempt / addresses.size(), 10);
    const Duration share = std::min<Duration>(settings.session_timeout / 5 * (1 << round),
                                              settings.connect_timeout / static_cast<int>(addresses.size()));
    open(address_list(addresses, attempt));
    std::unique_lock lock(mutex);
    changed.wait_until(lock, until.stop, until.within(share).deadline, [&] { return state != State::connecting; });
    if (state == State::lost) throw_lost();
    if (state != State::connecting) return true;
    lock.unlock();
    close();
    if (until.stop.stop_requested()) throw Stopped("stopped while connecting");
    const std::lock_guard again(mutex);
    state = State::connecting;  // should the answer have come while we were closing
    return false;
  }

  void open(const std::string& list) {
    {
      const std::lock_guard lock(mutex);
      asked = Clock::now();
    }
    handle = zookeeper_init2(list.c_str(), on_session_event, milliseconds(settings.session_timeout), nullptr, this,
                             ZOO_NO_LOG_CLIENTENV, settings.client_log);
    if (handle == nullptr) throw CannotConnect("cannot connect to " + list + ": " + std::strerror(errno));
    zoo_set_servers_resolution_delay(handle, -1);
  }

  std::string shown_addresses() const {
    std::string list;
    for (const auto& server : settings.hosts.servers)
      list += (list.empty() ? "" : ", ") + server.host + ":" + server.port;
    return list;
  }

  void authenticate(const Until& until) {
    for (const auto& [scheme, secret] : settings.credentials) {
      int rc = ZOK;
      do {  // refused for a moment while a connection that broke is being replaced
        std::unique_lock lock(mutex);
        wait(lock, until, "a connection to ZooKeeper", [&] { return state == State::connected; });
        lock.unlock();
        rc = zoo_add_auth(handle, scheme.c_str(), secret.data(), static_cast<int>(secret.size()), nullptr, nullptr);
      } while (rc == ZINVALIDSTATE);
      if (rc != ZOK) throw Error(static_cast<Code>(rc), "authenticate with", scheme);
    }
  }

  void close() {
    if (handle != nullptr) zookeeper_close(handle);
    handle = nullptr;
    const std::lock_guard lock(mutex);
    for (auto& [context, call] : calls) {
      call->answer->code = Code::closing;
      call->answer->done = true;
    }
    calls.clear();
    watchings.clear();
  }

  // A transaction that is under way when the client library is closed has crashed it (ZOOKEEPER-2891).
  void drain() {
    std::unique_lock lock(mutex);
    changed.wait_until(lock, Clock::now() + std::chrono::milliseconds(500), [&] {
      return state != State::connected ||
             std::none_of(calls.begin(), calls.end(), [](const auto& c) { return !c.second->results.empty(); });
    });
  }
};

Session::Session(const Settings& settings, const Until& until) : impl_(std::make_unique<Impl>()) {
  impl_->settings = settings;
  try {
    impl_->connect(until);
    impl_->authenticate(until);
  } catch (...) {
    impl_->heart = {};
    impl_->close();
    throw;
  }
}

Session::~Session() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
  }
  impl_->heart = {};  // stops and joins it
  impl_->drain();
  impl_->close();
}

Reply<Created> Session::create(const std::string& path, const std::string& data, Mode mode, Duration ttl) {
  return {*this, impl_->create(impl_->full(path), path, data, mode, ttl)};
}

Reply<std::optional<Node>> Session::get(const std::string& path) { return {*this, impl_->get(path, nullptr)}; }

Reply<std::optional<Stat>> Session::stat(const std::string& path) {
  return {*this, impl_->ask<std::optional<Stat>>(
                     "look at", path, false, {ZNONODE},
                     [](const Raw& raw) { return raw.rc == ZOK ? std::optional(stat_of(raw.stat)) : std::nullopt; },
                     [&, target = impl_->full(path)](Call* call) {
                       return zoo_aexists(impl_->handle, target.c_str(), 0, Impl::on_stat, call);
                     })};
}

std::pair<Reply<std::optional<Stat>>, Watch> Session::watch_stat(const std::string& path) {
  check_path(path);
  Watching* const watching = impl_->new_watching(false);
  Watch watch(*this, watching->state);
  auto answer = impl_->ask<std::optional<Stat>>(
      "look at", path, false, {ZNONODE},
      [impl = impl_.get(), watching](const Raw& raw) {
        if (raw.rc != ZOK && raw.rc != ZNONODE) impl->not_armed(watching);
        return raw.rc == ZOK ? std::optional(stat_of(raw.stat)) : std::nullopt;
      },
      [&, target = impl_->full(path)](Call* call) {
        return zoo_awexists(impl_->handle, target.c_str(), Impl::on_watch, watching, Impl::on_stat, call);
      });
  return {{*this, std::move(answer)}, watch};
}

Reply<Names> Session::children(const std::string& path) { return {*this, impl_->children(path, nullptr)}; }

std::pair<Reply<std::optional<Node>>, Watch> Session::watch(const std::string& path) {
  check_path(path);
  Watching* const watching = impl_->new_watching(false);
  Watch watch(*this, watching->state);
  return {{*this, impl_->get(path, watching)}, watch};
}

Watch Session::own_watch() { return {*this, std::make_shared<Watch::State>()}; }

std::pair<Reply<Names>, Watch> Session::watch_children(const std::string& path) {
  check_path(path);
  Watching* const watching = impl_->new_watching(false);
  Watch watch(*this, watching->state);
  return {{*this, impl_->children(path, watching)}, watch};
}

Reply<std::optional<Stat>> Session::set(const std::string& path, const std::string& data, int version) {
  check_size(path, data.size());
  return {*this, impl_->ask<std::optional<Stat>>(
                     "set", path, true, {ZNONODE, ZBADVERSION},
                     [](const Raw& raw) { return raw.rc == ZOK ? std::optional(stat_of(raw.stat)) : std::nullopt; },
                     [&, target = impl_->full(path)](Call* call) {
                       return zoo_aset(impl_->handle, target.c_str(), data.data(), static_cast<int>(data.size()),
                                       version, Impl::on_stat, call);
                     })};
}

Reply<bool> Session::remove(const std::string& path, int version) {
  return {*this, impl_->ask<bool>(
                     "delete", path, true, {ZNONODE}, [](const Raw& raw) { return raw.rc == ZOK; },
                     [&, target = impl_->full(path)](Call* call) {
                       return zoo_adelete(impl_->handle, target.c_str(), version, Impl::on_void, call);
                     })};
}

Reply<bool> Session::sync(const std::string& path) {
  return {*this, impl_->ask<bool>(
                     "sync", path, false, {}, [](const Raw&) { return true; },
                     [&, target = impl_->full(path)](Call* call) {
                       return zoo_async(impl_->handle, target.c_str(), Impl::on_string, call);
                     })};
}

Reply<bool> Session::open_to_all(const std::string& path) {
  const auto open = [](const Raw& raw) {
    return raw.acl != nullptr && std::any_of(raw.acl->data, raw.acl->data + raw.acl->count, [](const ACL& entry) {
             return std::strcmp(entry.id.scheme, "world") == 0 &&
                    (entry.perms & (ZOO_PERM_CREATE | ZOO_PERM_DELETE)) != 0;
           });
  };
  return {*this, impl_->ask<bool>("read the access list of", path, false, {ZNONODE}, open,
                                  [&, target = impl_->full(path)](Call* call) {
                                    return zoo_aget_acl(impl_->handle, target.c_str(), Impl::on_acl, call);
                                  })};
}

Reply<Outcome> Session::transact(const std::vector<Operation>& operations) {
  std::vector<std::string> targets;
  for (const auto& operation : operations) {
    targets.push_back(impl_->full(operation.path));
    check_size(operation.path, operation.data.size());
  }
  std::vector<zoo_op_t> ops(operations.size());
  std::vector<std::string> names(operations.size());  // room for the client library to write into
  std::vector<::Stat> stats(operations.size());
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const auto& [kind, path, data, mode, version] = operations[i];
    const char* const target = targets[i].c_str();
    const int size = static_cast<int>(data.size());
    switch (kind) {
      case Operation::Kind::check:
        zoo_check_op_init(&ops[i], target, version);
        break;
      case Operation::Kind::create:
        if (mode == Mode::container || mode == Mode::ttl || mode == Mode::ttl_sequential)
          throw Refused(
              "containers and nodes with a time to live cannot be created in a transaction");  // client's limit
        names[i].resize(targets[i].size() + sequence_digits + 1);
        zoo_create_op_init(&ops[i], target, data.data(), size, impl_->acl(), mode_of(mode), names[i].data(),
                           static_cast<int>(names[i].size()));
        break;
      case Operation::Kind::set:
        zoo_set_op_init(&ops[i], target, data.data(), size, version, &stats[i]);
        break;
      case Operation::Kind::remove:
        zoo_delete_op_init(&ops[i], target, version);
        break;
    }
  }
  auto answer = impl_->ask<Outcome>(
      "transaction on", operations.empty() ? "nothing" : operations[0].path, true,
      {ZNONODE, ZNODEEXISTS, ZBADVERSION, ZNOTEMPTY, ZNOAUTH, ZNOCHILDRENFOREPHEMERALS},
      [prefix = impl_->settings.hosts.chroot.size()](const Raw& raw) {
        const auto failed = std::find_if(raw.results->begin(), raw.results->end(),
                                         [&](const zoo_op_result_t& result) { return result.err == raw.rc; });
        Outcome outcome{static_cast<Code>(raw.rc), static_cast<std::size_t>(failed - raw.results->begin()), {}};
        for (const auto& result : *raw.results) {
          const bool done = raw.rc == ZOK;
          outcome.created.push_back(done && result.value != nullptr ? std::string(result.value).substr(prefix) : "");
          outcome.stats.push_back(done ? stat_of(result.stat) : Stat{});
        }
        return outcome;
      },
      [&](Call* call) {
        call->results.resize(ops.size());
        call->names = std::move(names);
        call->stats = std::move(stats);
        return zoo_amulti(impl_->handle, static_cast<int>(ops.size()), ops.data(), call->results.data(), Impl::on_void,
                          call);
      });
  return {*this, std::move(answer)};
}

void Session::listen(Listener listener) {
  const std::lock_guard lock(impl_->mutex);
  impl_->listener = std::move(listener);
  impl_->doubt_due = Clock::now() + impl_->doubt_period();
  impl_->start_heart();
  impl_->heart_due.notify_all();
  if (impl_->state == Impl::State::lost) impl_->listener.lost();
}

std::uint64_t Session::subscribe(const std::string& path, Aspect aspect, bool await_creation) {
  check_path(path);
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    number = impl_->subscriptions.add(path, aspect, await_creation);
  }
  impl_->ask_subscriptions();
  return number;
}

void Session::read_again(std::uint64_t subscription) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->subscriptions.again(subscription);
  }
  impl_->ask_subscriptions();
}

void Session::unsubscribe(std::uint64_t subscription) {
  const std::lock_guard lock(impl_->mutex);
  impl_->subscriptions.remove(subscription);  // what is watched for it falls to nobody
}

bool Session::make_directory(const std::string& path, const std::string& data, const Until& until) {
  // Made from the whole path, so that a missing chroot is created like any other ancestor.
  const std::string target = impl_->full(path);
  const auto make = [&](const std::string& node, const std::string& content) {
    const bool within_chroot = node.size() <= impl_->settings.hosts.chroot.size();
    return insist(until, [&] {
      return Reply<Created>(*this,
                            impl_->create(node, node, content, within_chroot ? Mode::persistent : Mode::container));
    });
  };
  Created made = make(target, data);
  while (made.code == Code::no_node) {
    std::string missing = parent_of(target);
    for (Created above = make(missing, ""); above.code == Code::no_node; above = make(missing, ""))
      missing = parent_of(missing);
    made = make(target, data);
  }
  return made.code == Code::ok;
}

void Session::wait_connected(const Until& until) {
  std::unique_lock lock(impl_->mutex);
  impl_->wait(lock, until, "a connection to ZooKeeper", [&] { return impl_->state == Impl::State::connected; });
}

void Session::guard(const std::vector<std::string>& nodes, const Until& until) {
  std::vector<std::string> targets;
  for (const auto& node : nodes) targets.push_back(impl_->full(node));
  std::unique_lock lock(impl_->mutex);
  impl_->guarded = targets;
  impl_->watch_due = Clock::now() + short_wait;
  const auto enough = [&] { return impl_->lease.end() - Clock::now() >= Lease::enough(impl_->timeout); };
  impl_->beat_now = !enough();
  impl_->start_heart();
  impl_->heart_due.notify_all();
  impl_->wait(lock, until, "the server to confirm the session", enough);
  impl_->leased = true;
  impl_->heart_due.notify_all();
}

void Session::prepare_to_guard(const std::string& node) {
  const std::string target = impl_->full(node);
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->beating || impl_->state != Impl::State::connected ||
        impl_->lease.end() - Clock::now() >= Lease::enough(impl_->timeout))
      return;
    impl_->beating = true;
  }
  impl_->send_beat({target});
}

void Session::follow(Vigil vigil) {
  const std::lock_guard lock(impl_->mutex);
  impl_->vigil = std::move(vigil);
  impl_->vigil_end = {};
  impl_->vigil_told = false;
  impl_->heart_due.notify_all();
}

void Session::unguard() {
  std::unique_lock lock(impl_->mutex);
  impl_->guarded.clear();
  impl_->watch_due = Time::max();
  impl_->leased = false;
  impl_->vigil = {};
  impl_->changed.wait(lock, [&] { return !impl_->in_vigil; });
}

Time Session::lease_end() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->lease.end();
}

bool Session::lost() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->state == Impl::State::lost;
}

std::int64_t Session::id() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->id;
}

Duration Session::timeout() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->timeout;
}

Will Session::will() const {
  Will will{.session = id(), .servers = impl_->addresses};
  const clientid_t* const client = zoo_client_id(impl_->handle);
  std::memcpy(will.password.data(), client->passwd, will.password.size());
  return will;
}

void Session::settle(const Answer& answer, const Until& until) {
  std::unique_lock lock(impl_->mutex);
  impl_->wait(lock, until, "the server's answer to " + answer.operation + " " + answer.path,
              [&] { return answer.done; });
  switch (answer.code) {
    case Code::ok:
      return;
    case Code::connection_loss:
    case Code::operation_timeout:
    case Code::session_moved:
      throw ConnectionLoss(answer.code, answer.operation, answer.path);
    case Code::session_expired:
    case Code::invalid_state:
    case Code::closing:
    case Code::auth_failed:
      // The word why it is over may still be on its way, and whether another session would fare better.
      impl_->changed.wait_until(lock, Clock::now() + std::chrono::seconds(1),
                                [&] { return impl_->state == Impl::State::lost; });
      impl_->throw_lost();
    default:
      throw Error(answer.code, answer.operation, answer.path);
  }
}

void Watch::wait_any(const std::vector<const Watch*>& watches, const Until& until, const std::string& what) {
  auto& impl = *watches.at(0)->session_->impl_;
  std::unique_lock lock(impl.mutex);
  impl.wait(lock, until, what,
            [&] { return std::ranges::any_of(watches, [](const Watch* watch) { return watch->state_->fired; }); });
}

void Watch::fire() const {
  auto& impl = *session_->impl_;
  const std::lock_guard lock(impl.mutex);
  state_->fired = true;
  impl.changed.notify_all();
}

bool Watch::take() const {
  const std::lock_guard lock(session_->impl_->mutex);
  return std::exchange(state_->fired, false);
}

bool Watch::fired() const {
  const std::lock_guard lock(session_->impl_->mutex);
  return state_->fired;
}

}  // namespace zk
