#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "child.h"
#include "contender.h"
#include "error.h"
#include "identity.h"
#include "lock.h"
#include "log.h"
#include "path.h"
#include "stay.h"
#include "zk-lock.h"

namespace {

using zk::Duration;
using zk::Until;
namespace log = zk::log;

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
  request.about = zk::Identity::mine(options.label.empty() ? zk::default_label(options.command) : options.label).json();
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

Variables variables_inside(const Options& options, const std::vector<zk::Lock>& locks) {
  const char* const mode = options.kind == zk::Kind::write  ? "exclusive"
                           : options.kind == zk::Kind::read ? "shared"
                                                            : "limited";
  Variables variables{{"ZK_LOCK_MODE", mode}};
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

// What a script gets that holds without a command: a line NODE TOKEN for each lock.
std::string announcement(const std::vector<zk::Lock>& locks) {
  std::string lines;
  for (const auto& lock : locks) lines += lock.node() + " " + std::to_string(lock.token()) + "\n";
  return lines;
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
  const zk::Stay stay{.path = options.path,
                      .doing = "holds " + options.path,
                      .grace = zk::grace_within(options.grace, session.timeout()),
                      .stop_when_lost = options.stop_when_lost};
  auto locks = options.only_if_free ? take_at_once(session, options, paths, frame.settings.creator_only, until)
                                    : take(session, options, paths, frame.settings.creator_only, until);
  std::vector<std::string> nodes;
  for (const auto& lock : locks) nodes.push_back(lock.node());
  session.guard(nodes, until);
  const zk::Time entered = zk::Clock::now();
  log::step("inside " + options.path + " after " + zk::to_string(entered - begin));

  zk::Stayed inside =
      child ? zk::run_command(frame, &session, *child, options.command[0], variables_inside(options, locks), stay)
            : zk::hold(frame, session, announcement(locks),
                       "holding " + options.path + "; Ctrl-D or Ctrl-C gives it up", stay);
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
