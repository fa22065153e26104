#include <iostream>
#include <nlohmann/json.hpp>

#include "barrier.h"
#include "identity.h"
#include "log.h"
#include "path.h"
#include "text.h"
#include "zk-barrier.h"

namespace {

using Where = zk::BarrierPicture::Place::Where;

const char* word_of(Where where) {
  switch (where) {
    case Where::waiting:
      return "waiting";
    case Where::inside:
      return "inside";
    case Where::left:
      return "left";
    case Where::crashed:
      return "crashed";
  }
  return "";
}

const char* word_of(zk::BarrierState::Phase phase) {
  switch (phase) {
    case zk::BarrierState::Phase::forming:
      return "forming";
    case zk::BarrierState::Phase::open:
      return "open";
  }
  return "";
}

// Whom the others wait for: nobody knows the names of those who have not come yet.
std::size_t missing(const zk::BarrierPicture& picture) {
  const auto members = static_cast<std::size_t>(picture.state.members);
  if (!picture.state.roster.empty() || picture.places.size() >= members) return 0;
  return members - picture.places.size();
}

void print_json(const zk::BarrierPicture& picture, const std::string& path) {
  using Json = nlohmann::ordered_json;
  Json object{{"path", path},
              {"generation", picture.state.generation},
              {"phase", word_of(picture.state.phase)},
              {"members", picture.state.members},
              {"missing", missing(picture)},
              {"places", Json::array()}};
  for (std::size_t i = 0; i < picture.places.size(); ++i) {
    const auto& [member, node, where] = picture.places[i];
    const auto who = zk::Identity::parse(node.data).value_or(zk::Identity{});
    Json place{{"id", member.id}, {"state", word_of(where)}};
    if (picture.state.has(member.name)) place["rank"] = i;
    place["node"] = zk::join(path, zk::here_node(member.name));
    if (node.stat.owner != 0) {
      place["host"] = who.host;
      place["pid"] = who.pid;
      place["label"] = who.label;
      place["since"] = who.since;
      place["session"] = node.stat.owner;
    }
    object["places"].push_back(std::move(place));
  }
  std::cout << object.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) << "\n";
}

void print_lines(const zk::BarrierPicture& picture, const std::string& path) {
  std::cout << path << "  generation " << picture.state.generation << "  " << word_of(picture.state.phase) << "  "
            << zk::counted(picture.state.members, "member", "members");
  if (const auto count = missing(picture); count > 0) std::cout << ", " << count << " missing";
  std::cout << "\n";
  for (const auto& [member, node, where] : picture.places) {
    std::cout << word_of(where) << std::string(9 - std::string(word_of(where)).size(), ' ')
              << zk::printable(member.id, 100);
    if (const auto who = zk::Identity::parse(node.data))
      std::cout << "  " << who->shown() << "  since " << zk::printable(who->since, 40);
    std::cout << "\n";
  }
}

}  // namespace

int list_barrier(zk::Frame& frame, const std::string& path, bool json) {
  zk::check_path(path);
  zk::Session session(frame.settings, frame.until);
  const auto picture = zk::picture_of_barrier(session, path, frame.until.within(frame.settings.session_timeout));
  if (!picture) {
    zk::log::step("there is no barrier at " + path);
    return zk::status_done;
  }
  if (json)
    print_json(*picture, path);
  else
    print_lines(*picture, path);
  return zk::status_done;
}
