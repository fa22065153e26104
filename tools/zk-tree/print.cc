#include <functional>
#include <nlohmann/json.hpp>

#include "identity.h"
#include "log.h"
#include "node_json.h"
#include "output.h"
#include "path.h"
#include "text.h"
#include "tree_text.h"
#include "zk-tree.h"

namespace {

std::string json_lines(const zk::Branch& branch, const std::string& path) {
  nlohmann::ordered_json object{{"path", path}};
  if (branch.code == zk::Code::ok) {
    zk::add_data(object, branch.node.data);
    zk::add_stat(object, branch.node.stat);
    if (const auto who = zk::Identity::parse(branch.node.data); who && branch.node.stat.owner != 0)
      object["owner"] = {{"host", who->host}, {"pid", who->pid}, {"label", who->label}};
  } else {
    object["error"] = zk::describe(branch.code);
  }
  if (branch.left_out > 0) object["leftOut"] = branch.left_out;
  std::string lines = zk::line(object);
  for (const auto& [name, child] : branch.children) lines += json_lines(child, zk::join(path, name));
  return lines;
}

std::string text_lines(const zk::Branch& branch, const std::string& path) {
  std::string lines;
  for (const auto& row : zk::rows(branch, path, {}))
    lines += row.branches + row.name + (row.about.empty() ? "" : "  ") + row.about + "\n";
  return lines;
}

std::size_t left_out(const zk::Branch& branch) {
  std::size_t sum = branch.left_out;
  for (const auto& [name, child] : branch.children) sum += left_out(child);
  return sum;
}

}  // namespace

int print_tree(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Session session(frame.settings, frame.until);
  zk::Bounds bounds = options.bounds;
  bounds.patience = session.timeout();
  const auto tree = zk::walk(session, options.path, bounds, frame.until);
  if (tree.root.code == zk::Code::no_node) {
    zk::log::warning("no such node: " + options.path);
    return 1;
  }
  zk::Output().write(options.json ? json_lines(tree.root, options.path) : text_lines(tree.root, options.path),
                     frame.until);
  if (const auto count = left_out(tree.root); count > 0)
    zk::log::warning(zk::counted(static_cast<std::int64_t>(tree.nodes), "node", "nodes") + " shown; at least " +
                     std::to_string(count) + " more left out: see --max and --depth");
  return zk::status_done;
}
