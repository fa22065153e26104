// zk-barrier: start together, finish together.
#include "error.h"
#include "identity.h"
#include "zk-barrier.h"

int main(int argc, char** argv) {
  Options options;
  bool list = false, json = false;
  std::optional<int> members, timeout_status;
  std::optional<std::string> shell;
  std::string on_crash = "fail";

  zk::Tool tool("zk-barrier",
                {"[OPTION]... PATH --members N [--] COMMAND [ARG]...", "[OPTION]... PATH --members N -c STRING",
                 "[OPTION]... PATH --members N", "--list [--json] PATH"},
                "start together, finish together");
  tool.describe(
      "Waits until N members are at the same PATH of the same ZooKeeper, on any host; then all N run their command at "
      "once, and each ends when all have ended. All see the same N, and have a number of their own among them. More "
      "than N form the next generation, which begins when this one is over; the barrier can be used again at once.\n"
      "Without a command it prints `begin` with the generation, its rank and the members, stays until end of input, "
      "Ctrl-C or TERM, leaves, waits for the others, and prints `end`.\n"
      "Should a member die inside, the others learn it by its name as soon as its session ends: their commands are "
      "stopped, and the status is 121. Should we lose our own session, our command is stopped before the others are "
      "told, and the status is 120.");
  tool.option("-m, --members", "N", members, 1, 1000, "how many take part; all must say the same");
  tool.option("--id", "NAME", options.id, "our name, unlike all others' (default: HOST-PID)");
  tool.option("-w, --wait", "DURATION", options.wait, "to enter, wait for so long at most, connecting included");
  tool.option("--leave-wait", "DURATION", options.leave_wait, "when we have left, wait for the others so long at most");
  tool.option("-E, --timeout-exit-code", "N", timeout_status, 0, 255, "the status then (default: 124)");
  tool.flag("--enter-only", options.enter_only, "only start together: leave at once, before the command runs");
  tool.choice("--on-crash", {"fail", "ignore"}, on_crash,
              "when another member dies inside: stop, with status 121 (default), or go on");
  tool.option("-c, --command", "STRING", shell, "run STRING by /bin/sh");
  tool.option("--label", "TEXT", options.label, "what others see about us (default: the command's name)");
  tool.option("--grace", "DURATION", options.grace,
              "when the command is stopped, from TERM to KILL (default: 3s, less if the session timeout is short)");
  tool.flag("--list", list, "show who is here and who is missing");
  tool.flag("--json", json, "with --list: as a JSON object");
  tool.argument("PATH", options.path);
  tool.command(options.command);
  tool.environment("ZK_BARRIER_PATH, ZK_BARRIER_NODE", "for the command: the barrier, and our node in it");
  tool.environment("ZK_BARRIER_GENERATION", "for the command: the number of this round, which rises");
  tool.environment("ZK_BARRIER_MEMBERS", "for the command: the ids of all members in the order of their ranks");
  tool.environment("ZK_BARRIER_RANK", "for the command: our place among them, from 0 to N-1");
  tool.environment("ZK_HOSTS, ZK_SESSION_ID", "for the command: the connection and the session that is inside");
  tool.example("zk-barrier /jobs/load --members 3 -- ./load-test",
               "on three hosts: they begin at one instant, and all are done when the last one is.");
  tool.example("zk-barrier /duel --members 2 --id ana",
               "one of two players: blocks until the other one has come; Ctrl-C leaves.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    if (list && (members || shell || !options.command.empty()))
      throw zk::WrongUsage("--list goes with a PATH, and neither --members nor a COMMAND");
    if (list) return list_barrier(frame, options.path, json);
    if (json) throw zk::WrongUsage("--json goes with --list");
    if (!members) throw zk::WrongUsage("--members is missing: how many take part");
    if (shell && !options.command.empty()) throw zk::WrongUsage("-c STRING excludes a COMMAND");
    if (shell) options.command = {"/bin/sh", "-c", *shell};
    if (options.enter_only && options.leave_wait) throw zk::WrongUsage("--enter-only excludes --leave-wait");
    options.members = *members;
    options.ignore_crashes = on_crash == "ignore";
    tool.gave_up = timeout_status.value_or(tool.gave_up);
    return run_in_barrier(frame, options);
  });
}
