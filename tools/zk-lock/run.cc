#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sstream>

#include "child.h"
#include "contender.h"
#include "error.h"
#include "identity.h"
#include "input.h"
#include "lease.h"
#include "lock.h"
#include "log.h"
#include "output.h"
#include "path.h"
#include "text.h"
#include "zk-lock.h"

namespace {

using zk::Duration;
using zk::Until;
namespace log = zk::log;

// How the time inside ended.
struct Inside {
  int status = zk::status_done;
  std::optional<std::string> lost;  // why the lock was lost, if it was
  bool stopped = false;             // the command was, for that reason
};

// Written by the session's thread, read by ours.
class Loss {
 public:
  void note(const std::string& why) {
    const std::lock_guard lock(mutex_);
    why_ = why;
  }
  std::optional<std::string> why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<std::string> why_;
};

// --grace, checked against the session that we got.
Duration grace_within(const std::optional<Duration>& wanted, Duration timeout) {
  const Duration most = zk::Lease::longest_grace(timeout);
  if (!wanted) return std::min<Duration>(std::chrono::seconds(3), most);
  if (*wanted <= most) return *wanted;
  Duration enough = std::chrono::ceil<std::chrono::seconds>(*wanted * 3);
  while (zk::Lease::longest_grace(enough) < *wanted) enough += std::chrono::seconds(1) + enough / 20;
  enough = std::chrono::ceil<std::chrono::seconds>(enough);
  throw zk::Refused("--grace " + zk::to_string(*wanted) + " does not fit a session timeout of " +
                    zk::to_string(timeout) + ": at most " + zk::to_string(most) + ", or say --session-timeout " +
                    zk::to_string(enough));
}

std::string default_label(const std::vector<std::string>& command) {
  if (command.empty()) return "";
  return command.size() == 3 && command[1] == "-c" ? command[2].substr(0, 60) : zk::name_of(command[0]);
}

// One order for everybody, so that two who want the same locks cannot wait for each other.
std::vector<std::string> paths_in_order(const Options& options) {
  std::vector<std::string> paths = options.also;
  paths.push_back(options.path);
  for (const auto& path : paths) zk::check_path(path);
  std::sort(paths.begin(), paths.end());
  const auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice != paths.end()) throw zk::Refused("the lock " + *twice + " is named twice");
  return paths;
}

// The nodes of the zk-locks that we run under, a line each.
std::vector<std::string> nodes_above() {
  std::vector<std::string> nodes;
  const char* const lines = std::getenv("ZK_LOCK_NODES");
  std::istringstream text(lines == nullptr ? "" : lines);
  for (std::string node; std::getline(text, node);) nodes.push_back(node);
  return nodes;
}

// Whether a zk-lock that this one runs under is in this lock. Waiting for it would be waiting for ourselves; and
// waiting for somebody who waits for it, too.
bool held_above(zk::Session& session, const std::string& path, const Until& until) {
  for (const auto& node : nodes_above())
    if (zk::parse_contender(zk::name_of(node)) && zk::parent_of(node) == path &&
        session.insist(until, [&] { return session.get(node); }))
      return true;
  return false;
}

// With credentials of our own, a folder that everybody may change protects nothing.
void warn_if_open(zk::Session& session, const std::string& path, const Until& until) {
  if (session.insist(until, [&] { return session.open_to_all(path); }))
    log::warning(path + " was made for everybody: whoever likes can delete the nodes in it, and with them the lock");
}

std::vector<zk::Lock> take(zk::Session& session, const Options& options, const std::vector<std::string>& paths,
                           bool creator_only, const Until& until) {
  zk::LockRequest request{{}, options.kind, options.limit, {}, options.only_if_free};
  request.about = zk::Identity::mine(options.label.empty() ? default_label(options.command) : options.label).json();
  std::vector<zk::Lock> locks;
  for (const auto& path : paths) {
    const bool nested = held_above(session, path, until);
    request.path = path;
    request.only_if_free = options.only_if_free || nested;
    auto lock = zk::Lock::acquire(session, request, until, [&](std::size_t position, const std::string& about) {
      const auto ahead = zk::Identity::parse(about);
      log::step("waiting for " + path + ", number " + std::to_string(position) + " in line, behind " +
                (ahead ? ahead->shown() : "somebody"));
    });
    if (!lock && nested && !options.only_if_free)
      throw zk::Refused(path + " is held by a zk-lock that this one runs under: it would wait for itself");
    if (!lock) throw zk::TimedOut(path + " is not free");
    locks.push_back(std::move(*lock));
    if (creator_only) warn_if_open(session, path, until);
  }
  // While we waited for a later one, an earlier one may have been taken from us.
  for (std::size_t i = 0; i + 1 < locks.size(); ++i)
    if (!session.insist(until, [&] { return session.get(locks[i].node()); }))
      throw zk::SessionLost("the node of " + locks[i].path() + " was deleted by someone else");
  return locks;
}

