#include "sequence.h"

#include <charconv>
#include <cstdio>

namespace zk {

std::optional<std::int32_t> parse_sequence(const std::string& text) {
  std::int32_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  char written[16];
  std::snprintf(written, sizeof written, "%010d", value);
  return failed == std::errc() && text == written ? std::optional(value) : std::nullopt;
}

std::int32_t sequence_distance(std::int32_t from, std::int32_t to) {
  // Modulo 2^32, so that the counter may wrap.
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(to) - static_cast<std::uint32_t>(from));
}

}  // namespace zk
