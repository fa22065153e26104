// What happened at a table of philosophers, put together from what their seats tell, and judged: by the ids of the
// transactions that took and put down the forks, which order everything that happened, and not by what the philosophers
// believe. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "seat.h"

namespace zk {

/// One philosopher from sitting down to leaving. Who comes back begins another.
struct Sitting {
  int seat = 0;
  std::int64_t began = 0;  // transaction id
  std::int64_t alive = 0;  // the last transaction that is known to be its own
  bool over = false;
  std::int64_t left = 0;                 // when we saw that it was, in milliseconds since 1970
  std::string who{};                     // safe to show
  std::int64_t since = 0;                // when we saw it first, in milliseconds since 1970
  SeatState state{};                     // the last one
  std::map<std::int64_t, Meal> meals{};  // by token
  std::int64_t unseen = 0;               // meals of which nothing was seen
};

class Dinner {
 public:
  explicit Dinner(int seats) : seats_(seats) {}

  /// The seat's data as of transaction `at`, of a node that `began` created. May come late, and more than once.
  void note(int seat, const SeatState& state, std::int64_t began, std::int64_t at);
  /// That node has gone; seen at `now`, in milliseconds since 1970.
  void gone(int seat, std::int64_t began, std::int64_t now);

  int seats() const { return seats_; }
  const std::vector<Sitting>& sittings() const { return sittings_; }
  /// Who sits where now; nullptr: nobody.
  std::vector<const Sitting*> present() const;
  bool empty() const;

 private:
  int seats_;
  std::vector<Sitting> sittings_;
};

/// Two neighbours who ate at once: the second took a fork before the first had put it down.
struct Overlap {
  int first, second;  // seats
  Meal earlier, later;
};

struct Verdict {
  struct Seat {
    std::int64_t meals = 0, unseen = 0;
    std::int64_t longest_hunger = 0, mean_hunger = 0;  // milliseconds
  };
  std::vector<Seat> seats;
  std::size_t most_at_once = 0;  // eating
  std::vector<Overlap> overlaps{};
  /// Between neighbours all of whose meals have been seen, counted from when both sat there, as long as both are known
  /// to have lived.
  std::int64_t largest_difference = 0;
};
Verdict judge(const Dinner& dinner);

/// Seats that wait for each other in a ring, each holding what the one before wants, in this order; empty if there is
/// none. From states that may not be of the same moment.
std::vector<int> deadlock(const std::vector<const SeatState*>& seats);

}  // namespace zk
