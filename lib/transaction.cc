#include "transaction.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include "error.h"
#include "node_json.h"
#include "text.h"

namespace zk {

namespace {

using Json = nlohmann::ordered_json;
using Entries = std::vector<Transaction::Entry>;

constexpr std::size_t longest_key = 512;
const std::set<std::string> keywords{"set", "delete", "if", "if-missing"};

std::string named(const std::string& text) { return "'" + printable(text, 200) + "'"; }

// Entries as they come in, each key once.
struct Collected {
  Entries entries{};
  std::unordered_set<std::string> keys{};
};

void add(Collected& to, Transaction::Entry entry, const char* what) {
  check_key(entry.key);
  if (entry.value && !is_utf8(*entry.value))
    throw WrongUsage("the value of " + named(entry.key) + " is not UTF-8 text; encode it, with base64 for example");
  if (!to.keys.insert(entry.key).second) throw WrongUsage(named(entry.key) + " " + what + " twice in one transaction");
  to.entries.push_back(std::move(entry));
}

Transaction::Entry entry_of(const std::string& word, const std::string& keyword) {
  const auto mark = word.find('=');
  if (mark == std::string::npos)
    throw WrongUsage(named(word) + " after '" + keyword + "' is not KEY=VALUE" +
                     (keyword == "if" ? "; for a key that must not exist: if-missing KEY" : ""));
  return {word.substr(0, mark), word.substr(mark + 1)};
}

Json to_json(const Entries& entries) {
  Json list = Json::array();
  for (const auto& [key, value] : entries) list.push_back({{"key", key}, {"value", value ? Json(*value) : Json()}});
  return list;
}

Entries from_json(const Json& list, const char* what) {
  Collected collected;
  for (const auto& item : list) {
    const auto& value = item.at("value");
    add(collected,
        {item.at("key"), value.is_null() ? std::nullopt : std::optional<std::string>(value.get<std::string>())}, what);
  }
  return std::move(collected.entries);
}

}  // namespace

void check_key(const std::string& key) {
  const auto refuse = [&](const std::string& why) {
    throw Refused("'" + printable(key, 100) + "' cannot be a key: " + why);
  };
  if (key.empty()) refuse("it is empty");
  if (key.size() > longest_key) refuse("it is longer than " + std::to_string(longest_key) + " bytes");
  if (key.find_first_of("= ") != std::string::npos) refuse("it has a blank or a '='");
  if (printable(key, longest_key) != key) refuse("it is not plain text");
  if (keywords.contains(key)) refuse("it is a word of the command itself");
}

Transaction Transaction::of(const std::vector<std::string>& words) {
  Collected changes, conditions;
  std::string keyword;
  bool used = true;
  for (const auto& word : words) {
    if (keywords.contains(word)) {
      if (!used) throw WrongUsage("nothing follows '" + keyword + "'");
      keyword = word;
      used = false;
      continue;
    }
    used = true;
    if (keyword == "set")
      add(changes, entry_of(word, keyword), "is changed");
    else if (keyword == "delete")
      add(changes, {word, {}}, "is changed");
    else if (keyword == "if")
      add(conditions, entry_of(word, keyword), "is a condition");
    else if (keyword == "if-missing")
      add(conditions, {word, {}}, "is a condition");
    else
      throw WrongUsage(named(word) + ": a transaction begins with set, delete, if or if-missing");
  }
  if (!used) throw WrongUsage("nothing follows '" + keyword + "'");
  if (changes.entries.empty()) throw WrongUsage("a transaction changes something: set KEY=VALUE or delete KEY");
  return {std::move(changes.entries), std::move(conditions.entries)};
}

Transaction Transaction::parse(const std::string& json) {
  const Json object = parse_flat(json);
  return {from_json(object.at("changes"), "is changed"), from_json(object.at("conditions"), "is a condition")};
}

std::string Transaction::json() const {
  return Json{{"changes", to_json(changes)}, {"conditions", to_json(conditions)}}.dump();
}

std::string Transaction::shown() const {
  std::string text;
  const auto say = [&](const Entries& entries, bool with_value, const char* keyword) {
    bool first = true;
    for (const auto& [key, value] : entries) {
      if (value.has_value() != with_value) continue;
      if (first) text += (text.empty() ? "" : " ") + std::string(keyword);
      first = false;
      text += " " + printable(key) + (value ? "=" + printable(*value, 200) : "");
    }
  };
  say(changes, true, "set");
  say(changes, false, "delete");
  say(conditions, true, "if");
  say(conditions, false, "if-missing");
  return text;
}

std::optional<std::string> Transaction::objection(
    const std::function<std::optional<std::string>(const std::string& key)>& value_of) const {
  for (const auto& [key, wanted] : conditions) {
    const auto value = value_of(key);
    if (value == wanted) continue;
    if (!wanted) return printable(key) + " exists: " + printable(*value, 100);
    if (!value) return printable(key) + " does not exist";
    return printable(key) + " is " + printable(*value, 100) + ", not " + printable(*wanted, 100);
  }
  return std::nullopt;
}

}  // namespace zk
