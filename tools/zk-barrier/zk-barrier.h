// What zk-barrier does, once its options are known.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tool.h"

struct Options {
  std::string path;
  int members = 0;
  std::string id;
  std::optional<zk::Duration> wait, leave_wait;
  bool enter_only = false;
  bool ignore_crashes = false;
  std::string label;
  std::optional<zk::Duration> grace;  // from TERM to KILL
  std::vector<std::string> command;   // empty: stay until end of input or a signal
};

/// Enters, runs the command or stays, leaves, and waits for the others. Answers the exit status.
int run_in_barrier(zk::Frame& frame, const Options& options);

/// Prints which generation there is, who is here, and who is missing.
int list_barrier(zk::Frame& frame, const std::string& path, bool json);
