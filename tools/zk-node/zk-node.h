// What zk-node does, once its options are known.
#pragma once
#include <optional>
#include <string>

#include "tool.h"

struct Options {
  std::string path;
  std::optional<std::string> data;  // "-" is standard input
  bool json = false;
  bool recursive = false;
  bool parents = false, sequential = false, ephemeral = false, container = false;
  std::optional<zk::Duration> ttl;
  std::optional<int> version;
  std::optional<std::string> if_held;  // the node of a lock's holder
  std::optional<int> most;             // nodes to list or delete
};

/// An answer that is no: the reason has been told.
constexpr int status_no = 1;

/// Each answers the exit status.
int create_node(zk::Frame& frame, const Options& options);
int get_node(zk::Frame& frame, const Options& options);
int set_node(zk::Frame& frame, const Options& options);
int delete_node(zk::Frame& frame, const Options& options);
int clear_node(zk::Frame& frame, const Options& options);  // delete with all below it
int stat_node(zk::Frame& frame, const Options& options);
int list_node(zk::Frame& frame, const Options& options);
int node_exists(zk::Frame& frame, const Options& options);
int run_transaction(zk::Frame& frame, const Options& options);
