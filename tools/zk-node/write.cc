#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "answers.h"
#include "ending.h"
#include "input.h"
#include "lock.h"
#include "log.h"
#include "node_json.h"
#include "output.h"
#include "path.h"
#include "text.h"
#include "walk.h"

namespace {

using nlohmann::ordered_json;
using zk::Code;
using zk::Operation;
using zk::Session;
using zk::Until;

[[noreturn]] void unknown(const std::string& operation, const std::string& path) {
  throw zk::ConnectionLoss(Code::connection_loss, operation, path);
}

// --- create ---

zk::Mode mode_of(const Options& options) {
  using zk::Mode;
  if (options.container) return Mode::container;
  if (options.ephemeral) return options.sequential ? Mode::ephemeral_sequential : Mode::ephemeral;
  if (options.ttl) return options.sequential ? Mode::ttl_sequential : Mode::ttl;
  return options.sequential ? Mode::persistent_sequential : Mode::persistent;
}

zk::Created create_once(Session& session, const Options& options, const std::string& data, const Until& until) {
  try {
    return session.create(options.path, data, mode_of(options), options.ttl.value_or(zk::Duration::zero())).get(until);
  } catch (const zk::Error& error) {
    if (error.code() != Code::unimplemented || !options.ttl) throw;
    throw zk::Refused("the server does not allow --ttl: it has to be started with zookeeper.extendedTypesEnabled=true");
  }
}

// Made again if the connection broke, except where that could make a second one.
zk::Created create_surely(Session& session, const Options& options, const std::string& data, const Until& until) {
  for (bool repeated = false;; repeated = true) {
    try {
      zk::Created made = create_once(session, options, data, until);
      if (made.code != Code::node_exists || !repeated) return made;
      const auto stat = session.insist(until, [&] { return session.stat(options.path); });
      if (!stat || stat->owner != session.id()) unknown("create", options.path);
      return {Code::ok, options.path, *stat};
    } catch (const zk::ConnectionLoss&) {
      if (options.sequential || repeated) throw;
      session.wait_connected(until);
    }
  }
}

zk::Created create_with_parents(Session& session, const Options& options, const std::string& data, const Until& until) {
  const std::string parent = zk::parent_of(options.path);
  for (;;) {
    zk::Created made = create_surely(session, options, data, until);
    // The chroot belongs to the connection, and is made like it.
    if (made.code != Code::no_node || (!options.parents && parent != "/")) return made;
    session.make_directory(parent, "", until);
  }
}

// Tells when a node that is ours for as long as our session lives is lost.
void watch_over(Session& session, const std::string& path, zk::Ending& end) {
  const auto lost = [path, &end](const char* why) {
    if (end.status() < 0) zk::log::error("lost: " + path + why);
    end.with(zk::status_lost);
  };
  session.listen({[lost, id = session.id()](const zk::Reading& reading) {
                    if (reading.code == Code::no_node || (reading.code == Code::ok && reading.node.stat.owner != id))
                      lost(" was deleted by someone else");
                  },
                  [lost] { lost(" went with its session"); }});
  session.subscribe(path, zk::Aspect::data, /*await_creation=*/false);
}

void wait_for_the_end(const Options& options, const Until& until) {
  if (options.data == "-") zk::pause(std::chrono::hours(24 * 365), until);  // the input has ended already
  if (isatty(STDIN_FILENO) == 1) zk::log::warning("holding " + options.path + "; Ctrl-D or Ctrl-C gives it up");
  zk::wait_for_end_of_input(until);
}

// Throws Stopped on a signal.
int hold(const Options& options, const zk::Ending& end) {
  try {
    wait_for_the_end(options, end.until());
    return zk::status_done;
  } catch (const zk::Stopped&) {
    if (end.status() < 0) throw;
    return end.status();
  }
}

// --- set and delete ---

// Why a change of one node was refused, with what somebody who wants to try again has to know.
int refused(Session& session, const Options& options, const Until& until) {
  const auto stat = session.insist(until, [&] { return session.stat(options.path); });
  if (!stat) return no("no such node: " + options.path);
  return no(options.path + " has version " + std::to_string(stat->version) +
            (options.version ? ", not " + std::to_string(*options.version) : ""));
}

int not_held(const Options& options) { return no("not held: " + *options.if_held); }

// The operations, behind the check that the lock is held.
std::vector<Operation> fenced(const Options& options, std::vector<Operation> operations) {
  if (options.if_held) operations.insert(operations.begin(), {Operation::Kind::check, *options.if_held});
  return operations;
}

bool lock_had_gone(const Options& options, const zk::Outcome& outcome) {
  return options.if_held && outcome.code == Code::no_node && outcome.failed == 0;
}

// Answers the outcome, whose operation is the last one, or nullopt if the answer is no, and has been told in `status`.
std::optional<zk::Outcome> change(Session& session, const Options& options, const Operation& operation, int& status,
                                  const char* what, const Until& until) {
  if (options.if_held && !zk::is_inside(session, *options.if_held, until)) {
    status = not_held(options);
    return std::nullopt;
  }
  return made_or_unknown(what, options.path, [&]() -> std::optional<zk::Outcome> {
    int asked = 0;
    zk::Outcome outcome = session.insist(until, [&] {
      ++asked;
      return session.transact(fenced(options, {operation}));
    });
    if (outcome.code == Code::ok) return outcome;
    // Asked twice, it may have been the first time, whose answer was lost, that changed it.
    const bool deletes = operation.kind == Operation::Kind::remove;
    if (asked > 1 && deletes && outcome.code == Code::no_node && !lock_had_gone(options, outcome)) return zk::Outcome{};
    if (asked > 1 && (options.version || options.if_held)) unknown(what, options.path);
    if (lock_had_gone(options, outcome))
      status = not_held(options);
    else if (outcome.code == Code::no_node)
      status = no("no such node: " + options.path);
    else if (outcome.code == Code::bad_version)
      status = refused(session, options, until);
    else if (outcome.code == Code::not_empty)
      throw zk::Refused(options.path + " has children: -r deletes them, too");
    else
      throw zk::Error(outcome.code, what, options.path);
    return std::nullopt;
  });
}

// --- delete -r ---

class Clearing {
 public:
  Clearing(zk::Frame& frame, const Options& options) : frame_(frame), options_(options) {}