// Who does not want to wait for others does not want to wait for a server that has fallen silent.
std::vector<zk::Lock> take_at_once(zk::Session& session, const Options& options, const std::vector<std::string>& paths,
                                   bool creator_only, const Until& until) {
  const Until limit = until.within(session.timeout());
  try {
    return take(session, options, paths, creator_only, limit);
  } catch (const zk::TimedOut&) {
    if (!limit.expired() || until.expired()) throw;
    throw zk::CannotConnect("ZooKeeper does not answer any more; whether " + options.path + " is free is unknown");
  }
}

using Variables = std::vector<std::pair<std::string, std::string>>;

Variables variables_inside(const zk::Frame& frame, const Options& options, const zk::Session& session,
                           const std::vector<zk::Lock>& locks) {
  const char* const mode = options.kind == zk::Kind::write  ? "exclusive"
                           : options.kind == zk::Kind::read ? "shared"
                                                            : "limited";
  Variables variables{
      {"ZK_HOSTS", frame.hosts}, {"ZK_SESSION_ID", std::to_string(session.id())}, {"ZK_LOCK_MODE", mode}};
  std::string tokens, nodes;
  for (const auto& node : nodes_above()) nodes += node + "\n";
  for (const auto& lock : locks) {
    nodes += lock.node() + "\n";
    tokens += std::to_string(lock.token()) + " " + lock.path() + "\n";
    if (lock.path() != options.path) continue;
    variables.emplace_back("ZK_LOCK_PATH", lock.path());
    variables.emplace_back("ZK_LOCK_NODE", lock.node());
    variables.emplace_back("ZK_LOCK_TOKEN", std::to_string(lock.token()));
  }
  variables.emplace_back("ZK_LOCK_NODES", nodes);
  if (locks.size() > 1) variables.emplace_back("ZK_LOCK_TOKENS", tokens);
  return variables;
}

// Runs the command; it is dead before the lease is over, whatever becomes of us.
Inside run_command(zk::Frame& frame, const Options& options, zk::Session& session, const std::vector<zk::Lock>& locks,
                   Duration grace, zk::Child& child) {
  const Duration margin = zk::Lease::margin(session.timeout());  // for the dying itself
  const auto deadline = [&](zk::Time lease_end) {
    return options.stop_when_lost ? lease_end - margin : zk::Time::max();
  };
  const auto variables = variables_inside(frame, options, session, locks);
  Loss loss;
  const bool started = frame.signals.hand_over(
      [&] {
        child.start({variables, deadline(session.lease_end()), grace});
      },
      [&](int signal) { child.signal(signal); });
  if (!started) throw zk::Stopped("stopped before the command was started");
  session.follow({[&](zk::Time end) { child.extend(deadline(end)); },
                  [&](const std::string& why) {
                    loss.note(why);
                    if (options.stop_when_lost)
                      child.stop();
                    else
                      log::warning("lost " + options.path + ": " + why + "; the command goes on");
                  }});
  const zk::Ended ended = child.wait([&](int signal) {
    log::warning(signal == SIGTSTP
                     ? "the command is not suspended while it holds " + options.path + ": others wait for it"
                     : "the command is suspended (" + std::string(strsignal(signal)) + ") and holds " + options.path);
  });
  frame.signals.take_back();
  session.unguard();  // the vigil is ours
  frame.interrupt = ended.interrupt;
  auto lost = loss.why();
  if (!lost && ended.cut_short)
    lost = ended.error.empty() ? "no server has confirmed the session in time" : ended.error;
  if (!lost && !ended.error.empty())
    log::error("cannot execute " + zk::printable(options.command[0], 200) + ": " + ended.error);
  if (ended.left > 0)
    log::step(std::to_string(ended.left) +
              " processes that the command left in the background go on, without the lock");
  return {ended.status, lost, ended.cut_short};
}

