// Who made a node: one line of JSON in the node's data, for people. No algorithm reads it.
#pragma once
#include <optional>
#include <string>

namespace zk {

struct Identity {
  std::string host;
  int pid = 0;
  std::string label;
  std::string since;  // ISO 8601, UTC

  /// This process, now.
  static Identity mine(std::string label);

  /// What some process wrote about itself; nullopt if it is not in this form. Hostile until escaped.
  static std::optional<Identity> parse(const std::string& data);

  std::string json() const;

  /// `web7:4123 (backup)`, safe to show.
  std::string shown() const;
};

}  // namespace zk
