#include "dinner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

using zk::deadlock;
using zk::Dinner;
using zk::judge;
using zk::Meal;
using zk::SeatState;
using Phase = zk::SeatState::Phase;

namespace {

SeatState state_of(Phase phase, std::int64_t meals, std::vector<Meal> recent = {}, std::int64_t since = 1) {
  SeatState state;
  state.phase = phase;
  state.since = since;
  state.meals = meals;
  state.recent = std::move(recent);
  return state;
}

// From transaction `token` to `put`, at times of the same numbers.
Meal meal(std::int64_t number, std::int64_t token, std::int64_t put, std::int64_t hungry = 0) {
  return {.number = number, .token = token, .put = put, .hungry = hungry, .eating = token, .done = put};
}

// Each eats the meals [token, put] given, and nothing is missed.
Dinner dinner_of(int seats, const std::map<int, std::vector<std::pair<std::int64_t, std::int64_t>>>& eaten) {
  Dinner dinner(seats);
  for (const auto& [seat, times] : eaten) {
    dinner.note(seat, state_of(Phase::thinking, 0), seat + 1, seat + 1);
    std::vector<Meal> meals;
    for (const auto& [token, put] : times) {
      meals.push_back(meal(static_cast<std::int64_t>(meals.size()) + 1, token, put, token));
      dinner.note(seat, state_of(Phase::thinking, static_cast<std::int64_t>(meals.size()), meals), seat + 1, put);
    }
  }
  return dinner;
}

SeatState waiting(std::vector<int> holds, std::optional<int> waits_for, Phase phase = Phase::hungry) {
  SeatState state;
  state.phase = phase;
  state.holds = std::move(holds);
  state.waits_for = waits_for;
  return state;
}

std::vector<int> ring_of(const std::vector<std::optional<SeatState>>& states) {
  std::vector<const SeatState*> seats;
  for (const auto& state : states) seats.push_back(state ? &*state : nullptr);
  return deadlock(seats);
}

}  // namespace

TEST_CASE("a dinner knows who sits where, and that one who comes back is another") {
  Dinner dinner(3);
  CHECK(dinner.empty());
  dinner.note(1, state_of(Phase::thinking, 0), 10, 10);
  CHECK_FALSE(dinner.empty());
  CHECK(dinner.present()[0] == nullptr);
  REQUIRE(dinner.present()[1] != nullptr);
  dinner.gone(1, 99, 5);  // not that one
  CHECK_FALSE(dinner.empty());
  dinner.gone(1, 10, 5);
  CHECK(dinner.empty());
  dinner.note(1, state_of(Phase::hungry, 0), 20, 20);
  CHECK(dinner.sittings().size() == 2);
  CHECK(dinner.present()[1]->began == 20);
}

TEST_CASE("a dinner has no seats but its own") {
  Dinner dinner(3);
  for (const int seat : {-1, 3, 1000}) dinner.note(seat, state_of(Phase::eating, 1), 10, 10);
  CHECK(dinner.sittings().empty());
  CHECK(judge(dinner).seats.size() == 3);
}

TEST_CASE("a dinner counts each meal once, seen while it is eaten, after it, or both") {
  Dinner dinner(2);
  dinner.note(0, state_of(Phase::hungry, 0, {}, 3), 1, 5);
  dinner.note(0, state_of(Phase::eating, 1, {}, 10), 1, 10);
  CHECK(judge(dinner).seats[0].meals == 1);
  CHECK(judge(dinner).seats[0].longest_hunger == 7);
  dinner.note(0, state_of(Phase::thinking, 1, {meal(1, 10, 0, 3)}), 1, 20);
  dinner.note(0, state_of(Phase::thinking, 2, {meal(1, 10, 20, 3), meal(2, 30, 0, 25)}), 1, 40);
  const auto seat = judge(dinner).seats[0];
  CHECK(seat.meals == 2);
  CHECK(seat.unseen == 0);
  CHECK(seat.longest_hunger == 7);
  CHECK(seat.mean_hunger == 6);
  const auto& meals = dinner.sittings()[0].meals;
  CHECK(meals.at(10).put == 20);
  CHECK(meals.at(30).put == 40);  // by the transaction that told of it
}

