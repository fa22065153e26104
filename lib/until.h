// How long a call may block: the last parameter of every blocking call, and the only form in which time limits
// and cancellation are passed.
#pragma once
#include <algorithm>
#include <stop_token>

#include "clock.h"

namespace zk {

struct Until {
  Time deadline = Time::max();
  std::stop_token stop{};

  /// The same, but `limit` from now at the latest.
  Until within(Duration limit) const { return {std::min(deadline, Clock::now() + limit), stop}; }

  bool expired() const { return Clock::now() >= deadline; }
};

/// Blocks for `time`, or until `until` ends: then throws TimedOut or Stopped. For the pause between two tries.
void pause(Duration time, const Until& until);

}  // namespace zk
