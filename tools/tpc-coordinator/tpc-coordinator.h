#pragma once
#include <optional>
#include <string>
#include <vector>

#include "clock.h"
#include "coordinator.h"
#include "fail_point.h"
#include "replica.h"
#include "tool.h"

struct Options {
  std::string path;
  std::vector<std::string> words;  // the command and what follows it
  zk::Quorum quorum;
  std::optional<int> participants;
  zk::Duration timeout = std::chrono::seconds(30);
  int parallel = 1;
  bool json = false, stale = false;
  zk::FailPoint fail;
};

int change(zk::Frame& frame, const Options& options);
int read(zk::Frame& frame, const Options& options);
int run_lines(zk::Frame& frame, const Options& options);
int show_status(zk::Frame& frame, const Options& options);
int recover(zk::Frame& frame, const Options& options);
int forget(zk::Frame& frame, const Options& options);

/// The keys that a read names: `get KEY...`; none for `dump`. Throws WrongUsage.
std::vector<std::string> keys_of(const std::vector<std::string>& words);

/// Waits until so many are alive, if that was asked for, at most --timeout.
void await_participants(zk::Session& session, const Options& options, const zk::Until& until);

/// `7-1  vote  b: no: x is 2, not 1`.
std::string shown(const zk::Milestone& milestone);

/// In one line: `committed 7-1 version 18`, `aborted 7-2: b: x is 2, not 1`, `unknown 7-3`.
std::string shown(const zk::Result& result);
std::string as_json(const zk::Result& result);

/// Which of the keys do not exist.
std::vector<std::string> missing(const zk::RegisterReading& reading, const std::vector<std::string>& keys);

/// In one line, or, of a dump or for one who asked for it alone, a line for each key.
std::string shown(const zk::RegisterReading& reading, const std::vector<std::string>& keys, const char* between);
std::string as_json(const zk::RegisterReading& reading, const std::vector<std::string>& keys);
