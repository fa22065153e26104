// tpc-coordinator: changes and reads a register by two-phase commit.
#include <map>

#include "error.h"
#include "path.h"
#include "text.h"
#include "tpc-coordinator.h"

namespace {

using Command = int (*)(zk::Frame&, const Options&);

Command command_of(const std::vector<std::string>& words) {
  static const std::map<std::string, Command> commands{
      {"set", change}, {"delete", change}, {"if", change},          {"if-missing", change}, {"get", read},
      {"dump", read},  {"run", run_lines}, {"status", show_status}, {"recover", recover},   {"forget", forget}};
  const auto found = commands.find(words.at(0));
  if (found == commands.end())
    throw zk::WrongUsage("there is no command '" + zk::printable(words[0], 100) +
                         "'; there are set, delete, if, if-missing, get, dump, run, status, recover and forget");
  const bool alone = words[0] == "run" || words[0] == "status" || words[0] == "recover" || words[0] == "dump";
  if (alone && words.size() > 1)
    throw zk::WrongUsage("'" + words[0] + "' takes no arguments, and so not '" + zk::printable(words[1], 100) + "'");
  return found->second;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::vector<zk::Tool::Marked> words;
  std::string quorum;
  std::optional<std::string> fail_at;
  std::optional<int> parallel;

  zk::Tool tool("tpc-coordinator",
                {"[OPTION]... REGISTER set KEY=VALUE... [delete KEY...] [if KEY=OLD...] [if-missing KEY...]",
                 "[OPTION]... REGISTER get KEY...", "[OPTION]... REGISTER dump|run|status|recover|forget ID"},
                "change and read a register by two-phase commit");
  tool.describe(
      "A REGISTER is kept by its replicas, each a tpc-participant. A change is one transaction: all of it is done, on "
      "all replicas that are asked, or nothing. It is committed when all of them have voted yes. Asked is who is "
      "alive, if these are enough (--quorum).\n"
      "set, delete, if, if-missing: a transaction, in any order, each as often as you like. Prints the votes as they "
      "come, the decision, and who has acknowledged it.\n"
      "get, dump: what is there; linearizable: at least what was committed before it was asked. On standard error: "
      "which replica answered, and its version.\n"
      "run: transactions and reads from standard input, one a line; prints a line for each, in their order.\n"
      "status: who is there and how far, and what is not finished. recover: settles what dead coordinators have left "
      "(participants do so by themselves). forget ID: removes a replica for good.");
  tool.arguments("REGISTER COMMAND", words);
  tool.option("--participants", "N", options.participants, 1, 1000, "wait until N are alive");
  tool.option("--timeout", "DURATION", options.timeout,
              "for the votes, for reads, and for --participants (default: 30s)");
  tool.option("--quorum", "N|all", quorum,
              "how many must vote yes; whoever is alive must in any case (default: a majority of all replicas)");
  tool.option("--parallel", "K", parallel, 1, 256, "of run: how many may be in flight at once (default: 1)");
  tool.flag("--stale", options.stale, "of reads: what the first replica has, however old; says what is known of that");
  tool.flag("--json", options.json, "print JSON objects");
  tool.option("--fail-at", "POINT[:HOW]", fail_at,
              "die (kill, the default) or freeze (pause) there, on purpose: after-begin, before-decision, "
              "after-decision, before-cleanup");
  tool.answer("1", "aborted: nothing was changed; or, of get, a key does not exist");
  tool.example("tpc-coordinator /register set x=1 y=2 if z=3", "changes both if z is 3, or nothing.");
  tool.example("tpc-coordinator /register get x y", "prints both as they were at one moment.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    options.path = words.at(0).text;
    for (std::size_t i = 1; i < words.size(); ++i) options.words.push_back(words[i].text);
    if (options.words.empty())
      throw zk::WrongUsage("what is to be done with " + zk::printable(options.path, 100) + "? See --help");
    zk::check_path(options.path);
    if (!quorum.empty()) options.quorum = zk::Quorum::parse(quorum);
    options.parallel = parallel.value_or(1);
    if (fail_at)
      options.fail =
          zk::FailPoint::parse(*fail_at, {"after-begin", "before-decision", "after-decision", "before-cleanup"});
    return command_of(options.words)(frame, options);
  });
}
