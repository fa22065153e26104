// tpc-participant: one replica of a register that is changed by two-phase commit.
#include <charconv>
#include <random>

#include "error.h"
#include "path.h"
#include "text.h"
#include "tpc-participant.h"

namespace {

void set_policy(VotePolicy& policy, const std::string& vote) {
  using Kind = VotePolicy::Kind;
  if (vote == "commit") return;
  if (vote == "abort")
    policy.kind = Kind::abort;
  else if (vote == "ask")
    policy.kind = Kind::ask;
  else if (vote == "command")
    policy.kind = Kind::command;
  else if (vote == "random" || vote.starts_with("random:")) {
    policy.kind = Kind::random;
    if (vote == "random") return;
    const char* const end = vote.data() + vote.size();
    const auto [last, error] = std::from_chars(vote.data() + 7, end, policy.probability);
    if (error != std::errc() || last != end || !(policy.probability >= 0 && policy.probability <= 1))
      throw zk::WrongUsage("--vote " + zk::printable(vote, 100) + ": the probability of a yes is between 0 and 1");
  } else {
    throw zk::WrongUsage("--vote '" + zk::printable(vote, 100) +
                         "': say commit, abort, random, random:P, ask or command");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string vote = "commit", listen = "127.0.0.1:0";
  std::optional<std::string> fail_at;
  std::optional<int> seed;

  zk::Tool tool("tpc-participant", {"[OPTION]... REGISTER --id NAME --data DIR"},
                "one replica of a register that is changed by two-phase commit");
  tool.describe(
      "Keeps the keys and values of a REGISTER, a node of a ZooKeeper, on its own disk; votes on each change that a "
      "tpc-coordinator proposes; applies it when all have voted yes; and answers reads. Runs until Ctrl-C or TERM.\n"
      "A yes is a promise: it is on the disk before it is told, and survives kill -9. A replica that was away catches "
      "up from the others before it votes again. Should a coordinator die, the participants settle its transactions "
      "themselves.\n"
      "Prints what happens, a line each: begin, prepared, vote, decision, applied, acknowledged.");
  tool.option("--id", "NAME", options.id, "which replica: another NAME for each, the same again after a restart");
  tool.option("--data", "DIR", options.directory, "where it keeps what it must not forget; made with mode 0700");
  tool.option(
      "--vote", "HOW", vote,
      "commit: yes, always (default); abort: no, always; random[:P]: yes with probability P (default 0.5); ask: "
      "whoever is at the terminal; command: as --vote-command says");
  tool.option("--vote-command", "STRING", options.vote.command,
              "run by /bin/sh, with the transaction as JSON on standard input; status 0 is a yes");
  tool.option("--vote-timeout", "DURATION", options.vote.time_limit,
              "for that command; then it is a no (default: 10s)");
  tool.option("--seed", "N", seed, 0, 1'000'000'000, "of random votes: the same again with the same seed");
  tool.option(
      "--on-commit", "STRING", options.on_commit,
      "run by /bin/sh after a commit is applied, one at a time, with the transaction as JSON on standard input; "
      "not for what it catches up from other replicas");
  tool.option("--listen", "ADDR:PORT", listen,
              "where other replicas and readers find this one (default: 127.0.0.1:0, any free port)");
  tool.option("--fail-at", "POINT[:HOW]", fail_at,
              "die (kill, the default) or freeze (pause) there, on purpose: before-vote, after-prepare, after-vote, "
              "before-apply, after-apply, before-ack");
  tool.flag("--json", options.json, "print one JSON object for each event");
  tool.argument("REGISTER", options.path);
  tool.environment("ZK_TRANSACTION", "for both commands: which transaction");
  tool.example("tpc-participant /register --id a --data ./a",
               "the first of three, each in a terminal of its own; then: tpc-coordinator /register set x=1");
  tool.example("tpc-participant /register --id b --data ./b --vote ask", "lets you decide.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    if (options.id.empty()) throw zk::WrongUsage("--id is missing: which replica this is");
    if (options.directory.empty()) throw zk::WrongUsage("--data is missing: where it keeps what it must not forget");
    zk::check_name("--id", options.id);
    options.listen = zk::Endpoint::parse("--listen", listen);
    if (options.listen.address == "0.0.0.0" || options.listen.address == "::")
      throw zk::WrongUsage("--listen " + listen + ": say the address by which the others reach this host");
    set_policy(options.vote, vote);
    const bool commands = options.vote.kind == VotePolicy::Kind::command;
    if (commands && options.vote.command.empty()) throw zk::WrongUsage("--vote command needs --vote-command STRING");
    if (!commands && !options.vote.command.empty()) {
      if (vote != "commit") throw zk::WrongUsage("--vote-command goes with --vote command");
      options.vote.kind = VotePolicy::Kind::command;
    }
    options.vote.seed = seed ? static_cast<std::uint64_t>(*seed) : std::random_device()();
    if (fail_at)
      options.fail = zk::FailPoint::parse(
          *fail_at, {"before-vote", "after-prepare", "after-vote", "before-apply", "after-apply", "before-ack"});
    return participate(frame, options);
  });
}
