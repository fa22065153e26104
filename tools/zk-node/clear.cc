#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "answers.h"
#include "node_json.h"
#include "output.h"
#include "path.h"
#include "walk.h"

namespace {

using zk::Code;
using zk::Operation;
using zk::Session;
using zk::Until;

class Clearing {
 public:
  Clearing(zk::Frame& frame, const Options& options) : frame_(frame), options_(options) {}

  int run() {
    Session session(frame_.settings, frame_.until);
    if (!may_change(session, options_, patience(frame_, session))) return not_held(options_);
    // Others may create nodes there meanwhile: then it takes another round.
    for (int round = 1;; ++round) {
      const auto paths = below(session);
      settle(paths);
      if (paths.empty()) return deleted_ > 0 ? zk::status_done : no("no such node: " + options_.path);
      if (round == 10) throw zk::Refused(options_.path + " cannot be deleted: others create nodes in it all the time");
      for (std::size_t at = 0; at < paths.size(); at += at_a_time) {
        const std::vector<std::string> some(
            paths.begin() + static_cast<std::ptrdiff_t>(at),
            paths.begin() + static_cast<std::ptrdiff_t>(std::min(at + at_a_time, paths.size())));
        const auto outcome = remove(session, some);
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

  zk::Walk look(Session& session, const zk::Bounds& bounds) const {
    try {
      return zk::walk(session, options_.path, bounds, frame_.until);
    } catch (const zk::CannotConnect&) {
      if (!in_doubt_.empty() || deleted_ > 0) unknown("delete", options_.path);
      throw;
    }
  }

  // The node and all below it, children before their parents; nothing if it has gone.
  std::vector<std::string> below(Session& session) const {
    const std::size_t most = options_.most ? static_cast<std::size_t>(*options_.most) : usual_most;
    const auto all = look(session, {.most_nodes = most + 1, .with_data = false, .patience = session.timeout()});
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

  // nullopt: whether it was done is to be seen.
  std::optional<zk::Outcome> remove(Session& session, const std::vector<std::string>& paths) {
    std::vector<Operation> operations;
    for (const auto& path : paths) operations.push_back({Operation::Kind::remove, path});
    const Until until = patience(frame_, session);
    return made_or_unknown("delete", options_.path, [&]() -> std::optional<zk::Outcome> {
      try {
        return session.transact(fenced(options_, operations)).get(until);
      } catch (const zk::ConnectionLoss&) {
        if (options_.if_held) throw;  // it may have been refused, and somebody else have deleted them
        in_doubt_ = paths;
        settled(session, options_.path, until);
        return std::nullopt;
      }
    });
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
      lines += options_.json ? zk::line({{"path", path}, {"deleted", true}}) : shown(out_, path) + "\n";
    out_.write(lines, frame_.until);
  }

  zk::Frame& frame_;
  const Options& options_;
  zk::Output out_;
  std::size_t deleted_ = 0;
  std::vector<std::string> in_doubt_;
};

}  // namespace

int clear_node(zk::Frame& frame, const Options& options) { return Clearing(frame, options).run(); }
