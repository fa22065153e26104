// What is done when a process is killed: its session is closed at once, so that its ephemeral nodes, and whoever waits
// for their end, do not have to wait for the session to time out. Somebody else has to do it (deadman.h).
//
// It is a help, not a guarantee: when the host dies, or is cut off, only the session timeout is left.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zk {

struct Will {
  std::int64_t session = 0;
  std::array<char, 16> password{};
  std::vector<std::string> servers{};  // numeric, as from resolve

  std::string encode() const;
  static std::optional<Will> decode(std::string_view bytes);

  /// Connects to one of the servers in the session's name, and closes the session. Blocks a second at most for each
  /// server that does not answer. No harm if the session has ended.
  void carry_out() const;
};

}  // namespace zk
