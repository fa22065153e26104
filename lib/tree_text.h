// A tree as rows of text, for people. Pure.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "walk.h"

namespace zk {

/// What has just happened to a node.
enum class Mark { none, appeared, changed, vanished };

struct Row {
  std::string branches;  // the lines that lead to it
  std::string name;      // safe to show, like the rest
  std::string about;     // data, owner, version
  Mark mark = Mark::none;
};

/// What is said of a node: its data, as `host:pid (label)` if they say who made it; that it is ephemeral; its version.
/// At most `preview` bytes of the data are shown.
std::string about(const Branch& branch, std::size_t preview);

struct Layout {
  std::size_t most_rows = static_cast<std::size_t>(-1);
  std::size_t preview = 60;
  std::function<Mark(const std::string& path)> mark{};
};

/// The tree in rows, the root with its whole path first. What does not fit is folded: every node shows as many of its
/// children as leave room for the others, those with a mark at or below them first, and says how many more it has.
std::vector<Row> rows(const Branch& root, const std::string& path, const Layout& layout);

}  // namespace zk
