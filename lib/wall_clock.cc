#include "wall_clock.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace zk {

std::int64_t wall_clock() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

namespace {

std::string formatted(std::int64_t since_1970, bool with_milliseconds,
                      std::tm* (*convert)(const std::time_t*, std::tm*), const char* format) {
  // Rounded down also before 1970: a server may say anything.
  const std::int64_t fraction = (since_1970 % 1000 + 1000) % 1000;
  const auto seconds = static_cast<std::time_t>((since_1970 - fraction) / 1000);
  std::tm parts{};
  if (convert(&seconds, &parts) == nullptr) return std::to_string(since_1970);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), format, &parts);
  std::array<char, 8> milliseconds{};
  if (with_milliseconds) std::snprintf(milliseconds.data(), milliseconds.size(), ".%03d", static_cast<int>(fraction));
  return std::string(text.data()) + milliseconds.data();
}

}  // namespace

std::string iso_time(std::int64_t milliseconds_since_1970, bool with_milliseconds) {
  return formatted(milliseconds_since_1970, with_milliseconds, gmtime_r, "%Y-%m-%dT%H:%M:%S") + "Z";
}

std::string local_time(std::int64_t milliseconds_since_1970) {
  return formatted(milliseconds_since_1970, true, localtime_r, "%H:%M:%S");
}

}  // namespace zk
