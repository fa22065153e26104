#include "condition.h"

#include <array>
#include <charconv>

#include "error.h"
#include "text.h"

namespace {

std::shared_ptr<regex_t> compile(const std::string& pattern) {
  constexpr std::size_t longest = 1000;  // the C library's compiler recurses
  if (pattern.size() > longest)
    throw zk::Refused("--until ~REGEX: it is longer than " + std::to_string(longest) + " bytes");
  auto compiled = std::make_unique<regex_t>();
  if (const int error = regcomp(compiled.get(), pattern.c_str(), REG_EXTENDED | REG_NOSUB)) {
    std::array<char, 200> why{};
    regerror(error, compiled.get(), why.data(), why.size());
    throw zk::Refused("--until ~" + zk::printable(pattern, 100) + ": " + why.data());
  }
  return {compiled.release(), [](regex_t* regex) {
            regfree(regex);
            delete regex;
          }};
}

// Data may contain any byte, also NUL.
bool matches(const regex_t& regex, const std::string& data) {
  regmatch_t range{0, static_cast<regoff_t>(data.size())};
  return regexec(&regex, data.data(), 1, &range, REG_STARTEND) == 0;
}

}  // namespace

Condition Condition::parse(const std::string& text) {
  Condition condition;
  const std::string_view count = "children>=";
  if (text == "exists") {
    condition.kind_ = Kind::exists;
  } else if (text == "missing") {
    condition.kind_ = Kind::missing;
  } else if (text.starts_with("=")) {
    condition.kind_ = Kind::equals;
    condition.subject_ = Subject::data;
    condition.value_ = text.substr(1);
  } else if (text.starts_with("~")) {
    condition.kind_ = Kind::matches;
    condition.subject_ = Subject::data;
    condition.pattern_ = compile(text.substr(1));
  } else if (text.starts_with(count)) {
    condition.kind_ = Kind::children;
    condition.subject_ = Subject::children;
    const char* const begin = text.data() + count.size();
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(begin, end, condition.least_);
    if (begin == end || stop != end || error != std::errc() || condition.least_ < 0)
      throw zk::Refused("--until " + zk::printable(text, 100) + ": a number is to follow children>=");
  } else {
    throw zk::Refused("--until '" + zk::printable(text, 100) +
                      "' is not one of exists, missing, =VALUE, ~REGEX, children>=N");
  }
  return condition;
}

bool Condition::holds(const zk::Change& change) const {
  switch (kind_) {
    case Kind::exists:
      return change.node.has_value();
    case Kind::missing:
      return !change.node;
    case Kind::equals:
      return change.node && change.node->data == value_;
    case Kind::matches:
      return change.node && matches(*pattern_, change.node->data);
    case Kind::children:
      return change.node && static_cast<long>(change.children.size()) >= least_;
  }
  return false;
}
