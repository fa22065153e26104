#include "fail_point.h"

#include <algorithm>
#include <csignal>

#include "error.h"
#include "log.h"
#include "text.h"

namespace zk {

FailPoint FailPoint::parse(const std::string& text, const std::vector<std::string>& points) {
  const auto colon = text.find(':');
  const std::string point = text.substr(0, colon), how = colon == std::string::npos ? "kill" : text.substr(colon + 1);
  if (std::ranges::find(points, point) == points.end()) {
    std::string all;
    for (const auto& name : points) all += (all.empty() ? "" : ", ") + name;
    throw WrongUsage("--fail-at has no point '" + printable(point, 100) + "'; there are " + all);
  }
  if (how != "kill" && how != "pause")
    throw WrongUsage("--fail-at " + point + ":" + printable(how, 100) + ": say kill or pause after the colon");
  return {point, how == "pause"};
}

void FailPoint::reach(const std::string& where) {
  if (where != point) return;
  point.clear();
  log::warning(std::string(pause ? "freezes" : "dies") + " here, as --fail-at says: " + where);
  std::raise(pause ? SIGSTOP : SIGKILL);
}

}  // namespace zk
