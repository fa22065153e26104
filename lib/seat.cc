#include "seat.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace zk {

namespace {

using Json = nlohmann::ordered_json;
using Phase = SeatState::Phase;

constexpr std::pair<Rule, std::string_view> rules[] = {
    {Rule::fair, "fair"}, {Rule::ordered, "ordered"}, {Rule::table, "table"}, {Rule::naive, "naive"}};
constexpr std::pair<Phase, const char*> phases[] = {
    {Phase::thinking, "thinking"}, {Phase::hungry, "hungry"}, {Phase::eating, "eating"}};

}  // namespace

std::string_view name_of(Rule rule) {
  return std::ranges::find(rules, rule, [](const auto& entry) { return entry.first; })->second;
}

std::optional<Rule> parse_rule(std::string_view name) {
  const auto found = std::ranges::find(rules, name, [](const auto& entry) { return entry.second; });
  return found == std::end(rules) ? std::nullopt : std::optional(found->first);
}

std::string SeatState::json() const {
  Json object = Json::parse(about, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) object = Json::object();
  for (const auto& [value, word] : phases)
    if (value == phase) object["state"] = word;
  object["at"] = since;
  object["meals"] = meals;
  object["turns"] = {turns.left, turns.right};
  if (!holds.empty()) object["holds"] = holds;
  if (waits_for) object["waits_for"] = *waits_for;
  for (const auto& meal : recent)
    object["recent"].push_back({meal.number, meal.token, meal.put, meal.hungry, meal.eating, meal.done});
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<SeatState> SeatState::parse(const std::string& data) {
  try {
    const Json object = Json::parse(data);
    SeatState state{.about = data};
    const auto word = object.at("state").get<std::string>();
    const auto found = std::ranges::find_if(phases, [&](const auto& entry) { return entry.second == word; });
    if (found == std::end(phases)) return std::nullopt;
    state.phase = found->first;
    state.since = object.at("at");
    state.meals = object.at("meals");
    const auto turns = object.at("turns").get<std::vector<std::int64_t>>();
    if (turns.size() != 2) return std::nullopt;
    state.turns = {turns[0], turns[1]};
    state.holds = object.value("holds", std::vector<int>{});
    if (object.contains("waits_for")) state.waits_for = object["waits_for"].get<int>();
    for (const auto& entry : object.value("recent", Json::array())) {
      const auto numbers = entry.get<std::vector<std::int64_t>>();
      if (numbers.size() != 6) return std::nullopt;
      state.recent.push_back({numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]});
    }
    return state;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::pair<int, int> neighbours_of(int seat, int seats) { return {(seat + seats - 1) % seats, (seat + 1) % seats}; }

std::pair<int, int> forks_of(int seat, int seats) { return {seat, (seat + 1) % seats}; }

bool may_eat(const Turns& turns, const Beside& others) {
  const auto free = [](const std::optional<SeatState>& other) { return !other || other->phase != Phase::eating; };
  return free(others.left) && free(others.right) && (!others.left || turns.left <= others.left->turns.right) &&
         (!others.right || turns.right <= others.right->turns.left);
}

Turns turns_to_begin_with(const Beside& others) {
  return {others.left ? others.left->turns.right : 0, others.right ? others.right->turns.left : 0};
}

}  // namespace zk