  int run() {
    Session session(frame_.settings, frame_.until);
    if (options_.if_held && !zk::is_inside(session, *options_.if_held, patience(frame_, session)))
      return not_held(options_);
    // Others may create nodes there meanwhile: then it takes another round.
    for (int round = 1;; ++round) {
      const Until until = patience(frame_, session);
      const auto paths = below(session);
      settle(paths);
      if (paths.empty()) return deleted_ > 0 ? zk::status_done : no("no such node: " + options_.path);
      if (round == 10) throw zk::Refused(options_.path + " cannot be deleted: others create nodes in it all the time");
      for (std::size_t at = 0; at < paths.size(); at += at_a_time) {
        const std::vector<std::string> some(
            paths.begin() + static_cast<std::ptrdiff_t>(at),
            paths.begin() + static_cast<std::ptrdiff_t>(std::min(at + at_a_time, paths.size())));
        const auto outcome = remove(session, some, until);
        if (!outcome) break;  // whether it was done is seen in the next round
        if (lock_had_gone(options_, *outcome)) return not_held(options_);
        if (outcome->code == Code::no_auth)
          throw zk::Error(outcome->code, "delete", some.at(outcome->failed - (options_.if_held ? 1 : 0)));
        if (outcome->code != Code::ok) break;
        report(some);
      }
    }
  }

 private:
  static constexpr std::size_t at_a_time = 200;
  static constexpr std::size_t usual_most = 10'000;

