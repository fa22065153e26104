// What a referee does, and what it tells.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "dinner.h"
#include "tool.h"

struct Options {
  std::string table;
  bool json = false;
  bool break_deadlock = false;
  std::optional<std::string> svg;  // where to write the timeline
};

/// Philosophers who waited for each other, by their seats: each holds the fork that the one before waits for.
struct Deadlock {
  std::int64_t seen;  // milliseconds since 1970
  std::vector<int> ring;
};

/// Watches the table until all have left, or a signal. Answers the exit status.
int watch_table(zk::Frame& frame, const Options& options);

/// `seat 0 holds fork 0 and waits for fork 1, seat 1 holds ...`.
std::string in_words(const Deadlock& deadlock, int seats);

std::string text_report(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks);
std::string json_report(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks);

/// The table as it is now, a line each seat, for a terminal.
std::string board(const std::string& table, const zk::Dinner& dinner, std::int64_t now);

/// The whole dinner as a picture: a lane for each seat, time from left to right.
std::string timeline(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks, const std::string& title);
