// The one clock of the toolkit: CLOCK_BOOTTIME. It never jumps and, unlike CLOCK_MONOTONIC, goes on while the
// machine is suspended, as the server's idea of a session's age does. No algorithm reads the wall clock.
#pragma once
#include <ctime>

#include <chrono>
#include <string>
#include <string_view>

namespace zk {

struct Clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec t{};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
  }
};

using Duration = Clock::duration;
using Time = Clock::time_point;

/// Reads `250ms`, `1.5s`, `2m`, `1h` or a bare number of seconds. Throws Refused, naming `what`, for anything else.
Duration parse_duration(std::string_view what, const std::string& text);

/// The shortest of `250ms`, `1.5s`, `2m` that says it to three digits.
std::string to_string(Duration);

}  // namespace zk
