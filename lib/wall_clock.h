// What the clock on the wall says, for people. No algorithm reads it.
#pragma once
#include <cstdint>
#include <string>

namespace zk {

/// Milliseconds since 1970.
std::int64_t wall_clock();

/// `2026-11-20T19:55:12Z`, with milliseconds `2026-11-20T19:55:12.034Z`.
std::string iso_time(std::int64_t milliseconds_since_1970, bool with_milliseconds);

/// `20:55:12.034`, where we are.
std::string local_time(std::int64_t milliseconds_since_1970);

}  // namespace zk
