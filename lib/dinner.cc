#include "dinner.h"

#include <algorithm>
#include <limits>

#include "identity.h"

namespace zk {

namespace {

using Phase = SeatState::Phase;

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// Every meal at the table in the order of the tokens.
struct Eaten {
  const Sitting* by;
  Meal meal;
};

std::vector<Eaten> in_order(const Dinner& dinner) {
  std::vector<Eaten> all;
  for (const auto& sitting : dinner.sittings())
    for (const auto& [token, meal] : sitting.meals) all.push_back({&sitting, meal});
  std::ranges::sort(all, {}, [](const Eaten& eaten) { return eaten.meal.token; });
  return all;
}

bool are_neighbours(int a, int b, int seats) {
  const auto [left, right] = neighbours_of(a, seats);
  return b == left || b == right;
}

// When its forks were free again. One who died while eating never said; its neighbours got them, or nobody yet.
std::int64_t end_of(const Eaten& eaten, const std::vector<Eaten>& all, int seats) {
  if (eaten.meal.put != 0) return eaten.meal.put;
  for (const auto& other : all)
    if (other.meal.token > eaten.meal.token &&
        (other.by->seat == eaten.by->seat || are_neighbours(other.by->seat, eaten.by->seat, seats)))
      return eaten.by->over ? other.meal.token : never;
  return never;
}

std::size_t most_at_once(const std::vector<Eaten>& all, int seats) {
  std::vector<std::pair<std::int64_t, int>> changes;  // ends before beginnings of the same transaction
  for (const auto& eaten : all) {
    changes.emplace_back(eaten.meal.token, 1);
    const auto end = end_of(eaten, all, seats);
    if (end != never) changes.emplace_back(end, -1);
  }
  std::ranges::sort(changes);
  int now = 0, most = 0;
  for (const auto& change : changes) most = std::max(most, now += change.second);
  return static_cast<std::size_t>(most);
}

std::vector<Overlap> overlaps(const std::vector<Eaten>& all, int seats) {
  std::vector<Overlap> found;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [by, meal] = all[i];
    // Of one who died nobody knows but the server, which gave the fork to another one only when it was free.
    const auto end = meal.put == 0 && by->over ? meal.token : end_of(all[i], all, seats);
    for (std::size_t j = i + 1; j < all.size() && all[j].meal.token < end; ++j)
      if (are_neighbours(by->seat, all[j].by->seat, seats))
        found.push_back({by->seat, all[j].by->seat, meal, all[j].meal});
  }
  return found;
}

std::int64_t largest_difference(const Sitting& a, const Sitting& b) {
  const auto begin = std::max(a.began, b.began);
  const auto end = std::min(a.alive, b.alive);
  std::vector<std::pair<std::int64_t, int>> meals;
  for (const auto& [token, meal] : a.meals) meals.emplace_back(token, 1);
  for (const auto& [token, meal] : b.meals) meals.emplace_back(token, -1);
  std::ranges::sort(meals);
  std::int64_t difference = 0, largest = 0;
  for (const auto& [token, change] : meals) {
    if (token < begin || token > end) continue;
    difference += change;
    largest = std::max(largest, std::abs(difference));
  }
  return largest;
}

}  // namespace

std::vector<const Sitting*> Dinner::present() const {
  std::vector<const Sitting*> there(static_cast<std::size_t>(seats_), nullptr);
  for (const auto& sitting : sittings_)
    if (!sitting.over) there[static_cast<std::size_t>(sitting.seat)] = &sitting;
  return there;
}

bool Dinner::empty() const {
  return std::ranges::all_of(sittings_, [](const Sitting& sitting) { return sitting.over; });
}

void Dinner::note(int seat, const SeatState& state, std::int64_t began, std::int64_t at) {
  if (seat < 0 || seat >= seats_) return;
  auto found = std::ranges::find_if(
      sittings_, [&](const Sitting& sitting) { return sitting.seat == seat && sitting.began == began; });
  if (found == sittings_.end()) {
    const auto who = Identity::parse(state.about);
    sittings_.push_back(
        {.seat = seat, .began = began, .who = who ? who->shown() : "somebody", .since = state.since, .state = state});
    found = sittings_.end() - 1;
  }
  if (at < found->alive) return;
  found->alive = at;
  for (auto meal : state.recent) {
    if (meal.put == 0) meal.put = at;  // the newest: put down by this very transaction
    found->meals[meal.token] = meal;
  }
  if (state.phase == Phase::eating) {  // taken by this very transaction
    const auto hungry = found->state.phase == Phase::hungry ? found->state.since : state.since;
    found->meals.try_emplace(at, Meal{.number = state.meals, .token = at, .hungry = hungry, .eating = state.since});
  }
  // Of an older one that is not among the recent ones we shall never hear when its forks were put down.
  std::erase_if(found->meals, [&](const auto& entry) {
    const auto& [token, meal] = entry;
    return meal.put == 0 && token != at && meal.number < state.meals;
  });
  found->unseen = state.meals - static_cast<std::int64_t>(found->meals.size());
  found->state = state;
}

void Dinner::gone(int seat, std::int64_t began, std::int64_t now) {
  for (auto& sitting : sittings_) {
    if (sitting.seat != seat || sitting.began != began || sitting.over) continue;
    sitting.over = true;
    sitting.left = now;
  }
}

Verdict judge(const Dinner& dinner) {
  const auto all = in_order(dinner);
  Verdict verdict{.seats = std::vector<Verdict::Seat>(static_cast<std::size_t>(dinner.seats()))};
  for (const auto& sitting : dinner.sittings()) {
    auto& seat = verdict.seats[static_cast<std::size_t>(sitting.seat)];
    seat.meals += sitting.state.meals;
    seat.unseen += sitting.unseen;
    for (const auto& [token, meal] : sitting.meals) {
      seat.longest_hunger = std::max(seat.longest_hunger, meal.eating - meal.hungry);
      seat.mean_hunger += meal.eating - meal.hungry;
    }
  }
  for (auto& seat : verdict.seats)
    if (seat.meals > seat.unseen) seat.mean_hunger /= seat.meals - seat.unseen;
  verdict.most_at_once = most_at_once(all, dinner.seats());
  verdict.overlaps = overlaps(all, dinner.seats());
  for (const auto& a : dinner.sittings())
    for (const auto& b : dinner.sittings())
      // Whose meals have not all been seen, nobody can tell how far they were apart.
      if (&a < &b && are_neighbours(a.seat, b.seat, dinner.seats()) && a.unseen == 0 && b.unseen == 0)
        verdict.largest_difference = std::max(verdict.largest_difference, largest_difference(a, b));
  return verdict;
}

std::vector<int> deadlock(const std::vector<const SeatState*>& seats) {
  const auto holder = [&](int fork) {
    for (std::size_t seat = 0; seat < seats.size(); ++seat)
      if (seats[seat] != nullptr && std::ranges::find(seats[seat]->holds, fork) != seats[seat]->holds.end())
        return static_cast<int>(seat);
    return -1;
  };
  for (std::size_t start = 0; start < seats.size(); ++start) {
    std::vector<int> ring;
    for (int seat = static_cast<int>(start); seat >= 0;) {
      if (const auto again = std::ranges::find(ring, seat); again != ring.end()) return {again, ring.end()};
      ring.push_back(seat);
      const auto* const state = seats[static_cast<std::size_t>(seat)];
      if (state == nullptr || state->phase != Phase::hungry || state->holds.empty() || !state->waits_for) break;
      seat = holder(*state->waits_for);
    }
  }
  return {};
}

}  // namespace zk
