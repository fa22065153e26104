#include <iostream>
#include <nlohmann/json.hpp>

#include "identity.h"
#include "lock.h"
#include "log.h"
#include "path.h"
#include "text.h"
#include "zk-lock.h"

namespace {

const char* mode_of(zk::Kind kind) {
  return kind == zk::Kind::write ? "exclusive" : kind == zk::Kind::read ? "shared" : "limited";
}

void print_json(const zk::Place& place, const zk::Identity& who, const std::string& path) {
  const nlohmann::ordered_json object{{"inside", place.inside},
                                      {"mode", mode_of(place.contender.kind)},
                                      {"host", who.host},
                                      {"pid", who.pid},
                                      {"label", who.label},
                                      {"since", who.since},
                                      {"token", place.node.stat.czxid},
                                      {"node", zk::join(path, place.contender.name)},
                                      {"session", place.node.stat.owner}};
  std::cout << object.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace) << "\n";
}

void print_line(const zk::Place& place, const zk::Identity& who) {
  std::cout << (place.inside ? "inside   " : "waiting  ") << (who.pid == 0 ? "(unknown)" : who.shown()) << "  "
            << mode_of(place.contender.kind) << "  token " << place.node.stat.czxid << "  since "
            << zk::printable(who.since, 40) << "\n";
}

}  // namespace

int list_lock(zk::Frame& frame, const std::string& path, bool json) {
  zk::check_path(path);
  zk::Session session(frame.settings, frame.until);
  const auto all = zk::places(session, path, frame.until.within(frame.settings.session_timeout));
  for (const auto& place : all) {
    const auto who = zk::Identity::parse(place.node.data).value_or(zk::Identity{});
    if (json)
      print_json(place, who, path);
    else
      print_line(place, who);
  }
  if (all.empty()) zk::log::step("nobody holds " + path + " or waits for it");
  return zk::status_done;
}
