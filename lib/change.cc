#include "change.h"

#include <algorithm>
#include <iterator>

namespace zk {

namespace {

using Event = Change::Event;

Change deleted(const std::string& path, Aspect aspect, const Node& before) {
  Change change{Event::deleted, path, aspect};
  change.last = before.stat;
  return change;
}

std::vector<std::string> only_in_first(const std::vector<std::string>& first, const std::vector<std::string>& second) {
  std::vector<std::string> names;
  std::set_difference(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(names));
  return names;
}

// Versions are 32-bit counters that may wrap.
std::int64_t steps(std::int32_t from, std::int32_t to) {
  return static_cast<std::uint32_t>(to) - static_cast<std::uint32_t>(from);
}

}  // namespace

std::vector<Change> data_changes(const std::string& path, const std::optional<Node>& before,
                                 const std::optional<Node>& after) {
  if (!before && !after) return {};
  if (!after) return {deleted(path, Aspect::data, *before)};
  if (before && before->stat.czxid == after->stat.czxid) {
    if (before->stat.mzxid == after->stat.mzxid) return {};
    Change change{Event::changed, path, Aspect::data, after};
    change.missed = steps(before->stat.version, after->stat.version) - 1;
    return {change};
  }
  std::vector<Change> changes;
  if (before) changes.push_back(deleted(path, Aspect::data, *before));
  changes.push_back({Event::created, path, Aspect::data, after});
  changes.back().missed = after->stat.version;
  return changes;
}

std::vector<Change> family_changes(const std::string& path, const std::optional<Family>& before,
                                   const std::optional<Family>& after) {
  if (!before && !after) return {};
  if (!after) {
    Change change = deleted(path, Aspect::children, before->node);
    change.removed = before->children;
    return {change};
  }
  const bool same_node = before && before->node.stat.czxid == after->node.stat.czxid;
  if (same_node && before->node.stat.cversion == after->node.stat.cversion) return {};
  std::vector<Change> changes;
  const std::vector<std::string> none;
  const auto& known = same_node ? before->children : none;
  if (before && !same_node) {
    changes.push_back(deleted(path, Aspect::children, before->node));
    changes.back().removed = before->children;
  }
  Change change{same_node ? Event::children : Event::created, path, Aspect::children, after->node, after->children};
  change.added = only_in_first(after->children, known);
  change.removed = only_in_first(known, after->children);
  change.missed = steps(same_node ? before->node.stat.cversion : 0, after->node.stat.cversion) -
                  static_cast<std::int64_t>(change.added.size() + change.removed.size());
  changes.push_back(change);
  return changes;
}

}  // namespace zk
