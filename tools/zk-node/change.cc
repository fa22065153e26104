#include <nlohmann/json.hpp>

#include "answers.h"
#include "node_json.h"
#include "output.h"
#include "path.h"

namespace {

using zk::Code;
using zk::Operation;
using zk::Session;
using zk::Until;

// Why a change of one node was refused, with what somebody who wants to try again has to know.
int refused(Session& session, const Options& options, const Until& until) {
  const auto stat = session.insist(until, [&] { return session.stat(options.path); });
  if (!stat) return no("no such node: " + options.path);
  return no(options.path + " has version " + std::to_string(stat->version) +
            (options.version ? ", not " + std::to_string(*options.version) : ""));
}

// What became of a change whose answer was lost. It is not repeated blindly: somebody else may have changed the node
// since, and would not expect it.
enum class Fate { done, not_done, unknown };

Fate fate(const Operation& operation, bool conditional, const std::optional<zk::Stat>& before,
          const std::optional<zk::Node>& now) {
  if (!before) return Fate::unknown;
  const bool same_node = now && now->stat.czxid == before->czxid;
  if (same_node && now->stat.version == before->version) return Fate::not_done;
  // With --version or --if-held it may have been refused, and somebody else have done the same.
  if (conditional) return Fate::unknown;
  if (operation.kind == Operation::Kind::remove) return same_node ? Fate::unknown : Fate::done;
  const bool looks_like_ours = same_node && now->stat.version == before->version + 1 && now->data == operation.data;
  return looks_like_ours ? Fate::done : Fate::unknown;
}

// Answers the outcome, whose operation is the last one.
zk::Outcome change_once(Session& session, const Options& options, const Operation& operation, const char* what,
                        const Until& until) {
  for (;;) {
    auto looking = session.stat(options.path);
    auto changing = session.transact(fenced(options, {operation}));
    std::optional<zk::Stat> before;
    try {
      before = looking.get(until);
      return changing.get(until);
    } catch (const zk::ConnectionLoss&) {
      settled(session, options.path, until);
      const auto now = session.insist(until, [&] { return session.get(options.path); });
      const Fate became = fate(operation, options.version || options.if_held, before, now);
      if (became == Fate::unknown) unknown(what, options.path);
      if (became == Fate::done) return {.stats = {now ? now->stat : zk::Stat{}}};
    }
  }
}

// Answers the outcome, or nullopt if the answer is no, and has been told in `status`.
std::optional<zk::Outcome> change(zk::Frame& frame, const Options& options, const Operation& operation, int& status,
                                  const char* what) {
  Session session(frame.settings, frame.until);
  const Until until = patience(frame, session);
  if (!may_change(session, options, until)) {
    status = not_held(options);
    return std::nullopt;
  }
  const auto outcome =
      made_or_unknown(what, options.path, [&] { return change_once(session, options, operation, what, until); });
  if (outcome.code == Code::ok) return outcome;
  if (lock_had_gone(options, outcome))
    status = not_held(options);
  else if (outcome.code == Code::no_node)
    status = no("no such node: " + options.path);
  else if (outcome.code == Code::bad_version)
    status = in_time([&] { return refused(session, options, until); });
  else if (outcome.code == Code::not_empty)
    status = no(options.path + " has children: -r deletes them, too");
  else
    throw zk::Error(outcome.code, what, options.path);
  return std::nullopt;
}

}  // namespace

int set_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  const std::string data = data_of(options, frame.until);
  int status = zk::status_done;
  const auto outcome = change(
      frame, options, {Operation::Kind::set, options.path, data, {}, options.version.value_or(-1)}, status, "set");
  if (outcome && options.json) {
    nlohmann::ordered_json object{{"path", options.path}};
    zk::add_stat(object, outcome->stats.back());
    zk::Output().write(zk::line(object), frame.until);
  }
  return status;
}

int delete_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  if (options.path == "/") throw zk::Refused("/ cannot be deleted");
  if (options.recursive) return clear_node(frame, options);
  int status = zk::status_done;
  const auto outcome = change(
      frame, options, {Operation::Kind::remove, options.path, {}, {}, options.version.value_or(-1)}, status, "delete");
  if (outcome && options.json) zk::Output().write(zk::line({{"path", options.path}, {"deleted", true}}), frame.until);
  return status;
}