// Holds until end of input or a signal.
Inside hold(zk::Frame& frame, const Options& options, zk::Session& session, const std::vector<zk::Lock>& locks) {
  Loss loss;
  std::atomic<int> signal = 0;
  std::stop_source end;
  if (!frame.signals.hand_over([] {},
                               [&](int number) {
                                 if (number == SIGCONT) return;
                                 signal = number;
                                 end.request_stop();
                               }))
    throw zk::Stopped("stopped before the lock was used");
  session.follow({[](zk::Time) {},
                  [&](const std::string& why) {
                    loss.note(why);
                    end.request_stop();
                  }});
  const auto over = [&] {
    frame.signals.take_back();
    session.unguard();
  };
  const Until until{zk::Time::max(), end.get_token()};
  try {
    std::string announcement;
    for (const auto& lock : locks) announcement += lock.node() + " " + std::to_string(lock.token()) + "\n";
    zk::Output().write(announcement, until);
    if (isatty(STDIN_FILENO) == 1) log::warning("holding " + options.path + "; Ctrl-D or Ctrl-C gives it up");
    zk::wait_for_end_of_input(until);
  } catch (const zk::Stopped&) {
  } catch (...) {
    over();
    throw;
  }
  over();
  return {signal == 0 ? zk::status_done : zk::status_signal + signal, loss.why(), false};
}

// Answers why a lock had been lost before, if one had.
std::optional<std::string> release(zk::Session& session, std::vector<zk::Lock>& locks) {
  const Until until = Until{}.within(session.timeout());
  try {
    for (auto lock = locks.rbegin(); lock != locks.rend(); ++lock) lock->release(until);
  } catch (const zk::SessionLost& lost) {
    return lost.what();
  } catch (const std::runtime_error& error) {
    log::warning("the release is not confirmed (" + std::string(error.what()) + "); the lock is free within " +
                 zk::to_string(session.timeout()) + " at the latest");
  }
  return std::nullopt;
}

// From the connection to the release, once. Throws SessionLost only before anything was done inside.
int run_once(zk::Frame& frame, const Options& options, const std::vector<std::string>& paths, const Until& until) {
  const zk::Time begin = zk::Clock::now();
  std::optional<zk::Child> child;
  if (!options.command.empty()) child.emplace(options.command);
  zk::Session session(frame.settings, until);
  const Duration grace = grace_within(options.grace, session.timeout());
  auto locks = options.only_if_free ? take_at_once(session, options, paths, frame.settings.creator_only, until)
                                    : take(session, options, paths, frame.settings.creator_only, until);
  std::vector<std::string> nodes;
  for (const auto& lock : locks) nodes.push_back(lock.node());
  session.guard(nodes, until);
  const zk::Time entered = zk::Clock::now();
  log::step("inside " + options.path + " after " + zk::to_string(entered - begin));

  Inside inside =
      child ? run_command(frame, options, session, locks, grace, *child) : hold(frame, options, session, locks);
  session.unguard();
  const std::string how_long = zk::to_string(zk::Clock::now() - entered);
  if (!inside.lost) inside.lost = release(session, locks);
  if (!inside.lost) {
    log::step("left " + options.path + " after " + how_long);
    return inside.status;
  }
  log::error("lost " + options.path + " after " + how_long + ": " + *inside.lost +
             (inside.stopped ? "; the command was stopped"
              : child        ? "; the command went on and ended with status " + std::to_string(inside.status)
                             : ""));
  return zk::status_lost;
}

}  // namespace

int run_locked(zk::Frame& frame, const Options& options) {
  const Until until = options.wait ? frame.until.within(*options.wait) : frame.until;
  const auto paths = paths_in_order(options);
  Duration patience = std::chrono::milliseconds(500);
  for (bool was_in_line = false;;) {
    try {
      return run_once(frame, options, paths, until);
    } catch (const zk::SessionLost& lost) {
      log::warning(std::string(lost.what()) + "; getting in line again");
      was_in_line = true;
    } catch (const zk::CannotConnect& error) {
      // The first time it is a mistake somebody should hear of. Later it is an outage, and waiting is what was asked
      // for.
      if (!was_in_line || options.only_if_free) throw;
      patience = std::min<Duration>(patience * 2, std::chrono::seconds(30));
      log::warning(std::string(error.what()) + "; trying again in " + zk::to_string(patience));
      zk::pause(patience, until);
    }
  }
}