  // The node and all below it, children before their parents; nothing if it has gone.
  std::vector<std::string> below(Session& session) const {
    const std::size_t most = options_.most ? static_cast<std::size_t>(*options_.most) : usual_most;
    const auto all = zk::walk(session, options_.path, {.most_nodes = most + 1, .with_data = false}, frame_.until);
    if (all.root.code == Code::no_node) return {};
    if (all.nodes > most)
      throw zk::Refused("there are more than " + std::to_string(most) + " nodes at and below " + options_.path +
                        ": nothing was deleted; say --max if they all are to go");
    std::vector<std::string> paths;
    const std::function<void(const zk::Branch&, const std::string&)> add = [&](const zk::Branch& branch,
                                                                               const std::string& path) {
      if (branch.code == Code::no_auth) throw zk::Error(branch.code, "list", path);
      for (const auto& [name, child] : branch.children) add(child, zk::join(path, name));
      paths.push_back(path);
    };
    add(all.root, options_.path);
    return paths;
  }

  std::optional<zk::Outcome> remove(Session& session, const std::vector<std::string>& paths, const Until& until) {
    std::vector<Operation> operations;
    for (const auto& path : paths) operations.push_back({Operation::Kind::remove, path});
    try {
      return session.transact(fenced(options_, operations)).get(until);
    } catch (const zk::ConnectionLoss&) {
      in_doubt_ = paths;
      session.wait_connected(until);
      return std::nullopt;
    }
  }

  // What was in doubt and is not there any more was deleted.
  void settle(const std::vector<std::string>& left) {
    std::erase_if(in_doubt_, [&](const std::string& path) { return std::ranges::find(left, path) != left.end(); });
    report(in_doubt_);
    in_doubt_.clear();
  }

  void report(const std::vector<std::string>& paths) {
    deleted_ += paths.size();
    std::string lines;
    for (const auto& path : paths)
      lines += options_.json        ? zk::line({{"path", path}, {"deleted", true}})
               : out_.is_terminal() ? zk::printable(path, path.size()) + "\n"
                                    : path + "\n";
    out_.write(lines, frame_.until);
  }

  zk::Frame& frame_;
  const Options& options_;
  zk::Output out_;
  std::size_t deleted_ = 0;
  std::vector<std::string> in_doubt_;
};

}  // namespace

int create_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  if (options.path == "/") throw zk::Refused("/ exists always");
  const std::string data = data_of(options, frame.until);
  zk::Ending end(frame.until.stop);
  Session session(frame.settings, frame.until);
  const auto made = made_or_unknown(
      "create", options.path, [&] { return create_with_parents(session, options, data, patience(frame, session)); });
  if (made.code == Code::node_exists) return no("it exists already: " + options.path);
  if (made.code == Code::no_node)
    return no("no such node: " + zk::parent_of(options.path) + ", the parent of " + options.path + "; -p makes it");
  if (options.ephemeral) watch_over(session, made.path, end);
  zk::Output out;
  if (options.json) {
    ordered_json object{{"path", made.path}};
    zk::add_stat(object, made.stat);
    out.write(zk::line(object), frame.until);
  } else if (options.sequential || options.ephemeral) {
    out.write(made.path + "\n", frame.until);
  }
  return options.ephemeral ? hold(options, end) : zk::status_done;
}

int set_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  const std::string data = data_of(options, frame.until);
  Session session(frame.settings, frame.until);
  int status = zk::status_done;
  const auto outcome =
      change(session, options, {Operation::Kind::set, options.path, data, {}, options.version.value_or(-1)}, status,
             "set", patience(frame, session));
  if (outcome && options.json) {
    ordered_json object{{"path", options.path}};
    zk::add_stat(object, outcome->stats.back());
    zk::Output().write(zk::line(object), frame.until);
  }
  return status;
}

int delete_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  if (options.path == "/") throw zk::Refused("/ cannot be deleted");
  if (options.recursive) return Clearing(frame, options).run();
  Session session(frame.settings, frame.until);
  int status = zk::status_done;
  const auto outcome =
      change(session, options, {Operation::Kind::remove, options.path, {}, {}, options.version.value_or(-1)}, status,
             "delete", patience(frame, session));
  if (outcome && options.json) zk::Output().write(zk::line({{"path", options.path}, {"deleted", true}}), frame.until);
  return status;
}
