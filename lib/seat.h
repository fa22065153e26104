// A philosopher's seat at a table with a fork between each two: its state, and whether it may eat. Pure.
//
// Seat i has the forks i, on its left, and i+1, on its right; the last seat's right fork is fork 0.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zk {

/// How forks are taken. All but naive are free of deadlock.
enum class Rule {
  fair,     // both at once, by who is not ahead of a neighbour: nobody starves
  ordered,  // one after the other, the lower number first
  table,    // both, under a lock of the whole table
  naive,    // the left one, then the right one: a deadlock, one day
};
std::string_view name_of(Rule rule);
std::optional<Rule> parse_rule(std::string_view name);

/// A meal that has been eaten. The tokens are the ids of the transactions that took and put down the forks: by them
/// meals are in order, whatever the clocks say. The times are milliseconds since 1970 by the philosopher's clock.
struct Meal {
  std::int64_t number = 0;  // from 1, of this philosopher
  std::int64_t token = 0;   // fencing token: rises from holder to holder of a fork
  std::int64_t put = 0;     // 0: not known yet
  std::int64_t hungry = 0, eating = 0, done = 0;

  bool operator==(const Meal&) const = default;
};

/// How often one has eaten with each of its forks, as its neighbour on that side counts: whoever sits down takes over
/// the neighbour's count, and has eaten as often as that one.
struct Turns {
  std::int64_t left = 0, right = 0;

  bool operator==(const Turns&) const = default;
};

/// At a table of more than that nobody would sit.
constexpr int most_seats = 1000;

/// The data of a seat's node.
struct SeatState {
  enum class Phase { thinking, hungry, eating };

  std::string about{};  // JSON: who sits there
  Phase phase = Phase::thinking;
  std::int64_t since = 0;  // of the phase, in milliseconds since 1970
  std::int64_t meals = 0;  // begun
  Turns turns{};
  std::vector<int> holds{};
  std::optional<int> waits_for{};  // a fork
  std::vector<Meal> recent{};      // the last ones, for those who look seldom

  std::string json() const;
  static std::optional<SeatState> parse(const std::string& data);
};

/// Who sits on the left and on the right: at a table of two the same one.
struct Beside {
  std::optional<SeatState> left, right;
};

/// The seats on the left and on the right.
std::pair<int, int> neighbours_of(int seat, int seats);

/// Left, right.
std::pair<int, int> forks_of(int seat, int seats);

/// The rule `fair`: who is not ahead of a neighbour who is there may eat, if none of them does. Their meals, since both
/// sit there, never differ by more than one then. No deadlock, and nobody starves: of all who wait for each other one
/// is behind none of its neighbours' counts, for these counts are of pairs, and around a table they cannot all be ahead
/// of the next.
bool may_eat(const Turns& turns, const Beside& others);

/// Of one who sits down: as often as each neighbour, so that nobody has to wait until it has caught up.
Turns turns_to_begin_with(const Beside& others);

}  // namespace zk
