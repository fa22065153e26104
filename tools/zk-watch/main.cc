// zk-watch: tell what changes, or run a command when it does.
#include <algorithm>

#include "error.h"
#include "zk-watch.h"

namespace {

using Kind = zk::Target::Kind;

std::vector<zk::Target> targets(const std::vector<zk::Tool::Marked>& paths, const std::optional<Condition>& until) {
  const bool until_children = until && until->subject() == Condition::Subject::children;
  std::vector<zk::Target> all;
  for (const auto& [path, mark] : paths) {
    Kind kind = until_children ? Kind::children : Kind::data;
    if (mark == "--children") kind = Kind::children;
    if (mark == "--recursive") kind = Kind::tree;
    if (until && until->subject() == Condition::Subject::data && kind == Kind::children)
      throw zk::WrongUsage("--until =VALUE and ~REGEX look at data, and of " + path + " the children are watched");
    if (until_children && mark == "--data") throw zk::WrongUsage("--until children>=N does not go with --data");
    if (until_children && kind == Kind::tree) throw zk::WrongUsage("--until children>=N does not go with --recursive");
    const zk::Target target{kind, path};
    if (std::ranges::find(all, target) == all.end()) all.push_back(target);
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::vector<zk::Tool::Marked> paths;
  bool no_initial = false;
  std::optional<std::string> until;
  std::optional<zk::Duration> debounce;
  std::optional<int> timeout_status;

  zk::Tool tool("zk-watch", {"[OPTION]... PATH...", "[OPTION]... PATH... --exec COMMAND [ARG]..."},
                "tell what changes in ZooKeeper, or run a command when it does");
  tool.describe(
      "Of each PATH the data are watched, whether the node exists yet or not; behind --children the names below it; "
      "behind "
      "--recursive the data of the node and of all below it. The present state is told first, then each change that is "
      "seen: created, changed, deleted, children.\n"
      "ZooKeeper tells that something has changed, not how often: what was not seen is counted by the versions. After "
      "a lost "
      "connection or session all is read again: a record 'gap', and what differs is marked. The last state told is the "
      "node's state, also to a reader that is slow. Of a tree, a record 'children' tells only that some came and went "
      "unseen.\n"
      "With --exec nothing is printed: COMMAND gets the data (of --children the names) on its standard input, one run "
      "at a "
      "time; of changes meanwhile the newest of each PATH counts.");
  tool.mark("--children", "watch the children of the PATHs that follow (or, at the end, of all)");
  tool.mark("--recursive", "watch the PATHs that follow and all that is below them");
  tool.mark("--data", "watch the data of the PATHs that follow, as without a mark");
  tool.flag("--json", options.json, "one JSON object a line");
  tool.flag("--no-initial", no_initial, "do not tell the state at the beginning");
  tool.command_after("--exec", options.command, "run COMMAND on each change; takes the rest of the line");
  tool.option("--debounce", "DURATION", debounce,
              "with --exec: run when nothing has changed for so long, or after ten times as long");
  tool.option("--exec-timeout", "DURATION", options.command_timeout,
              "with --exec: end a COMMAND that takes longer (TERM, and KILL 3s later)");
  tool.flag("--fail-fast", options.fail_fast, "with --exec: end when COMMAND fails, with its status");
  tool.option("-n, --count", "N", options.count, 1, 1'000'000'000, "end after N records, or N runs of COMMAND");
  tool.option("-t, --timeout", "DURATION", options.timeout, "end after so long, with status 124");
  tool.option("-E, --timeout-exit-code", "N", timeout_status, 0, 255, "the status then (default: 124)");
  tool.option("--until", "CONDITION", until,
              "end with status 0 when it holds for every PATH: exists, missing, =VALUE, ~REGEX (as of grep -E) or "
              "children>=N");
  tool.arguments("PATH", paths);
  tool.environment("ZK_EVENT, ZK_PATH",
                   "for COMMAND: what happened (initial, created, changed, deleted, children), to what");
  tool.environment("ZK_VERSION, ZK_MZXID",
                   "for COMMAND: of the data; also ZK_CVERSION, ZK_CZXID, ZK_EXISTS (0 or 1), ZK_MISSED");
  tool.answer("1-99", "with --fail-fast: COMMAND's own status");
  tool.example("zk-watch /NORMAL --children /PAI", "tells what happens to a node and below another.");
  tool.example("zk-watch --until '=ready' --timeout 1m /app/state", "waits for a distributed condition.");
  tool.example("zk-watch /app/config --debounce 1s --exec sh -c 'cat >app.conf && systemctl reload app'",
               "keeps a file and a service up to date.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    if (options.command.empty() && (debounce || options.command_timeout || options.fail_fast))
      throw zk::WrongUsage("--debounce, --exec-timeout and --fail-fast go with --exec");
    if (!options.command.empty() && options.json) throw zk::WrongUsage("--json does not go with --exec");
    if (timeout_status && !options.timeout) throw zk::WrongUsage("--timeout-exit-code goes with --timeout");
    if (until) options.until = Condition::parse(*until);
    options.targets = targets(paths, options.until);
    options.initial = !no_initial;
    options.debounce = debounce.value_or(zk::Duration::zero());
    tool.gave_up = timeout_status.value_or(tool.gave_up);
    return watch(frame, options);
  });
}
