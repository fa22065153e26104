#include "picture.h"

#include <algorithm>
#include <functional>

#include "path.h"
#include "text.h"

namespace {

using Event = zk::Change::Event;

constexpr zk::Duration moment = std::chrono::milliseconds(2500);

// The names that lead from `top` to `path`, which is at or below it.
std::vector<std::string> names_between(const std::string& top, const std::string& path) {
  std::vector<std::string> names;
  for (std::string at = path; at != top; at = zk::parent_of(at)) names.push_back(zk::name_of(at));
  std::ranges::reverse(names);
  return names;
}

}  // namespace

zk::Branch* Picture::find(const std::string& path) {
  zk::Branch* at = &root_;
  for (const auto& name : names_between(path_, path)) {
    const auto child = at->children.find(name);
    if (child == at->children.end()) return nullptr;
    at = &child->second;
  }
  return at;
}

// Where it is, or from now on will be.
zk::Branch& Picture::place(const std::string& path) {
  zk::Branch* at = &root_;
  for (const auto& name : names_between(path_, path)) at = &at->children[name];
  return *at;
}

void Picture::mark(const std::string& path, zk::Mark mark, zk::Time now) { marks_[path] = {mark, now + moment}; }

void Picture::take(const zk::Change& change, zk::Time now) {
  switch (change.event) {
    case Event::initial:
    case Event::created:
    case Event::readable:
    case Event::changed: {
      if (!change.node) return;
      auto& node = place(change.path);
      node.node = *change.node;
      node.code = zk::Code::ok;
      if (change.event == Event::created) mark(change.path, zk::Mark::appeared, now);
      if (change.event == Event::changed) mark(change.path, zk::Mark::changed, now);
      return;
    }
    case Event::deleted:
      if (auto* const node = find(change.path)) {
        node->left_out = 0;
        mark(change.path, zk::Mark::vanished, now);
      }
      return;
    case Event::unreadable:
      place(change.path).code = zk::Code::no_auth;
      return;
    case Event::left_out:
      place(change.path).left_out = static_cast<std::size_t>(change.missed);
      return;
    case Event::children:
    case Event::gap:
    case Event::complete:
      return;
  }
}

void Picture::fade(zk::Time now) {
  for (auto at = marks_.begin(); at != marks_.end();) {
    const auto& [path, marked] = *at;
    if (marked.end > now) {
      ++at;
      continue;
    }
    if (marked.mark == zk::Mark::vanished) {
      if (path == path_) {
        root_ = {};
        root_.code = zk::Code::no_node;
      } else if (auto* const parent = find(zk::parent_of(path))) {
        parent->children.erase(zk::name_of(path));
      }
    }
    at = marks_.erase(at);
  }
}

zk::Time Picture::next_fading() const {
  zk::Time next = zk::Time::max();
  for (const auto& [path, marked] : marks_) next = std::min(next, marked.end);
  return next;
}

std::string Picture::summary() const {
  const auto root = marks_.find(path_);
  const bool vanished = root != marks_.end() && root->second.mark == zk::Mark::vanished;
  if (vanished || root_.code == zk::Code::no_node) return "no such node";
  std::size_t nodes = 0, left_out = 0;
  const std::function<void(const zk::Branch&)> count = [&](const zk::Branch& at) {
    ++nodes;
    left_out += at.left_out;
    for (const auto& [name, child] : at.children) count(child);
  };
  count(root_);
  for (const auto& [path, marked] : marks_) nodes -= marked.mark == zk::Mark::vanished ? 1 : 0;
  return zk::counted(static_cast<std::int64_t>(nodes), "node", "nodes") +
         (left_out > 0 ? ", " + std::to_string(left_out) + " left out" : "");
}

std::vector<zk::Row> Picture::rows(std::size_t most) const {
  if (root_.code == zk::Code::no_node) return {};
  const auto mark = [this](const std::string& path) {
    const auto found = marks_.find(path);
    return found == marks_.end() ? zk::Mark::none : found->second.mark;
  };
  return zk::rows(root_, path_, {.most_rows = most, .mark = mark});
}
