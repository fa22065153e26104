#include "seat.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "table.h"

using zk::Beside;
using zk::may_eat;
using zk::Rule;
using zk::SeatState;
using zk::Turns;
using Phase = zk::SeatState::Phase;

namespace {

SeatState with_turn(std::int64_t turn, Phase phase = Phase::thinking) {
  SeatState state;
  state.turns = {turn, turn};
  state.phase = phase;
  return state;
}

Beside beside(std::optional<SeatState> left, std::optional<SeatState> right) {
  return {std::move(left), std::move(right)};
}

// The rule `fair` without a server: each step one philosopher does what the rule lets it do, by what it sees then.
class Ring {
 public:
  Ring(int seats, unsigned seed) : random_(seed), seats_(static_cast<std::size_t>(seats)) {
    for (auto& seat : seats_) seat.there = true;
  }

  void step() {
    const int at = pick(static_cast<int>(seats_.size()));
    auto& seat = seats_[static_cast<std::size_t>(at)];
    if (!seat.there) return;
    const auto others = living(at);
    switch (seat.state.phase) {
      case Phase::thinking:
        seat.state.phase = Phase::hungry;
        [[fallthrough]];
      case Phase::hungry:
        try_to_eat(seat, others);
        break;
      case Phase::eating:
        seat.state.phase = Phase::thinking;
    }
  }

  // Somebody dies, or one who is away comes back; those before `first` stay.
  void change_seats(int first = 0) {
    const int at = first + pick(static_cast<int>(seats_.size()) - first);
    auto& seat = seats_[static_cast<std::size_t>(at)];
    if (seat.there) {
      seat = {};
    } else {
      seat.there = true;
      seat.state.turns = zk::turns_to_begin_with(living(at));
    }
  }

  // Or one who is not waiting goes on by itself.
  bool somebody_may_eat() {
    bool hungry = false, may = false;
    for (int at = 0; at < static_cast<int>(seats_.size()); ++at) {
      const auto& seat = seats_[static_cast<std::size_t>(at)];
      if (!seat.there) continue;
      if (seat.state.phase != Phase::hungry) return true;
      hungry = true;
      const auto others = living(at);
      may = may || may_eat(seat.state.turns, others);
    }
    return may || !hungry;
  }

  bool neighbours_eat_at_once() const {
    return for_neighbours([](const Seat& a, const Seat& b) {
      return a.there && b.there && a.state.phase == Phase::eating && b.state.phase == Phase::eating;
    });
  }
  bool meals_apart_by_more_than(std::int64_t limit) const {
    return for_neighbours([&](const Seat& a, const Seat& b) {
      return a.there && b.there && std::abs(a.state.meals - b.state.meals) > limit;
    });
  }
  std::int64_t apart(std::size_t a, std::size_t b) const {
    return std::abs(seats_[a].state.meals - seats_[b].state.meals);
  }
  std::int64_t fewest_meals() const {
    const auto fewest = [](const Seat& seat) { return seat.state.meals; };
    return fewest(*std::ranges::min_element(seats_, {}, fewest));
  }
  void begin_to_count() {
    for (auto& seat : seats_) seat.state.meals = 0;
  }
  void all_come() {
    for (int at = 0; at < static_cast<int>(seats_.size()); ++at) {
      auto& seat = seats_[static_cast<std::size_t>(at)];
      if (seat.there) continue;
      seat.there = true;
      seat.state.turns = zk::turns_to_begin_with(living(at));
    }
  }

 private:
  struct Seat {
    bool there = false;
    SeatState state{};
  };

  void try_to_eat(Seat& seat, const Beside& others) {
    if (!may_eat(seat.state.turns, others)) return;
    seat.state.phase = Phase::eating;
    ++seat.state.turns.left;
    ++seat.state.turns.right;
    ++seat.state.meals;
  }
  Beside living(int at) const {
    const auto [left, right] = zk::neighbours_of(at, static_cast<int>(seats_.size()));
    const auto state = [&](int seat) {
      const auto& other = seats_[static_cast<std::size_t>(seat)];
      return other.there ? std::optional(other.state) : std::nullopt;
    };
    return {state(left), state(right)};
  }
  bool for_neighbours(const auto& condition) const {
    for (std::size_t at = 0; at < seats_.size(); ++at)
      if (condition(seats_[at], seats_[(at + 1) % seats_.size()])) return true;
    return false;
  }
  int pick(int below) { return std::uniform_int_distribution(0, below - 1)(random_); }

  std::mt19937 random_;
  std::vector<Seat> seats_;
};

}  // namespace

TEST_CASE("a seat has its number's fork on the left and the next one on the right, around the table") {
  CHECK(zk::forks_of(0, 5) == std::pair(0, 1));
  CHECK(zk::forks_of(4, 5) == std::pair(4, 0));
  CHECK(zk::forks_of(1, 2) == std::pair(1, 0));
  CHECK(zk::neighbours_of(0, 5) == std::pair(4, 1));
  CHECK(zk::neighbours_of(4, 5) == std::pair(3, 0));
  CHECK(zk::neighbours_of(0, 2) == std::pair(1, 1));
  CHECK(zk::neighbours_of(1, 2) == std::pair(0, 0));
  CHECK(zk::neighbours_of(2, 3) == std::pair(1, 0));
}

