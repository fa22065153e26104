// What zk-lock does, once its options are known.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "contender.h"
#include "tool.h"

struct Options {
  std::string path;
  std::vector<std::string> also;  // more locks
  zk::Kind kind = zk::Kind::write;
  int limit = 1;
  bool only_if_free = false;
  std::optional<zk::Duration> wait;  // at most so long, connecting included
  std::string label;
  std::optional<zk::Duration> grace;  // from TERM to KILL
  bool stop_when_lost = true;
  std::vector<std::string> command;  // empty: hold until end of input
};

/// Takes the locks, runs the command or holds, and releases. Answers the exit status.
int run_locked(zk::Frame& frame, const Options& options);

/// Prints who holds the lock and who waits, in order.
int list_lock(zk::Frame& frame, const std::string& path, bool json);
