#include "node_json.h"

#include <nlohmann/json.hpp>

#include "error.h"
#include "text.h"
#include "wall_clock.h"

namespace zk {

void add_stat(nlohmann::ordered_json& object, const Stat& stat) {
  object["czxid"] = stat.czxid;
  object["mzxid"] = stat.mzxid;
  object["pzxid"] = stat.pzxid;
  object["ctime"] = iso_time(stat.ctime, /*with_milliseconds=*/true);
  object["mtime"] = iso_time(stat.mtime, /*with_milliseconds=*/true);
  object["version"] = stat.version;
  object["cversion"] = stat.cversion;
  object["aversion"] = stat.aversion;
  object["ephemeralOwner"] = stat.owner;
  object["dataLength"] = stat.bytes;
  object["numChildren"] = stat.children;
}

void add_data(nlohmann::ordered_json& object, std::string_view data) {
  if (is_utf8(data))
    object["data"] = data;
  else
    object["data_base64"] = base64(data);
}

nlohmann::ordered_json parse_flat(std::string_view text) {
  constexpr int deepest = 8;
  using Json = nlohmann::ordered_json;
  try {
    return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
      if (depth > deepest) throw Refused("JSON that is nested too deeply");
      return true;
    });
  } catch (const Json::exception&) {
    throw Refused("no JSON");
  }
}

std::string line(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace zk