TEST_CASE("neighbours are those who share a fork, and each fork is shared by two") {
  for (int seats = 2; seats < 20; ++seats) {
    std::vector<int> users(static_cast<std::size_t>(seats));
    for (int seat = 0; seat < seats; ++seat) {
      const auto [left, right] = zk::forks_of(seat, seats);
      ++users[static_cast<std::size_t>(left)];
      ++users[static_cast<std::size_t>(right)];
      std::set<int> sharing;
      for (int other = 0; other < seats; ++other) {
        const auto [first, second] = zk::forks_of(other, seats);
        if (other != seat && (first == left || first == right || second == left || second == right))
          sharing.insert(other);
      }
      const auto neighbours = zk::neighbours_of(seat, seats);
      CHECK(std::set{neighbours.first, neighbours.second} == sharing);
    }
    for (const int count : users) CHECK(count == 2);
  }
}

TEST_CASE("rules have names, and nothing else is one") {
  for (const Rule rule : {Rule::fair, Rule::ordered, Rule::table, Rule::naive})
    CHECK(zk::parse_rule(zk::name_of(rule)) == rule);
  for (const char* other : {"", "Fair", "fair ", "unfair", "0"}) CHECK_FALSE(zk::parse_rule(other));
}

TEST_CASE("who is not ahead of a neighbour eats, unless one eats") {
  const auto nobody = std::nullopt;
  CHECK(may_eat({0, 0}, {}));
  CHECK(may_eat({7, 2}, {}));
  CHECK(may_eat({3, 3}, beside(with_turn(3), with_turn(4))));
  CHECK_FALSE(may_eat({4, 4}, beside(with_turn(3), with_turn(4))));
  CHECK_FALSE(may_eat({4, 4}, beside(with_turn(9), with_turn(3, Phase::hungry))));
  CHECK(may_eat({3, 9}, beside(with_turn(3, Phase::hungry), nobody)));
  CHECK_FALSE(may_eat({3, 3}, beside(nobody, with_turn(4, Phase::eating))));
  CHECK_FALSE(may_eat({3, 3}, beside(with_turn(4, Phase::eating), with_turn(3))));
}

TEST_CASE("each side counts for itself: what the neighbour on the left counts on its right") {
  SeatState left, right;
  left.turns = {90, 5};
  right.turns = {7, 80};
  CHECK(may_eat({5, 7}, beside(left, right)));
  CHECK_FALSE(may_eat({6, 7}, beside(left, right)));
  CHECK_FALSE(may_eat({5, 8}, beside(left, right)));
}

TEST_CASE("who sits down has eaten as often as each neighbour, on that side") {
  SeatState left, right;
  left.turns = {90, 5};
  right.turns = {7, 80};
  CHECK(zk::turns_to_begin_with({}) == Turns{0, 0});
  CHECK(zk::turns_to_begin_with(beside(left, right)) == Turns{5, 7});
  CHECK(zk::turns_to_begin_with(beside(std::nullopt, right)) == Turns{0, 7});
}

TEST_CASE("with `fair` all eat, neighbours never at once, and their meals differ by one at most") {
  for (const int seats : {2, 3, 4, 5, 7, 16, 31})
    for (unsigned seed = 0; seed < 30; ++seed) {
      Ring ring(seats, seed);
      for (int i = 0; i < seats * 400; ++i) {
        ring.step();
        REQUIRE_FALSE(ring.neighbours_eat_at_once());
        REQUIRE_FALSE(ring.meals_apart_by_more_than(1));
        REQUIRE(ring.somebody_may_eat());
      }
      CHECK(ring.fewest_meals() > 10);
    }
}

TEST_CASE("with `fair` deaths and returns leave no deadlock and no two neighbours who eat at once") {
  for (const int seats : {2, 3, 5, 16})
    for (unsigned seed = 0; seed < 30; ++seed) {
      Ring ring(seats, seed);
      for (int i = 0; i < seats * 1000; ++i) {
        ring.step();
        if (i % 37 == 0) ring.change_seats();
        REQUIRE_FALSE(ring.neighbours_eat_at_once());
        REQUIRE(ring.somebody_may_eat());
      }
      // After the last return nobody starves, whatever the turns were.
      ring.all_come();
      ring.begin_to_count();
      for (int i = 0; i < seats * 400; ++i) ring.step();
      CHECK(ring.fewest_meals() > 5);
    }
}

TEST_CASE("with `fair` neighbours who stay are within one meal whoever dies and comes back beside them") {
  for (const int seats : {3, 4, 5, 16}) {
    std::int64_t farthest = 0;
    for (unsigned seed = 0; seed < 30; ++seed) {
      Ring ring(seats, seed);
      for (int i = 0; i < seats * 1000; ++i) {
        ring.step();
        if (i % 37 == 0) ring.change_seats(2);
        farthest = std::max(farthest, ring.apart(0, 1));
      }
    }
    CAPTURE(seats);
    CHECK(farthest == 1);
  }
}

