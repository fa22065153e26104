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

/// The data of a seat's node.
struct SeatState {
  enum class Phase { thinking, hungry, eating };

  std::string about{};  // JSON: who sits there
  Phase phase = Phase::thinking;
  std::int64_t since = 0;  // of the phase, in milliseconds since 1970
  std::int64_t meals = 0;  // begun
  std::int64_t turn = 0;   // the same, but for who came later or was away; see below
  std::vector<int> holds{};
  std::optional<int> waits_for{};  // a fork
  std::vector<Meal> recent{};      // the last ones, for those who look seldom

  std::string json() const;
  static std::optional<SeatState> parse(const std::string& data);
};

/// The seats beside this one: two, or one at a table of two.
std::vector<int> neighbours_of(int seat, int seats);

/// Left, right.
std::pair<int, int> forks_of(int seat, int seats);

/// The rule `fair`, for one who is hungry, from the neighbours who live: who is not ahead of any of them eats. Their
/// turns never differ by more than one then, and of those who wait the one with the least turn may always eat: no
/// deadlock, and nobody starves.
bool may_eat(std::int64_t turn, const std::vector<SeatState>& neighbours);

/// The turn of one who sits down, so that nobody has to wait until it has caught up.
std::int64_t turn_to_begin_with(const std::vector<SeatState>& neighbours);

/// The turn of one who becomes hungry: who was alone for a while has not saved up meals. Among neighbours who were
/// there all the time it is the number of meals.
std::int64_t turn_when_hungry(std::int64_t turn, const std::vector<SeatState>& neighbours);

}  // namespace zk
