// philosopher: one of the dining philosophers, a process of its own.
#include <random>

#include "error.h"
#include "philosopher.h"

Span Span::parse(std::string_view what, const std::string& text) {
  const auto dots = text.find("..");
  if (dots == std::string::npos) return {zk::parse_duration(what, text), zk::parse_duration(what, text)};
  const Span span{zk::parse_duration(what, text.substr(0, dots)), zk::parse_duration(what, text.substr(dots + 2))};
  if (span.least > span.most)
    throw zk::WrongUsage(std::string(what) + " " + text + ": the first is the shorter one: 20ms..80ms");
  return span;
}

int main(int argc, char** argv) {
  Options options;
  std::optional<int> seat, seats, seed, timeout_status;
  std::string rule = "fair", think = "200ms..1s", eat = "200ms..1s";

  zk::Tool tool("philosopher", {"[OPTION]... TABLE --seat I --seats N [--] [COMMAND [ARG]...]"},
                "one of the dining philosophers, a process of its own");
  tool.describe(
      "N philosophers sit around a TABLE, a node of a ZooKeeper, with a fork between each two. Each thinks, becomes "
      "hungry, takes the two forks beside it, eats, and puts them down. Two neighbours never eat at once. It starts "
      "when "
      "all seats are taken, and ends after --meals, after --for, or at a signal; then it leaves and prints its tally. "
      "A "
      "COMMAND is run as the meal, with the forks held, and stopped should they be lost.\n"
      "The rules, which all at a table share:\n"
      "fair: takes both forks in one step, when it is not ahead of a neighbour who is there. No deadlock; nobody "
      "starves; neighbours' meals differ by one at most. Who dies or leaves holds nobody back; who comes back "
      "takes part from where its neighbours are.\n"
      "ordered: takes the fork with the lower number first, then the other one. No deadlock, but not fair.\n"
      "table: takes the lock of the whole table, waits for both forks, takes them, gives the table free. No deadlock, "
      "first come, first served, and slow.\n"
      "naive: takes the left fork, then the right one. When all hold their left one, nobody eats any more: a deadlock, "
      "which `referee` finds.");
  tool.option("--seat", "I", seat, 0, 999, "which seat, from 0; its forks are I and I+1");
  tool.option("--seats", "N", seats, 1, 1000, "how many there are; all must say the same");
  tool.choice("--rule", {"fair", "ordered", "table", "naive"}, rule, "how forks are taken (default: fair)");
  tool.option("--meals", "M", options.meals, 0, 1'000'000'000, "leave after so many meals");
  tool.option("--for", "DURATION", options.at_most, "leave after this time at the full table");
  tool.option("--think", "TIME", think, "a duration, or one between two: 20ms..80ms (default: 200ms..1s)");
  tool.option("--eat", "TIME", eat, "the same (default: 200ms..1s)");
  tool.option("--seed", "N", seed, 0, 1'000'000'000, "of these times: the same again with the same seed");
  tool.option("-w, --wait", "DURATION", options.wait,
              "until all seats are taken, wait for so long at most, connecting included");
  tool.option("-E, --timeout-exit-code", "N", timeout_status, 0, 255, "the status then (default: 124)");
  tool.flag("--json", options.json, "print one JSON object for each event");
  tool.option("--label", "TEXT", options.label, "what others see about us (default: the command's name)");
  tool.option("--grace", "DURATION", options.grace,
              "when the command is stopped, from TERM to KILL (default: 3s, less if the session timeout is short)");
  tool.argument("TABLE", options.table);
  tool.command(options.command);
  tool.environment("ZK_TABLE_PATH, ZK_TABLE_SEAT", "for the command: the table and the seat");
  tool.environment("ZK_TABLE_MEAL, ZK_TABLE_TOKEN",
                   "for the command: which meal it is, and a number that rises from holder to holder of a fork");
  tool.environment("ZK_HOSTS, ZK_SESSION_ID", "for the command: the connection and the session that holds the forks");
  tool.example("for i in 0 1 2 3 4; do philosopher /table --seat $i --seats 5 --meals 10 & done; wait",
               "five of them in one shell, until each has eaten ten times.");
  tool.example("philosopher /shared --seat 0 --seats 2 --think 1m -- ./use-both-devices",
               "two hosts take turns with what they share.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    if (!seat) throw zk::WrongUsage("--seat is missing: which one");
    if (!seats) throw zk::WrongUsage("--seats is missing: how many there are");
    if (*seats < 2)
      throw zk::WrongUsage("--seats 1: one philosopher has one fork only, and would never eat; say at least 2");
    if (*seat >= *seats)
      throw zk::WrongUsage("there is no seat " + std::to_string(*seat) + " at a table of " + std::to_string(*seats) +
                           ": they are numbered from 0 to " + std::to_string(*seats - 1));
    options.seat = *seat;
    options.seats = *seats;
    options.rule = *zk::parse_rule(rule);
    options.think = Span::parse("--think", think);
    options.eat = Span::parse("--eat", eat);
    options.seed = seed ? static_cast<std::uint64_t>(*seed) : std::random_device()();
    tool.gave_up = timeout_status.value_or(tool.gave_up);
    return dine(frame, options);
  });
}