TEST_CASE("a seat's state survives the way through its node") {
  SeatState state;
  state.about = R"({"host":"there","pid":12,"state":"to be replaced"})";
  state.phase = Phase::eating;
  state.since = 1'700'000'000'123;
  state.meals = 41;
  state.turns = {43, 17};
  state.holds = {4, 0};
  state.recent = {{40, 100, 101, 1, 2, 3}, {41, 102, 0, 4, 5, 6}};
  const auto read = SeatState::parse(state.json());
  REQUIRE(read);
  CHECK(read->phase == state.phase);
  CHECK(read->since == state.since);
  CHECK(read->meals == state.meals);
  CHECK(read->turns == state.turns);
  CHECK(read->holds == state.holds);
  CHECK_FALSE(read->waits_for);
  CHECK(read->recent == state.recent);
  const auto object = nlohmann::json::parse(read->about);
  CHECK(object.at("host") == "there");
  CHECK(object.at("state") == "eating");

  state.holds = {4};
  state.waits_for = 0;
  state.phase = Phase::hungry;
  CHECK(SeatState::parse(state.json())->waits_for == 0);
  state.about = "no JSON \xff";
  CHECK(SeatState::parse(state.json())->holds == std::vector{4});
}

TEST_CASE("what is no seat's state is none") {
  for (const char* data : {"",
                           "null",
                           "[]",
                           "{}",
                           "7",
                           "{\"state\":\"eating\"}",
                           R"({"state":"asleep","at":1,"meals":1,"turns":[1,1]})",
                           R"({"state":"eating","at":"1","meals":1,"turns":[1,1]})",
                           R"({"state":"eating","at":1,"meals":[],"turns":[1,1]})",
                           R"({"state":"eating","at":1,"meals":1,"turns":[1]})",
                           R"({"state":"eating","at":1,"meals":1,"turns":1})",
                           R"({"state":7,"at":1,"meals":1,"turns":[1,1]})",
                           R"({"state":"eating","at":1,"meals":1,"turns":[1,1],"holds":"0"})",
                           R"({"state":"eating","at":1,"meals":1,"turns":[1,1],"holds":["0"]})",
                           R"({"state":"eating","at":1,"meals":1,"turns":[1,1],"holds":{"a":{}}})",
                           R"({"state":"hungry","at":1,"meals":1,"turns":[1,1],"waits_for":"1"})",
                           R"({"state":"hungry","at":1,"meals":1,"turns":[1,1],"recent":"x"})",
                           R"({"state":"hungry","at":1,"meals":1,"turns":[1,1],"recent":[1]})",
                           R"({"state":"hungry","at":1,"meals":1,"turns":[1,1],"recent":[[1,2,3,4,5]]})",
                           R"({"state":"hungry","at":1,"meals":1,"turns":[1,1],"recent":[[1,2,3,4,5,"6"]]})",
                           R"({"state":"hungry","at":1,"meals":1,"turns":[1,1],"recent":[[1,2,3,4,5,6,7]]})",
                           "{\"state\":\"hungry\",\"at\":1,\"meals\":1,\"turns\":[1,1]",
                           "\xff\xfe"})
    CHECK_FALSE(SeatState::parse(data));
  const std::string deep(100'000, '[');
  CHECK_FALSE(SeatState::parse(deep));
}

TEST_CASE("a table's state survives the way through its node, and what is none is none") {
  const zk::TableState table{7, Rule::ordered, true};
  const auto read = zk::TableState::parse(table.json());
  REQUIRE(read);
  CHECK(read->seats == 7);
  CHECK(read->rule == Rule::ordered);
  CHECK(read->begun);
  for (const char* data : {"", "{}", "[]", R"({"seats":5,"rule":"rude","begun":false})",
                           R"({"seats":"5","rule":"fair","begun":false})", R"({"seats":5,"rule":"fair","begun":3})"})
    CHECK_FALSE(zk::TableState::parse(data));
}

TEST_CASE("a table has at least two seats and at most as many as there can be") {
  for (const char* data :
       {R"({"seats":-5,"rule":"fair","begun":true})", R"({"seats":0,"rule":"fair","begun":true})",
        R"({"seats":1,"rule":"fair","begun":true})", R"({"seats":2000000000,"rule":"fair","begun":true})"})
    CHECK_FALSE(zk::TableState::parse(data));
}

TEST_CASE("the names of a table's nodes are told from everything else") {
  CHECK(zk::parse_seat(zk::seat_node(12)) == 12);
  for (const char* other : {"", "seat-", "seat-x", "seat--1", "seat-1x", "seat- 1", "fork-1", "seat-99999999999"})
    CHECK_FALSE(zk::parse_seat(other));
  CHECK(zk::parse_record(zk::record_node(3, 1'234'567'890'123)) == std::pair(3, std::int64_t{1'234'567'890'123}));
  for (const char* other : {"", "left-", "left-3", "left-3-", "left--3-1", "left-3-x", "left-x-3", "seat-3-1"})
    CHECK_FALSE(zk::parse_record(other));
}
