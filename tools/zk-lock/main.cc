// zk-lock: run a command in a distributed critical section.
#include "error.h"
#include "zk-lock.h"

int main(int argc, char** argv) {
  Options options;
  bool exclusive = false, shared = false, list = false, json = false;
  std::optional<int> limit, conflict_status;
  std::optional<std::string> shell;
  std::string on_lost = "stop";

  zk::Tool tool("zk-lock",
                {"[OPTION]... PATH [--] COMMAND [ARG]...", "[OPTION]... PATH -c STRING", "[OPTION]... PATH",
                 "--list [--json] PATH"},
                "run a command in a distributed critical section");
  tool.describe(
      "Of all who use the same PATH of the same ZooKeeper, on any host, one at a time runs its command; first come, "
      "first "
      "served. Without a command the lock is held until end of input or a signal, and its node and token are printed.\n"
      "Should the lock be lost while the command runs, because the servers cannot be reached or by someone's hand, the "
      "command and all its descendants are stopped before anyone else can be inside, and the status is 120.");
  tool.flag("-x, --exclusive", exclusive, "be alone inside (default)");
  tool.flag("-s, --shared", shared, "share the lock with others who say so; exclude those who do not");
  tool.option("--limit", "N", limit, 1, 1'000'000,
              "let at most N in at a time; all must say the same N, which the lock keeps");
  tool.list("--also", "PATH", options.also,
            "take this lock too; may be repeated. Always taken in the same order: no deadlock");
  tool.flag("-n, --nonblock", options.only_if_free, "do not wait: give up if the lock is not free");
  tool.option("-w, --wait", "DURATION", options.wait, "wait for so long at most, connecting included");
  tool.option("-E, --conflict-exit-code", "N", conflict_status, 0, 255,
              "the status when the lock was not got (default: 124)");
  tool.option("-c, --command", "STRING", shell, "run STRING by /bin/sh");
  tool.option("--label", "TEXT", options.label, "what others see about us (default: the command's name)");
  tool.option(
      "--grace", "DURATION", options.grace,
      "when the lock is lost, from TERM to KILL (default: 3s, less if the session timeout is shorter than 10s)");
  tool.choice("--on-lost", {"stop", "continue"}, on_lost, "what to do with the command then (default: stop)");
  tool.flag("--list", list, "show who holds the lock and who waits, in order");
  tool.flag("--json", json, "with --list: one JSON object a line");
  tool.argument("PATH", options.path);
  tool.command(options.command);
  tool.environment("ZK_LOCK_PATH, ZK_LOCK_NODE", "for the command: the lock, and our node in it");
  tool.environment("ZK_LOCK_TOKEN", "for the command: a number that rises from holder to holder (a fencing token)");
  tool.environment("ZK_LOCK_TOKENS", "for the command, with --also: a line TOKEN PATH for each lock");
  tool.environment("ZK_LOCK_NODES", "for the command: a line for each node held, by us and by the zk-locks above us");
  tool.environment("ZK_LOCK_MODE", "for the command: exclusive, shared or limited");
  tool.environment("ZK_HOSTS, ZK_SESSION_ID", "for the command: the connection and the session that holds the lock");
  tool.example("zk-lock --wait 10m /cron/backup -- backup.sh",
               "on twenty hosts at once: one after the other makes its backup.");
  tool.example("zk-lock -n -E 0 /cron/report -c 'make report | mail -s report team'",
               "one host does it; the others are content.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    if (list && !options.command.empty()) throw zk::WrongUsage("--list excludes a COMMAND");
    if (list) return list_lock(frame, options.path, json);
    if (shared && (exclusive || limit)) throw zk::WrongUsage("--shared excludes --exclusive and --limit");
    if (exclusive && limit) throw zk::WrongUsage("--exclusive excludes --limit");
    if (json) throw zk::WrongUsage("--json goes with --list");
    if (shell && !options.command.empty()) throw zk::WrongUsage("-c STRING excludes a COMMAND");
    if (shell) options.command = {"/bin/sh", "-c", *shell};
    if (shared) options.kind = zk::Kind::read;
    if (limit) options.kind = zk::Kind::permit;
    options.limit = limit.value_or(1);
    options.stop_when_lost = on_lost == "stop";
    tool.gave_up = conflict_status.value_or(tool.gave_up);
    return run_locked(frame, options);
  });
}
