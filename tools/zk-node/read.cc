#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "answers.h"
#include "log.h"
#include "node_json.h"
#include "output.h"
#include "path.h"
#include "text.h"
#include "walk.h"
#include "wall_clock.h"

namespace {

using nlohmann::ordered_json;

template <class Question>
auto ask(const zk::Frame& frame, zk::Session& session, Question question) {
  return in_time([&] { return session.insist(patience(frame, session), question); });
}

std::string in_lines(const zk::Stat& stat) {
  ordered_json object;
  zk::add_stat(object, stat);
  std::string lines;
  for (const auto& [name, value] : object.items())
    lines += name + " " + (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
  return lines;
}

int list_children(zk::Frame& frame, const Options& options) {
  zk::Session session(frame.settings, frame.until);
  auto names = ask(frame, session, [&] { return session.children(options.path); });
  if (!names) return no("no such node: " + options.path);
  std::sort(names->begin(), names->end());
  if (options.path == "/") std::erase(*names, "zookeeper");  // the server's own
  zk::Output out;
  std::string lines;
  for (const auto& name : *names)
    lines +=
        options.json ? zk::line({{"path", zk::join(options.path, name)}, {"name", name}}) : shown(out, name) + "\n";
  out.write(lines, frame.until);
  return zk::status_done;
}

int list_all(zk::Frame& frame, const Options& options) {
  zk::Session session(frame.settings, frame.until);
  zk::Bounds bounds{.with_data = false, .patience = session.timeout()};
  if (options.most) bounds.most_nodes = static_cast<std::size_t>(*options.most) + 1;  // and PATH itself
  const auto all = zk::walk(session, options.path, bounds, frame.until);
  if (all.root.code == zk::Code::no_node) return no("no such node: " + options.path);
  zk::Output out;
  std::string lines;
  std::size_t left_out = 0;
  std::vector<std::string> troubles;
  const std::function<void(const zk::Branch&, const std::string&)> list = [&](const zk::Branch& branch,
                                                                              const std::string& path) {
    left_out += branch.left_out;
    if (branch.code == zk::Code::no_auth) troubles.push_back("list " + path + ": " + zk::describe(branch.code));
    if (branch.code == zk::Code::bad_arguments) troubles.push_back(path + " is not looked at: its path is too long");
    for (const auto& [name, child] : branch.children) {
      const std::string at = zk::join(path, name);
      ordered_json object{{"path", at}, {"name", name}};
      if (options.json && child.code == zk::Code::ok) zk::add_stat(object, child.node.stat);
      lines += options.json ? zk::line(object) : shown(out, at) + "\n";
      list(child, at);
    }
  };
  list(all.root, options.path);
  out.write(lines, frame.until);
  if (left_out > 0)
    zk::log::warning("at least " + zk::counted(static_cast<std::int64_t>(left_out), "node more is", "nodes more are") +
                     " not listed; see --max");
  for (const auto& trouble : troubles) zk::log::error(trouble);
  return troubles.empty() ? zk::status_done : zk::status_failed;
}

}  // namespace

int get_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Session session(frame.settings, frame.until);
  const auto node = ask(frame, session, [&] { return session.get(options.path); });
  if (!node) return no("no such node: " + options.path);
  zk::Output out;
  if (options.json) {
    ordered_json object{{"path", options.path}};
    zk::add_data(object, node->data);
    zk::add_stat(object, node->stat);
    out.write(zk::line(object), frame.until);
  } else {
    out.write(out.is_terminal() ? shown(out, node->data) + "\n" : node->data, frame.until);
  }
  return zk::status_done;
}

int stat_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Session session(frame.settings, frame.until);
  const auto stat = ask(frame, session, [&] { return session.stat(options.path); });
  if (!stat) return no("no such node: " + options.path);
  ordered_json object{{"path", options.path}};
  zk::add_stat(object, *stat);
  zk::Output().write(options.json ? zk::line(object) : in_lines(*stat), frame.until);
  return zk::status_done;
}

int node_exists(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Session session(frame.settings, frame.until);
  const bool exists = ask(frame, session, [&] { return session.stat(options.path); }).has_value();
  if (options.json) zk::Output().write(zk::line({{"path", options.path}, {"exists", exists}}), frame.until);
  return exists ? zk::status_done : no("no such node: " + options.path);
}

int list_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  return options.recursive ? list_all(frame, options) : list_children(frame, options);
}
