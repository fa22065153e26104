// The numbers that a server appends to names: a signed 32-bit counter of the folder, which wraps. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace zk {

/// nullopt for what no server writes.
std::optional<std::int32_t> parse_sequence(const std::string& text);

/// From one number to another: negative if `to` is the earlier. Right as long as they are less than 2^31 apart.
std::int32_t sequence_distance(std::int32_t from, std::int32_t to);

}  // namespace zk
