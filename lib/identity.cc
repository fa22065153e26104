#include "identity.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "text.h"
#include "wall_clock.h"

namespace zk {

Identity Identity::mine(std::string label) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return {host, getpid(), std::move(label), iso_time(wall_clock(), /*with_milliseconds=*/false)};
}

std::string Identity::json() const {
  nlohmann::ordered_json object{{"host", host}, {"pid", pid}};
  if (!label.empty()) object["label"] = label;
  object["since"] = since;
  // A label or host name that is not UTF-8 must not stop us; its bad bytes are replaced.
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<Identity> Identity::parse(const std::string& data) {
  const auto object = nlohmann::json::parse(data, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return std::nullopt;
  const auto text = [&](const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto pid = object.find("pid");
  if (pid == object.end() || !pid->is_number_integer()) return std::nullopt;
  return Identity{text("host"), pid->get<int>(), text("label"), text("since")};
}

std::string Identity::shown() const {
  return printable(host, 100) + ":" + std::to_string(pid) + (label.empty() ? "" : " (" + printable(label, 100) + ")");
}

}  // namespace zk
