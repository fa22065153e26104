// What a node is to be before zk-watch ends.
#pragma once
#include <regex.h>

#include <memory>
#include <string>

#include "change.h"

class Condition {
 public:
  /// `exists`, `missing`, `=VALUE`, `~REGEX` (extended, as of grep -E) or `children>=N`. Throws Refused.
  static Condition parse(const std::string& text);

  /// What of the node it is about.
  enum class Subject { existence, data, children };
  Subject subject() const { return subject_; }

  /// Whether a node holds it after this change.
  bool holds(const zk::Change& change) const;

 private:
  enum class Kind { exists, missing, equals, matches, children } kind_{};
  Subject subject_{};
  std::string value_;
  std::shared_ptr<regex_t> pattern_;
  long least_ = 0;
};
