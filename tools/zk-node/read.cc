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

std::string shown(const zk::Output& out, const std::string& text) {
  return out.is_terminal() ? zk::printable(text, text.size()) : text;
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
  const auto until = patience(frame, session);
  auto names = session.insist(until, [&] { return session.children(options.path); });
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
  zk::Bounds bounds{.with_data = false};
  if (options.most) bounds.most_nodes = static_cast<std::size_t>(*options.most) + 1;  // and PATH itself
  const auto all = zk::walk(session, options.path, bounds, frame.until);
  if (all.root.code == zk::Code::no_node) return no("no such node: " + options.path);
  zk::Output out;
  std::string lines;
  std::size_t left_out = 0, unreadable = 0;
  const std::function<void(const zk::Branch&, const std::string&)> list = [&](const zk::Branch& branch,
                                                                              const std::string& path) {
    left_out += branch.left_out;
    if (branch.code != zk::Code::ok) ++unreadable;
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
  if (left_out > 0) zk::log::warning("at least " + std::to_string(left_out) + " nodes more are not listed; see --max");
  if (unreadable > 0)
    zk::log::warning("the children of " + std::to_string(unreadable) + " nodes are not listed: not authorised");
  return zk::status_done;
}

}  // namespace

int get_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Session session(frame.settings, frame.until);
  const auto node = session.insist(patience(frame, session), [&] { return session.get(options.path); });
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
  const auto stat = session.insist(patience(frame, session), [&] { return session.stat(options.path); });
  if (!stat) return no("no such node: " + options.path);
  ordered_json object{{"path", options.path}};
  zk::add_stat(object, *stat);
  zk::Output().write(options.json ? zk::line(object) : in_lines(*stat), frame.until);
  return zk::status_done;
}

int node_exists(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Session session(frame.settings, frame.until);
  const bool exists = session.insist(patience(frame, session), [&] { return session.stat(options.path); }).has_value();
  if (options.json) zk::Output().write(zk::line({{"path", options.path}, {"exists", exists}}), frame.until);
  return exists ? zk::status_done : no("no such node: " + options.path);
}

int list_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  return options.recursive ? list_all(frame, options) : list_children(frame, options);
}
