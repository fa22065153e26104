#include "lease.h"

#include <algorithm>

namespace zk {

Duration Lease::margin(Duration timeout) { return std::max<Duration>(std::chrono::milliseconds(50), timeout / 50); }

Duration Lease::longest_grace(Duration timeout) {
  return std::max(Duration::zero(), enough(timeout) - margin(timeout) - beat(timeout) * 2);
}

void Lease::extend(Time heard) { end_ = std::max(end_, heard + timeout_ - margin(timeout_)); }

void Lease::opened(Time asked) {
  answered_.clear();
  confirmed_ = asked;
  extend(asked);
}

void Lease::reconnected(Time asked) {
  answered_.clear();
  confirmed_ = asked;
}

void Lease::disconnected() {
  answered_.clear();
  confirmed_ = {};
}

void Lease::answered(Time sent, Time now) {
  // Closer than this they would add nothing but memory.
  if (answered_.empty() || sent - answered_.back().sent >= timeout_ / 32) answered_.push_back({sent, now});
  while (answered_.front().sent < sent - timeout_) answered_.pop_front();
}

void Lease::committed(Time sent, Time now) {
  if (confirmed_ != Time{}) extend(confirmed_);
  for (const auto& before : answered_)
    if (before.answered <= sent - timeout_ / 4) extend(before.sent);
  answered(sent, now);
}

}  // namespace zk
