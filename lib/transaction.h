// What a register is asked to do in one step: conditions, and changes that are made if all of them hold. Pure.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace zk {

struct Transaction {
  /// A key and its value; nullopt: none.
  struct Entry {
    std::string key;
    std::optional<std::string> value;
    bool operator==(const Entry&) const = default;
  };
  std::vector<Entry> changes;     // each key once; without a value it is deleted
  std::vector<Entry> conditions;  // each key once; without a value it must be missing
  bool operator==(const Transaction&) const = default;

  /// Reads `set KEY=VALUE... delete KEY... if KEY=OLD... if-missing KEY...`, mixed and repeated. Throws WrongUsage,
  /// naming the word that makes no sense.
  static Transaction of(const std::vector<std::string>& words);

  /// Throws nlohmann's exception, or Refused, for what `json` never makes.
  static Transaction parse(const std::string& json);
  std::string json() const;

  /// As `of` reads it, for people; safe to show.
  std::string shown() const;

  /// Why it cannot be done with these values: `x is 2, not 1`. nullopt if every condition holds.
  std::optional<std::string> objection(
      const std::function<std::optional<std::string>(const std::string& key)>& value_of) const;
};

/// Throws Refused unless it is 1 to 512 bytes of valid UTF-8 without `=`, blanks and control characters.
void check_key(const std::string& key);

}  // namespace zk
