#include "roster.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "sequence.h"

namespace zk {

namespace {

using Phase = BarrierState::Phase;
using Json = nlohmann::ordered_json;

constexpr std::size_t most_broken = 16;

constexpr std::pair<Phase, const char*> phases[] = {{Phase::forming, "forming"}, {Phase::open, "open"}};

std::vector<std::string> names_of(const std::vector<Member>& members) {
  std::vector<std::string> names;
  for (const auto& member : members) names.push_back(member.name);
  return names;
}

// Those in line that may be counted.
std::vector<Member> waiting(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  auto line = seen.here;
  std::erase_if(line, [&](const Member& member) {
    return member.members != state.members || state.has(member.name) || (wish == Wish::withdraw && member.name == mine);
  });
  return line;
}

// From here on another generation forms, which is open at once if enough are here.
void form(Step& step, const std::vector<Member>& line) {
  auto& state = step.state;
  state.phase = Phase::forming;
  state.roster.clear();
  state.crashed.clear();
  const auto wanted = static_cast<std::size_t>(state.members);
  if (line.size() < wanted) return;
  state.phase = Phase::open;
  ++state.generation;
  state.roster.assign(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(wanted));
  std::ranges::sort(state.roster, {}, &Member::id);
  for (const auto& member : state.roster) step.exist.push_back(here_node(member.name));
}

Step forming(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  Step step{.state = state};
  form(step, waiting(state, seen, mine, wish));
  if (step.state.phase == Phase::open) step.kind = Step::Kind::open;
  return step;
}

Step open(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  Step step{.state = state};
  auto& crashed = step.state.crashed;
  const bool leaving = wish == Wish::leave && state.has(mine) && seen.nodes.contains(here_node(mine)) &&
                       !seen.nodes.contains(left_node(mine));
  bool all_gone = true;
  for (const auto& member : state.roster) {
    const bool left = seen.nodes.contains(left_node(member.name)) || (leaving && member.name == mine);
    const bool here = seen.nodes.contains(here_node(member.name));
    if (!left && !here && std::ranges::find(crashed, member.id) == crashed.end()) crashed.push_back(member.id);
    if (!left && here) all_gone = false;
  }
  if (all_gone) {
    step.kind = Step::Kind::end;
    auto& next = step.state;
    if (!crashed.empty()) next.broken.push_back({state.generation, crashed});
    if (next.broken.size() > most_broken) {
      next.forgotten = next.broken.front().generation;
      next.broken.erase(next.broken.begin());
    }
    for (const auto& member : state.roster)
      for (const auto& node : {here_node(member.name), left_node(member.name)})
        if (seen.nodes.contains(node)) step.remove.push_back(node);
    form(step, waiting(state, seen, mine, wish));
  } else if (leaving) {
    step.kind = Step::Kind::leave;
    step.exist.push_back(here_node(mine));
    step.create.push_back(left_node(mine));
  } else if (crashed != state.crashed) {
    step.kind = Step::Kind::crash;
  }
  return step;
}

}  // namespace

std::optional<Member> Member::parse(const std::string& name) {
  const auto mark = name.rfind('#');
  const auto at = mark == std::string::npos ? mark : name.rfind('@', mark);
  if (at == std::string::npos || at == 0) return std::nullopt;
  const auto number = parse_sequence(name.substr(mark + 1));
  int members = 0;
  const char* const end = name.data() + mark;
  const auto [last, failed] = std::from_chars(name.data() + at + 1, end, members);
  if (!number || failed != std::errc() || last != end || members < 1) return std::nullopt;
  return Member{name.substr(0, at), members, *number, name};
}

std::string here_node(const std::string& name) { return "here-" + name; }
std::string left_node(const std::string& name) { return "left-" + name; }

bool BarrierState::has(const std::string& name) const {
  return std::ranges::any_of(roster, [&](const Member& member) { return member.name == name; });
}

std::string BarrierState::json() const {
  Json object{{"members", members}, {"generation", generation}};
  for (const auto& [value, word] : phases)
    if (value == phase) object["phase"] = word;
  object["roster"] = names_of(roster);
  if (!crashed.empty()) object["crashed"] = crashed;
  for (const auto& [when, who] : broken) object["broken"].push_back({{"generation", when}, {"crashed", who}});
  if (forgotten > 0) object["forgotten"] = forgotten;
  return object.dump();
}

std::optional<BarrierState> BarrierState::parse(const std::string& data) {
  try {
    const Json object = Json::parse(data);
    BarrierState state{.members = object.at("members"), .generation = object.at("generation")};
    const auto word = object.at("phase").get<std::string>();
    const auto phase = std::ranges::find_if(phases, [&](const auto& entry) { return entry.second == word; });
    if (phase == std::end(phases) || state.members < 1 || state.generation < 0) return std::nullopt;
    state.phase = phase->first;
    if (state.phase == Phase::open && state.generation == 0) return std::nullopt;
    for (const auto& name : object.at("roster").get<std::vector<std::string>>()) {
      auto member = Member::parse(name);
      if (!member) return std::nullopt;
      state.roster.push_back(std::move(*member));
    }
    state.crashed = object.value("crashed", std::vector<std::string>{});
    for (const auto& entry : object.value("broken", Json::array()))
      state.broken.push_back({entry.at("generation"), entry.at("crashed")});
    state.forgotten = object.value("forgotten", std::int64_t{0});
    return state;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

Attendance Attendance::of(const std::vector<std::string>& children) {
  Attendance seen;
  for (const auto& child : children) {
    seen.nodes.insert(child);
    if (!child.starts_with("here-")) continue;
    if (auto member = Member::parse(child.substr(5))) seen.here.push_back(std::move(*member));
  }
  std::ranges::sort(seen.here, {}, [](const Member& member) { return std::pair(member.number, member.id); });
  std::set<std::string> ids;
  std::erase_if(seen.here, [&](const Member& member) {
    if (ids.insert(member.id).second) return false;
    seen.duplicates.push_back(member);
    return true;
  });
  return seen;
}

Step next_step(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  Step step = state.phase == Phase::forming ? forming(state, seen, mine, wish) : open(state, seen, mine, wish);
  const bool inside = state.phase == Phase::open && state.has(mine);
  if (wish == Wish::withdraw && !inside && seen.nodes.contains(here_node(mine))) {
    step.kind = Step::Kind::withdraw;
    step.remove.push_back(here_node(mine));
  }
  return step;
}

Member newcomer(const BarrierState& state, const Attendance& seen, const std::string& id, int members) {
  std::int32_t last = 0;
  for (const auto* others : {&state.roster, &seen.here, &seen.duplicates})
    for (const auto& member : *others) last = std::max(last, member.number);
  if (last == std::numeric_limits<std::int32_t>::max()) last = 0;  // nobody gets so far: a forged one
  char number[16];
  std::snprintf(number, sizeof number, "%010d", last + 1);
  return {id, members, last + 1, id + "@" + std::to_string(members) + "#" + number};
}

Attendance joined_by(Attendance seen, const Member& member) {
  seen.here.push_back(member);
  seen.nodes.insert(here_node(member.name));
  return seen;
}

std::string neighbour_of(const Attendance& seen, const std::string& mine) {
  std::string before, last;
  for (const auto& member : seen.here) {
    if (member.name == mine && !last.empty()) before = last;
    if (member.name != mine) last = member.name;
  }
  return before.empty() ? last : before;
}

std::optional<std::vector<std::string>> crashed_in(const BarrierState& state, std::int64_t generation) {
  if (generation <= state.forgotten) return std::nullopt;
  for (const auto& [when, who] : state.broken)
    if (when == generation) return who;
  return std::vector<std::string>{};
}

}  // namespace zk
