// What zk-tree does, once its options are known.
#pragma once
#include <optional>
#include <string>

#include "tool.h"
#include "walk.h"

struct Options {
  std::string path = "/";
  bool json = false;
  zk::Bounds bounds{.most_nodes = 10'000};
};

/// Prints the tree as it is. Answers the exit status.
int print_tree(zk::Frame& frame, const Options& options);

/// Shows the tree as it changes, until a signal.
int follow_tree(zk::Frame& frame, const Options& options);
