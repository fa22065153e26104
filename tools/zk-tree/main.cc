// zk-tree: the tree, as it is or alive.
#include "zk-tree.h"

#include "error.h"

int main(int argc, char** argv) {
  Options options;
  bool follow = false;
  std::optional<std::string> path;
  std::optional<int> depth, most;

  zk::Tool tool("zk-tree", {"[OPTION]... [PATH]", "--follow [OPTION]... [PATH]"},
                "show the nodes at and below a path as a tree");
  tool.describe(
      "Each line has a node's name; its data, or host:pid (label) if they say who made it; whether it is ephemeral; "
      "and "
      "the version of its data. What the data contain cannot harm the terminal.\n"
      "With --follow the tree is painted anew whenever it changes, and what appeared (+), changed (~) or vanished (-) "
      "is "
      "marked for a moment, until Ctrl-C. It goes on through interruptions and the end of its session, and says so. "
      "Where "
      "there is not enough room, it shows a part of each folder and says how much more there is.");
  tool.flag("-f, --follow", follow, "paint it anew whenever it changes");
  tool.option("-d, --depth", "N", depth, 0, 1000, "so many levels below PATH only");
  tool.option("--max", "N", most, 1, 1'000'000,
              "so many nodes at most, PATH among them; say what was left out (default: 10000)");
  tool.flag("--json", options.json, "one JSON object a line for each node, with all of its data");
  tool.argument("PATH", path);
  tool.answer("1", "there is no such node");
  tool.example("zk-tree /PAI", "shows /PAI and what is below it.");
  tool.example("zk-tree --follow --depth 2 /locks", "in a pane of its own: who holds and who waits, alive.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    options.path = path.value_or("/");
    if (depth) options.bounds.deepest = static_cast<std::size_t>(*depth);
    if (most) options.bounds.most_nodes = static_cast<std::size_t>(*most);
    if (follow && options.json)
      throw zk::WrongUsage("--follow excludes --json: zk-watch --recursive --json tells programs");
    return follow ? follow_tree(frame, options) : print_tree(frame, options);
  });
}
