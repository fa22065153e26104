#include "record.h"

#include <nlohmann/json.hpp>

#include "node_json.h"
#include "text.h"
#include "wall_clock.h"

namespace {

using Event = zk::Change::Event;

constexpr std::size_t most_data = 200;  // bytes of data, and names of children, in a line for people
constexpr std::size_t most_names = 20;

std::string listed(const std::vector<std::string>& names, const char* sign) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most_names); ++i)
    text += " " + (sign + zk::printable(names[i], most_data));
  if (names.size() > most_names) text += " " + (sign + std::to_string(names.size() - most_names)) + " more";
  return text;
}

std::string versions(const zk::Stat& stat, bool of_children) {
  return (of_children ? "cv" + std::to_string(stat.cversion) : "v" + std::to_string(stat.version)) + " czxid " +
         std::to_string(stat.czxid) + " mzxid " + std::to_string(stat.mzxid);
}

// What the node is now, or was before it was deleted.
std::string state(const zk::Change& change) {
  const bool of_children = change.aspect == zk::Aspect::children;
  if (change.event == Event::deleted)
    return change.last.czxid == 0 ? "" : "  was " + versions(change.last, of_children);
  if (!change.node) return "  missing";
  const std::string versioned = "  " + versions(change.node->stat, of_children);
  if (!of_children) return versioned + "  \"" + zk::printable(change.node->data, most_data) + '"';
  const std::string count = "  " + zk::counted(static_cast<std::int64_t>(change.children.size()), "child", "children");
  if (change.event == Event::initial)
    return count + versioned + (change.children.empty() ? "" : " ") + listed(change.children, "");
  const std::string difference = listed(change.added, "+") + listed(change.removed, "-");
  return (difference.empty() ? "" : " " + difference) + count + versioned;
}

std::string remarks(const zk::Change& change) {
  std::string text;
  if (change.missed > 0) text += "  (" + zk::counted(change.missed, "change", "changes") + " missed)";
  if (change.after_gap) text += "  (after gap)";
  return text;
}

std::string details(const zk::Change& change) {
  if (change.event == Event::gap)
    return std::string(change.new_session ? "the session had ended" : "the connection was lost") +
           "; all is read again, and what differs is marked";
  return zk::printable(change.path, change.path.size()) + state(change) + remarks(change);
}

}  // namespace

const char* event_name(const zk::Change& change) {
  switch (change.event) {
    case Event::initial:
      return "initial";
    case Event::created:
      return "created";
    case Event::changed:
      return "changed";
    case Event::deleted:
      return "deleted";
    case Event::children:
      return "children";
    case Event::unreadable:
      return "unreadable";
    case Event::readable:
      return "readable";
    case Event::left_out:
      return "left_out";
    case Event::gap:
      return "gap";
    case Event::complete:
      return "complete";
  }
  return "";
}

std::string text_record(const zk::Change& change) {
  std::string name = event_name(change);
  name.resize(std::max<std::size_t>(name.size(), 8), ' ');
  return zk::local_time(zk::wall_clock()) + "  " + name + "  " + details(change) + "\n";
}

std::string json_record(const zk::Change& change) {
  nlohmann::ordered_json object{{"time", zk::iso_time(zk::wall_clock(), /*with_milliseconds=*/true)},
                                {"event", event_name(change)}};
  if (change.event == Event::gap) {
    object["reason"] = change.new_session ? "session" : "connection";
    return zk::line(object);
  }
  const bool of_children = change.aspect == zk::Aspect::children;
  object["path"] = change.path;
  object["exists"] = change.node.has_value();
  if (change.node && !of_children) zk::add_data(object, change.node->data);
  if (of_children) {
    object["children"] = change.children;
    object["added"] = change.added;
    object["removed"] = change.removed;
  }
  if (change.node)
    zk::add_stat(object, change.node->stat);
  else if (change.last.czxid != 0)
    zk::add_stat(object, change.last);
  object["missed"] = change.missed;
  object["after_gap"] = change.after_gap;
  return zk::line(object);
}

std::string contents(const zk::Change& change) {
  if (change.aspect == zk::Aspect::data) return change.node ? change.node->data : "";
  std::string lines;
  for (const auto& name : change.children) lines += name + "\n";
  return lines;
}

std::vector<std::pair<std::string, std::string>> variables(const zk::Change& change) {
  const auto& stat = change.node ? change.node->stat : change.last;
  return {{"ZK_EVENT", event_name(change)},
          {"ZK_PATH", change.path},
          {"ZK_VERSION", std::to_string(stat.version)},
          {"ZK_CVERSION", std::to_string(stat.cversion)},
          {"ZK_CZXID", std::to_string(stat.czxid)},
          {"ZK_MZXID", std::to_string(stat.mzxid)},
          {"ZK_EXISTS", change.node ? "1" : "0"},
          {"ZK_MISSED", std::to_string(change.missed)}};
}
