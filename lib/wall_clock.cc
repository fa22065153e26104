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

std::string iso_time(std::int64_t milliseconds_since_1970, bool with_milliseconds) {
  // Rounded down also before 1970: a server may say anything.
  const std::int64_t fraction = (milliseconds_since_1970 % 1000 + 1000) % 1000;
  const auto seconds = static_cast<std::time_t>((milliseconds_since_1970 - fraction) / 1000);
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return std::to_string(milliseconds_since_1970);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> milliseconds{};
  if (with_milliseconds) std::snprintf(milliseconds.data(), milliseconds.size(), ".%03d", static_cast<int>(fraction));
  return std::string(text.data()) + milliseconds.data() + "Z";
}

}  // namespace zk
