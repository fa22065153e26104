#include "roster.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sequence.h"

namespace zk {

namespace {

using Phase = BarrierState::Phase;
using Json = nlohmann::ordered_json;

constexpr std::size_t most_broken = 16;

constexpr std::pair<Phase, const char*> phases[] = {
    {Phase::forming, "forming"}, {Phase::called, "called"}, {Phase::open, "open"}};

std::vector<std::string> names_of(const std::vector<Member>& members) {
  std::vector<std::string> names;
  for (const auto& member : members) names.push_back(member.name);
  return names;
}

std::vector<Member> those_who_stay(const Attendance& seen, const std::string& mine, Wish wish) {
  auto here = seen.here;
  if (wish == Wish::withdraw) std::erase_if(here, [&](const Member& member) { return member.name == mine; });
  return here;
}

// From here on another generation forms, which is called at once if enough are here.
void form(Step& step, const std::vector<Member>& here, const std::string& mine, Wish wish) {
  auto& state = step.state;
  state.phase = Phase::forming;
  state.roster.clear();
  state.crashed.clear();
  const auto wanted = static_cast<std::size_t>(state.members);
  if (here.size() < wanted) return;
  state.phase = Phase::called;
  ++state.generation;
  state.roster.assign(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(wanted));
  std::sort(state.roster.begin(), state.roster.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (const auto& member : state.roster) step.exist.push_back(here_node(member.name));
  // Who calls has answered.
  if (wish == Wish::take_part && state.has(mine)) step.create_ephemeral.push_back(ready_node(state.generation, mine));
}

void remove_if_seen(Step& step, const Attendance& seen, const std::string& node) {
  if (seen.nodes.contains(node)) step.remove.push_back(node);
}

Step called(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  Step step{.state = state};
  const auto here = those_who_stay(seen, mine, wish);
  const bool all_here = std::ranges::all_of(
      state.roster, [&](const Member& member) { return std::ranges::find(here, member) != here.end(); });
  if (!all_here) {
    for (const auto& member : state.roster) remove_if_seen(step, seen, ready_node(state.generation, member.name));
    form(step, here, mine, wish);
    step.kind = step.state.phase == Phase::called ? Step::Kind::call : Step::Kind::call_off;
    return step;
  }
  const bool answering =
      wish == Wish::take_part && state.has(mine) && !seen.nodes.contains(ready_node(state.generation, mine));
  if (answering) step.create_ephemeral.push_back(ready_node(state.generation, mine));
  const bool all_ready = std::ranges::all_of(state.roster, [&](const Member& member) {
    return (answering && member.name == mine) || seen.nodes.contains(ready_node(state.generation, member.name));
  });
  step.kind = all_ready ? Step::Kind::open : answering ? Step::Kind::answer : Step::Kind::none;
  if (!all_ready) return step;
  step.state.phase = Phase::open;
  for (const auto& member : state.roster)
    if (!answering || member.name != mine) step.exist.push_back(ready_node(state.generation, member.name));
  return step;
}

Step open(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  Step step{.state = state};
  const bool leaving = wish == Wish::leave && state.has(mine) && seen.nodes.contains(here_node(mine)) &&
                       !seen.nodes.contains(left_node(mine));
  bool all_gone = true;
  for (const auto& member : state.roster) {
    const bool left = seen.nodes.contains(left_node(member.name)) || (leaving && member.name == mine);
    const bool here = seen.nodes.contains(here_node(member.name));
    auto& crashed = step.state.crashed;
    if (!left && !here && std::ranges::find(crashed, member.id) == crashed.end()) crashed.push_back(member.id);
    if (!left && here) all_gone = false;
  }
  if (all_gone) {
    step.kind = Step::Kind::end;
    auto& next = step.state;
    if (!next.crashed.empty()) next.broken.push_back({state.generation, next.crashed});
    if (next.broken.size() > most_broken) {
      next.forgotten = next.broken.front().generation;
      next.broken.erase(next.broken.begin());
    }
    auto here = those_who_stay(seen, mine, wish);
    for (const auto& member : state.roster) {
      std::erase(here, member);
      remove_if_seen(step, seen, here_node(member.name));
      remove_if_seen(step, seen, ready_node(state.generation, member.name));
      remove_if_seen(step, seen, left_node(member.name));
    }
    form(step, here, mine, wish);
  } else if (leaving) {
    step.kind = Step::Kind::leave;
    step.exist.push_back(here_node(mine));
    step.create.push_back(left_node(mine));
  } else if (step.state.crashed != state.crashed) {
    step.kind = Step::Kind::crash;
  }
  return step;
}

}  // namespace

std::optional<Member> Member::parse(const std::string& name) {
  const auto mark = name.rfind('#');
  if (mark == std::string::npos || mark == 0) return std::nullopt;
  const auto sequence = parse_sequence(name.substr(mark + 1));
  return sequence ? std::optional(Member{name.substr(0, mark), *sequence, name}) : std::nullopt;
}

std::string here_node(const std::string& name) { return "here-" + name; }
std::string ready_node(std::int64_t generation, const std::string& name) {
  return "ready-" + std::to_string(generation) + "-" + name;
}
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
  // Any of them does as the origin: their numbers lie close together.
  if (!seen.here.empty())
    std::ranges::sort(seen.here, {}, [origin = seen.here[0].sequence](const Member& member) {
      return sequence_distance(origin, member.sequence);
    });
  std::set<std::string> ids;
  std::erase_if(seen.here, [&](const Member& member) {
    if (ids.insert(member.id).second) return false;
    seen.duplicates.push_back(member);
    return true;
  });
  return seen;
}

Step next_step(const BarrierState& state, const Attendance& seen, const std::string& mine, Wish wish) {
  Step step{.state = state};
  switch (state.phase) {
    case Phase::forming:
      form(step, those_who_stay(seen, mine, wish), mine, wish);
      if (step.state.phase == Phase::called) step.kind = Step::Kind::call;
      break;
    case Phase::called:
      step = called(state, seen, mine, wish);
      break;
    case Phase::open:
      step = open(state, seen, mine, wish);
      break;
  }
  const bool inside = state.phase == Phase::open && state.has(mine);
  if (wish == Wish::withdraw && !inside && seen.nodes.contains(here_node(mine))) {
    step.kind = Step::Kind::withdraw;
    step.remove.push_back(here_node(mine));
  }
  return step;
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
