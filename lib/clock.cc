#include "clock.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "error.h"

namespace zk {

namespace {

// Longer than anybody waits, and far from where a sum of two of them would overflow.
constexpr double longest_seconds = 3600.0 * 24 * 3650;

constexpr std::array<std::pair<std::string_view, double>, 5> units{
    {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}}};

}  // namespace

Duration parse_duration(std::string_view what, const std::string& text) {
  const auto digits = text.find_first_not_of("0123456789.");
  const std::string number = text.substr(0, digits);
  const std::string_view unit =
      digits == std::string::npos ? std::string_view{} : std::string_view(text).substr(digits);
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (!number.empty() && *end == '\0')
    for (const auto& [name, seconds] : units)
      if (unit == name && value * seconds <= longest_seconds) return Duration(std::llround(value * seconds * 1e9));
  throw Refused(std::string(what) + ": '" + text + "' is not a duration; write 250ms, 1.5s, 2m or a number of seconds");
}

std::string to_string(Duration duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  std::array<char, 32> text{};
  if (std::abs(seconds) < 1)
    std::snprintf(text.data(), text.size(), "%.3gms", std::round(seconds * 1000));
  else if (std::abs(seconds) < 120)
    std::snprintf(text.data(), text.size(), "%.3gs", seconds);
  else if (std::abs(seconds) < 7200)
    std::snprintf(text.data(), text.size(), "%.3gm", seconds / 60);
  else
    std::snprintf(text.data(), text.size(), "%.3gh", seconds / 3600);
  return text.data();
}

}  // namespace zk