TEST_CASE("a dinner takes news in any order, late, and more than once") {
  std::vector<Meal> meals{meal(1, 10, 0, 9), meal(2, 30, 0, 25), meal(3, 50, 0, 45)};
  struct News {
    SeatState state;
    std::int64_t at;
  };
  std::vector<News> news{{state_of(Phase::thinking, 0), 1}};
  std::vector<Meal> told;
  for (const auto& one : meals) {
    news.push_back({state_of(Phase::eating, one.number, told, one.eating), one.token});
    told.push_back(one);
    news.push_back({state_of(Phase::thinking, one.number, told), one.token + 5});
    told.back().put = one.token + 5;
  }
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    auto shuffled = news;
    shuffled.insert(shuffled.end(), news.begin(), news.begin() + round % 7);
    std::ranges::shuffle(shuffled, random);
    Dinner dinner(2);
    for (const auto& one : shuffled) dinner.note(0, one.state, 1, one.at);
    const auto verdict = judge(dinner);
    REQUIRE(verdict.seats[0].meals == 3);
    REQUIRE(verdict.seats[0].unseen == 0);
    REQUIRE(dinner.sittings().size() == 1);
    for (const auto& one : meals) REQUIRE(dinner.sittings()[0].meals.at(one.token).put == one.token + 5);
  }
}

TEST_CASE("a dinner says how many meals it has not seen") {
  Dinner dinner(2);
  dinner.note(0, state_of(Phase::thinking, 20, {meal(19, 190, 195), meal(20, 200, 0)}), 1, 205);
  CHECK(judge(dinner).seats[0].meals == 20);
  CHECK(judge(dinner).seats[0].unseen == 18);
}

TEST_CASE("the verdict on neighbours who take turns is clean") {
  const auto verdict = judge(dinner_of(2, {{0, {{10, 20}, {30, 40}}}, {1, {{21, 29}, {41, 50}}}}));
  CHECK(verdict.overlaps.empty());
  CHECK(verdict.most_at_once == 1);
  CHECK(verdict.largest_difference == 1);
  CHECK(verdict.seats[0].meals == 2);
}

TEST_CASE("the verdict names neighbours who ate at once, also around the table") {
  const auto verdict = judge(dinner_of(3, {{0, {{10, 20}}}, {2, {{15, 30}}}}));
  REQUIRE(verdict.overlaps.size() == 1);
  CHECK(verdict.overlaps[0].first == 0);
  CHECK(verdict.overlaps[0].second == 2);
  CHECK(verdict.overlaps[0].earlier.token == 10);
  CHECK(verdict.overlaps[0].later.token == 15);
  CHECK(verdict.most_at_once == 2);
}

TEST_CASE("the verdict finds every overlap of a long meal") {
  CHECK(judge(dinner_of(5, {{1, {{10, 100}}}, {0, {{20, 30}}}, {2, {{40, 50}, {60, 70}}}})).overlaps.size() == 3);
}

TEST_CASE("the verdict lets seats that share no fork eat at once, and counts them") {
  const auto verdict = judge(dinner_of(6, {{0, {{10, 40}}}, {2, {{20, 50}}}, {4, {{30, 60}}}}));
  CHECK(verdict.overlaps.empty());
  CHECK(verdict.most_at_once == 3);
}

TEST_CASE("the verdict counts how far neighbours' meals were apart, from when both were there") {
  CHECK(judge(dinner_of(4, {{0, {{10, 11}, {20, 21}, {30, 31}}}, {1, {{40, 41}}}})).largest_difference == 3);
  CHECK(judge(dinner_of(4, {{0, {{10, 11}, {20, 21}, {30, 31}}}, {2, {{40, 41}}}})).largest_difference == 0);
  // One who comes later is not behind, and who has gone is not left behind.
  Dinner dinner(4);
  dinner.note(0, state_of(Phase::thinking, 2, {meal(1, 10, 11), meal(2, 20, 21)}), 1, 22);
  dinner.note(1, state_of(Phase::thinking, 0), 25, 25);
  dinner.note(1, state_of(Phase::thinking, 1, {meal(1, 26, 27)}), 25, 28);
  dinner.note(0, state_of(Phase::thinking, 3, {meal(1, 10, 11), meal(2, 20, 21), meal(3, 50, 51)}), 1, 52);
  CHECK(judge(dinner).largest_difference == 1);
}

