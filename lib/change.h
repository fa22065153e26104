// What changed between two readings of a node, and what must have happened in between. Pure.
//
// ZooKeeper tells that a node has changed, not how often: who reads it then sees the newest state, and by its versions
// how many it did not see. They count what was set since the node was created (version), and how many children were
// created and deleted (cversion); a node with another czxid is another node of the same name.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "session.h"

namespace zk {

struct Change {
  enum class Event {
    initial,  // the state at the beginning
    created,
    changed,  // its data
    deleted,
    children,    // what is directly below it
    unreadable,  // from now on: we may not read it
    readable,    // again; it has not changed meanwhile
    left_out,    // `missed` of its children are not followed: there are too many nodes
    gap,         // for a while nothing could be seen; without a path
    complete,    // everything has been read once; without a path, and told once
  } event;
  std::string path;
  Aspect aspect = Aspect::data;  // what of the node is followed
  std::optional<Node> node{};    // nullopt: there is none. Without data if its children are followed
  std::vector<std::string> children{}, added{}, removed{};  // sorted
  std::int64_t missed = 0;                                  // changes that were not seen, as far as the versions tell
  bool after_gap = false;                                   // happened at some time in the gap before
  Stat last{};                                              // of a deleted node: as it was last seen
  bool new_session = false;                                 // of a gap: the old one had ended
};

/// From one state of a node to another, by its data. None, one, or two: deleted and created.
std::vector<Change> data_changes(const std::string& path, const std::optional<Node>& before,
                                 const std::optional<Node>& after);

/// A node with its children's names, sorted.
struct Family {
  Node node;
  std::vector<std::string> children;
};

/// The same, by its children.
std::vector<Change> family_changes(const std::string& path, const std::optional<Family>& before,
                                   const std::optional<Family>& after);

}  // namespace zk
