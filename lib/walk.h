// Reading a whole subtree, with many requests under way at a time. A picture of many moments: nodes that come or go
// meanwhile may be in it or not.
#pragma once
#include <cstddef>
#include <map>
#include <string>

#include "session.h"
#include "until.h"

namespace zk {

/// A node and what is below it, by name.
struct Branch {
  Node node{};
  Code code = Code::ok;  // or why it could not be read: no_auth, or bad_arguments: its path is too long
  std::map<std::string, Branch> children{};
  std::size_t left_out = 0;  // children that are not among these, because there are more than was asked for
};

struct Bounds {
  std::size_t most_nodes = 100'000;
  std::size_t deepest = 1'000;  // levels below the first node
  bool with_data = true;
  Duration patience = std::chrono::seconds(10);  // for the next answer
};

struct Walk {
  Branch root{};  // its code is no_node if there is no such node
  std::size_t nodes = 0;
};

/// Reads level by level, so that what is left out is what lies deepest. Leaves out the server's own /zookeeper. Blocks
/// until all is read or `until` ends; throws as requests do, and CannotConnect when the answers stop coming.
Walk walk(Session& session, const std::string& path, const Bounds& bounds, const Until& until);

}  // namespace zk
