#include <cstdio>
#include <nlohmann/json.hpp>

#include "referee.h"
#include "text.h"
#include "wall_clock.h"

namespace {

using Phase = zk::SeatState::Phase;

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, zk::columns(text)), ' ');
}

const char* word_of(Phase phase) {
  switch (phase) {
    case Phase::thinking:
      return "thinking";
    case Phase::hungry:
      return "hungry";
    case Phase::eating:
      return "eating";
  }
  return "";
}

std::string milliseconds(std::int64_t time) { return std::to_string(time) + "ms"; }

// The last who sat there.
std::string who(const zk::Dinner& dinner, int seat) {
  std::string name;
  for (const auto& sitting : dinner.sittings())
    if (sitting.seat == seat) name = sitting.who;
  return name;
}

}  // namespace

std::string in_words(const Deadlock& deadlock, int seats) {
  std::string words;
  for (const int seat : deadlock.ring) {
    const auto [left, right] = zk::forks_of(seat, seats);
    words += (words.empty() ? "" : "; ");
    words += "seat " + std::to_string(seat) + " holds fork " + std::to_string(left) + " and waits for fork " +
             std::to_string(right);
  }
  return words;
}

std::string text_report(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks) {
  const auto verdict = zk::judge(dinner);
  std::string text = "seat  meals   longest hunger  mean hunger  who\n";
  std::int64_t unseen = 0;
  for (std::size_t i = 0; i < verdict.seats.size(); ++i) {
    const auto& seat = verdict.seats[i];
    text += padded(std::to_string(i), 6) + padded(std::to_string(seat.meals), 8) +
            padded(milliseconds(seat.longest_hunger), 16) + padded(milliseconds(seat.mean_hunger), 13) +
            who(dinner, static_cast<int>(i)) + "\n";
    unseen += seat.unseen;
  }
  text += "eating at once: " + std::to_string(verdict.most_at_once) + " at most\n";
  text += "neighbours eating at once: ";
  text += verdict.overlaps.empty()
              ? "never\n"
              : zk::counted(static_cast<std::int64_t>(verdict.overlaps.size()), "time", "times") + "!\n";
  for (const auto& overlap : verdict.overlaps)
    text += "  seat " + std::to_string(overlap.second) + " took its forks with token " +
            std::to_string(overlap.later.token) + " while seat " + std::to_string(overlap.first) + " ate with token " +
            std::to_string(overlap.earlier.token) + "\n";
  text += "neighbours' meals were apart by: " + std::to_string(verdict.largest_difference) + " at most\n";
  text += "deadlocks: " + (deadlocks.empty() ? "none" : std::to_string(deadlocks.size())) + "\n";
  for (const auto& deadlock : deadlocks)
    text += "  " + zk::local_time(deadlock.seen) + "  " + in_words(deadlock, dinner.seats()) + "\n";
  if (unseen > 0) text += "not judged, because they were not seen: " + zk::counted(unseen, "meal", "meals") + "\n";
  return text;
}

std::string json_report(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks) {
  using Json = nlohmann::ordered_json;
  const auto verdict = zk::judge(dinner);
  Json object{{"time", zk::iso_time(zk::wall_clock(), true)}, {"event", "report"}, {"seats", Json::array()}};
  for (std::size_t i = 0; i < verdict.seats.size(); ++i) {
    const auto& seat = verdict.seats[i];
    object["seats"].push_back({{"seat", i},
                               {"who", who(dinner, static_cast<int>(i))},
                               {"meals", seat.meals},
                               {"longest_hunger_ms", seat.longest_hunger},
                               {"mean_hunger_ms", seat.mean_hunger},
                               {"unseen", seat.unseen}});
  }
  object["most_at_once"] = verdict.most_at_once;
  object["overlaps"] = Json::array();
  for (const auto& overlap : verdict.overlaps)
    object["overlaps"].push_back({{"seats", {overlap.first, overlap.second}},
                                  {"tokens", {overlap.earlier.token, overlap.later.token}},
                                  {"put", overlap.earlier.put}});
  object["largest_difference"] = verdict.largest_difference;
  object["deadlocks"] = Json::array();
  for (const auto& deadlock : deadlocks)
    object["deadlocks"].push_back({{"time", zk::iso_time(deadlock.seen, true)}, {"seats", deadlock.ring}});
  return object.dump() + "\n";
}

std::string board(const std::string& table, const zk::Dinner& dinner, std::int64_t now) {
  std::string text = zk::printable(table, 100) + "  " + zk::local_time(now).substr(0, 8) + "\n";
  const auto present = dinner.present();
  for (std::size_t i = 0; i < present.size(); ++i) {
    const auto* const sitting = present[i];
    text += padded(std::to_string(i), 4);
    if (sitting == nullptr) {
      text += "(nobody)\n";
      continue;
    }
    const auto& state = sitting->state;
    text += padded(word_of(state.phase), 10) + padded(zk::counted(state.meals, "meal", "meals"), 12);
    std::string forks;
    for (const int fork : state.holds) forks += " " + std::to_string(fork);
    text += padded(forks.empty() ? "" : "holds" + forks, 12);
    if (state.waits_for) text += "waits for " + std::to_string(*state.waits_for);
    text += "\n";
  }
  return text;
}
