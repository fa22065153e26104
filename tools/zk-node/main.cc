// zk-node: one change to a node, or one look at it.
#include "zk-node.h"

#include <map>

#include "error.h"

namespace {

struct Subcommand {
  int (*run)(zk::Frame&, const Options&);
  enum class Data { none, optional, required } data;
  bool path = true;
};

const std::map<std::string, Subcommand> subcommands{
    {"create", {create_node, Subcommand::Data::optional}}, {"get", {get_node, Subcommand::Data::none}},
    {"set", {set_node, Subcommand::Data::required}},       {"delete", {delete_node, Subcommand::Data::none}},
    {"stat", {stat_node, Subcommand::Data::none}},         {"ls", {list_node, Subcommand::Data::none}},
    {"exists", {node_exists, Subcommand::Data::none}},     {"txn", {run_transaction, Subcommand::Data::none, false}}};

void check(const std::string& name, const std::optional<std::string>& path, const Options& options) {
  const auto& [run, data, has_path] = subcommands.at(name);
  if (has_path && !path) throw zk::WrongUsage("PATH is missing");
  if (!has_path && path) throw zk::WrongUsage(name + " takes no PATH: it reads operations from standard input");
  if (data == Subcommand::Data::required && !options.data) throw zk::WrongUsage("DATA is missing");
  if (data == Subcommand::Data::none && options.data) throw zk::WrongUsage(name + " takes no DATA");
  if (options.container && (options.sequential || options.ephemeral || options.ttl))
    throw zk::WrongUsage("--container excludes --sequential, --ephemeral and --ttl");
  if (options.ephemeral && options.ttl) throw zk::WrongUsage("--ephemeral excludes --ttl");
  if (options.recursive && options.version) throw zk::WrongUsage("--recursive excludes --version");
  if (options.most && !options.recursive) throw zk::WrongUsage("--max goes with --recursive");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string name;
  std::optional<std::string> path;

  zk::Tool tool("zk-node",
                {"create [OPTION]... PATH [DATA|-]", "get|stat|ls|exists [OPTION]... PATH",
                 "set [OPTION]... PATH DATA|-", "delete [OPTION]... PATH", "txn [OPTION]... < OPERATIONS"},
                "create, read, change or delete a node of ZooKeeper");
  tool.describe(
      "DATA are taken as they are; those of '-' come from standard input. get writes them as they are, but to a "
      "terminal harmless and on one line.\n"
      "What begins with '-' is an argument behind a '--' only; DATA '-' come from: printf - | zk-node set PATH -\n"
      "create prints the path of a sequential or an ephemeral node. An ephemeral node stays until end of input or a "
      "signal. delete -r prints what it deleted, one path a line.\n"
      "txn reads operations, one a line, and carries out all or none: create [-s] PATH [DATA], set "
      "[--version N] PATH DATA, delete [--version N] PATH, check [--version N] PATH. Words may be quoted: '...' as it "
      "stands, \"...\" with \\n \\t \\\\ \\\" and \\xHH. What follows a # is ignored.");
  tool.subcommand(name, {"create", "get", "set", "delete", "stat", "ls", "exists", "txn"});
  tool.argument("PATH", path);
  tool.argument("DATA", options.data);
  tool.options_of({"create"});
  tool.flag("-p, --parents", options.parents, "make missing parents, as containers: empty ones vanish by themselves");
  tool.flag("-s, --sequential", options.sequential, "append a number, which rises, to the name");
  tool.flag("-e, --ephemeral", options.ephemeral, "only for as long as we live, and tell when it is lost (status 120)");
  tool.flag("--container", options.container, "the server deletes it when its last child has gone");
  tool.option("--ttl", "DURATION", options.ttl, "the server deletes it when it has been unchanged for so long");
  tool.options_of({"set", "delete"});
  tool.option("--version", "N", options.version, 0, 2'147'483'647, "only if the node has this version");
  tool.option("--if-held", "LOCKNODE", options.if_held,
              "only if the lock whose ZK_LOCK_NODE this is is still held; checked and done in one transaction");
  tool.options_of({"delete", "ls"});
  tool.flag("-r, -R, --recursive", options.recursive, "with all that is below");
  tool.option("--max", "N", options.most, 1, 100'000'000,
              "with -r: refuse to delete more nodes (default: 10000); list no more (default: 100000)");
  tool.options_of({});
  tool.flag("--json", options.json, "answer in JSON, one object a line");
  tool.answer("1", "no: no such node, it exists already, its version differs, it has children, the lock is not held");
  tool.example("zk-node create -p /app/config 'colour=blue'", "makes /app as well, if it is missing.");
  tool.example("zk-lock /deploy -- sh -c 'build && zk-node set --if-held \"$ZK_LOCK_NODE\" /app/version 7'",
               "a fenced write: should the lock have been lost meanwhile, nothing is written.");
  tool.example("printf 'check --version 3 /a\\nset /b new\\n' | zk-node txn", "sets /b if /a is as we knew it.");

  return tool.run(argc, argv, [&](zk::Frame& frame) {
    check(name, path, options);
    options.path = path.value_or("");
    return subcommands.at(name).run(frame, options);
  });
}
