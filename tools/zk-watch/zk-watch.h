// What zk-watch does, once its options are known.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "condition.h"
#include "observe.h"
#include "tool.h"

struct Options {
  std::vector<zk::Target> targets;
  bool json = false;
  bool initial = true;  // the state at the beginning is told, too
  std::optional<int> count;
  std::optional<zk::Duration> timeout;
  std::optional<Condition> until;
  std::vector<std::string> command;
  zk::Duration debounce{};
  std::optional<zk::Duration> command_timeout;
  bool fail_fast = false;
};

/// Tells what changes, or runs the command, until an end that the options name or a signal. Answers the exit status.
int watch(zk::Frame& frame, const Options& options);
