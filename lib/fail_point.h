// Dying or freezing at a named point, on purpose: so that people see what a crash does, and tests that it does no harm.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace zk {

/// Told by a recipe which point it has come to.
using Reached = std::function<void(const char* point)>;

struct FailPoint {
  std::string point;  // empty: none
  bool pause = false;

  /// `after-vote`, `after-vote:kill`, `after-vote:pause`. Throws WrongUsage, naming the points.
  static FailPoint parse(const std::string& text, const std::vector<std::string>& points);

  /// Kills or stops this process if it is there: the first time only.
  void reach(const std::string& where);
};

}  // namespace zk
