// referee: watches a table of philosophers from outside.
#include "referee.h"

int main(int argc, char** argv) {
  Options options;
  zk::Tool tool("referee", {"[OPTION]... TABLE"}, "watch a table of philosophers from outside, and judge");
  tool.describe(
      "Follows a TABLE of `philosopher`s, which may have begun or not, until all have left, or until a signal. Then it "
      "tells for each seat the meals, the longest and the mean hunger, and for the table how many ate at once, whether "
      "two neighbours ever did, how far neighbours' meals were apart, and which deadlocks there were. It judges by the "
      "transactions that took and put down the forks, not by what the philosophers believe. On a terminal it shows the "
      "table alive.\n"
      "Philosophers who take their forks one by one can wait for each other in a ring; that is told as soon as it "
      "happens, by seats and forks.");
  tool.flag("--json", options.json, "print JSON: an object for each deadlock, and at the end one for the table");
  tool.option("--svg", "FILE", options.svg,
              "at the end, draw the dinner: a lane for each seat, time from left to right");
  tool.flag("--break-deadlock", options.break_deadlock, "ask one philosopher of a deadlock to put its fork down");
  tool.argument("TABLE", options.table);
  tool.answer("1", "two neighbours have eaten at once");
  tool.example("referee --svg dinner.svg /table", "until the last philosopher has left; then look at the picture.");
  return tool.run(argc, argv, [&](zk::Frame& frame) { return watch_table(frame, options); });
}