TEST_CASE("the verdict does not blame who takes the forks of a dead one, nor lets the living off") {
  for (const bool dead : {true, false}) {
    Dinner dinner(3);
    dinner.note(0, state_of(Phase::eating, 1, {}, 10), 1, 10);
    if (dead) dinner.gone(0, 1, 15);
    dinner.note(1, state_of(Phase::thinking, 1, {meal(1, 20, 25)}), 2, 30);
    CHECK(judge(dinner).overlaps.size() == (dead ? 0 : 1));
    CHECK(judge(dinner).most_at_once == (dead ? 1 : 2));
  }
}

TEST_CASE("the verdict on nothing is clean") {
  const auto verdict = judge(Dinner(5));
  CHECK(verdict.seats.size() == 5);
  CHECK(verdict.most_at_once == 0);
  CHECK(verdict.overlaps.empty());
  CHECK(verdict.largest_difference == 0);
  CHECK(verdict.seats[0].mean_hunger == 0);
}

TEST_CASE("a deadlock is a ring of hungry ones, each holding what the one before waits for") {
  CHECK(ring_of({waiting({0}, 1), waiting({1}, 2), waiting({2}, 0)}) == std::vector{0, 1, 2});
  CHECK(ring_of({waiting({0}, 1), waiting({1}, 0)}) == std::vector{0, 1});
}

TEST_CASE("no deadlock is where somebody eats, thinks, holds nothing, waits for nothing, or is not there") {
  const auto first = waiting({0}, 1), second = waiting({1}, 2);
  for (const auto& third : std::vector<std::optional<SeatState>>{
           std::nullopt, waiting({2, 0}, std::nullopt, Phase::eating), waiting({2}, 0, Phase::thinking), waiting({}, 0),
           waiting({}, 2), waiting({2}, std::nullopt), waiting({2}, 7), waiting({2}, -1)})
    CHECK(ring_of({first, second, third}).empty());
  CHECK(ring_of({}).empty());
  CHECK(ring_of({std::nullopt, std::nullopt}).empty());
}

TEST_CASE("who only waits at a deadlock is not part of it") {
  // Seats as no table has them: 0 waits for 1, which waits in a ring with 2.
  CHECK(ring_of({waiting({5}, 1), waiting({1}, 2), waiting({2}, 1)}) == std::vector{1, 2});
}

TEST_CASE("a deadlock of hostile states is found without hanging") {
  CHECK(ring_of({waiting({0}, 0)}) == std::vector{0});
  CHECK(ring_of({waiting({0, 1, 2, 3}, 3), waiting({0, 1, 2, 3}, 3)}) == std::vector{0});
}

TEST_CASE("of a meal whose end was missed, and is not told any more, nobody says that it lasts") {
  Dinner dinner(2);
  dinner.note(0, state_of(Phase::thinking, 0), 1, 1);
  dinner.note(1, state_of(Phase::thinking, 0), 2, 2);
  dinner.note(0, state_of(Phase::eating, 1), 1, 10);
  dinner.note(0, state_of(Phase::thinking, 30, {meal(30, 100, 101)}), 1, 102);
  dinner.note(1, state_of(Phase::thinking, 1, {meal(1, 50, 51)}), 2, 52);
  const auto verdict = judge(dinner);
  CHECK(verdict.overlaps.empty());
  CHECK(verdict.most_at_once == 1);
  CHECK(verdict.seats[0].unseen == 29);
  CHECK(verdict.largest_difference == 0);  // nobody can tell
}
