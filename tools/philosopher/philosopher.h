// What a philosopher does, once its options are known.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "seat.h"
#include "tool.h"

/// A duration anew each time, evenly between the two.
struct Span {
  zk::Duration least, most;

  /// Reads `50ms` or `20ms..80ms`. Throws Refused, naming `what`, for anything else.
  static Span parse(std::string_view what, const std::string& text);
};

struct Options {
  std::string table;
  int seat = 0, seats = 0;
  zk::Rule rule = zk::Rule::fair;
  std::optional<int> meals;
  std::optional<zk::Duration> at_most;  // as long as the table is full
  std::optional<zk::Duration> wait;     // until it is
  Span think{}, eat{};
  std::uint64_t seed = 0;
  bool json = false;
  std::string label;
  std::optional<zk::Duration> grace;
  std::vector<std::string> command;  // the meal; empty: sleeps
};

/// Sits down, thinks and eats, leaves. Answers the exit status.
int dine(zk::Frame& frame, const Options& options);
