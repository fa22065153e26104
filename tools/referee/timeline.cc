// The timeline as an SVG picture that stands for itself: no script, no outside font.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>

#include "referee.h"
#include "text.h"

namespace {

constexpr int left_margin = 90, right_margin = 30, top_margin = 64, lane_height = 46, bar_height = 24;
constexpr int plot_width = 1100, axis_height = 40;

constexpr const char* thinking_color = "#d8dee9";
constexpr const char* hungry_color = "#f2a541";
constexpr const char* eating_color = "#3a8f5c";
constexpr const char* fork_color = "#5b4b8a";
constexpr const char* deadlock_color = "#c0392b";

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string format(const char* pattern, auto... values) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

class Picture {
 public:
  Picture(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks) : dinner_(dinner), deadlocks_(deadlocks) {
    for (const auto& sitting : dinner.sittings()) {
      reach(sitting.since);
      reach(sitting.state.since);
      reach(sitting.left);
      for (const auto& [token, meal] : sitting.meals) {
        reach(meal.hungry);
        reach(std::max(meal.eating, meal.done));
      }
    }
    for (const auto& deadlock : deadlocks) reach(deadlock.seen);
    if (begin_ > end_) begin_ = end_ = 0;
  }

  std::string draw(const std::string& title) {
    const int height = top_margin + dinner_.seats() * lane_height + axis_height;
    const int width = left_margin + plot_width + right_margin;
    svg_ = format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
        width, height, width, height);
    svg_ += "<text x=\"16\" y=\"26\" font-size=\"18\" font-weight=\"bold\">" + escaped(zk::printable(title, 80)) +
            "</text>\n";
    legend();
    axis();
    for (int seat = 0; seat < dinner_.seats(); ++seat) lane(seat);
    for (const auto& sitting : dinner_.sittings()) bars(sitting);
    hand_overs();
    for (const auto& deadlock : deadlocks_) mark(deadlock);
    return svg_ + "</svg>\n";
  }

 private:
  void reach(std::int64_t time) {
    if (time == 0) return;
    begin_ = std::min(begin_, time);
    end_ = std::max(end_, time);
  }
  double x(std::int64_t time) const {
    const auto whole = static_cast<double>(std::max<std::int64_t>(1, end_ - begin_));
    return left_margin + plot_width * static_cast<double>(time - begin_) / whole;
  }
  static int middle(int seat) { return top_margin + seat * lane_height + lane_height / 2; }

  void legend() {
    int at = left_margin;
    const std::pair<const char*, const char*> entries[] = {
        {"thinking", thinking_color}, {"hungry", hungry_color}, {"eating", eating_color}};
    for (const auto& [word, color] : entries) {
      svg_ +=
          format("<rect x=\"%d\" y=\"38\" width=\"18\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"49\">%s</text>\n",
                 at, color, at + 24, word);
      at += 110;
    }
    svg_ += format(
        "<line x1=\"%d\" y1=\"50\" x2=\"%d\" y2=\"38\" stroke=\"%s\" stroke-width=\"1.5\"/><text x=\"%d\" "
        "y=\"49\">a fork goes to the neighbour</text>\n",
        at, at + 18, fork_color, at + 24);
  }

  void axis() {
    const std::int64_t whole = std::max<std::int64_t>(1, end_ - begin_);
    std::int64_t step = 1;
    for (const int factor : {2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10'000, 60'000, 600'000, 3'600'000})
      if (whole / step > 12) step = factor;
    const int bottom = top_margin + dinner_.seats() * lane_height;
    for (std::int64_t at = 0; at <= whole; at += step) {
      const std::string label =
          step >= 1000 ? format("%gs", static_cast<double>(at) / 1000) : std::to_string(at) + "ms";
      svg_ += format(
          "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#e5e5e5\"/><text x=\"%.1f\" y=\"%d\" "
          "text-anchor=\"middle\" fill=\"#555\">%s</text>\n",
          x(begin_ + at), top_margin, x(begin_ + at), bottom, x(begin_ + at), bottom + 20, label.c_str());
    }
  }

  void lane(int seat) {
    svg_ += format(
        "<text x=\"16\" y=\"%d\">seat %d</text><line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#ccc\"/>\n",
        middle(seat) + 5, seat, left_margin, middle(seat), left_margin + plot_width, middle(seat));
  }

  void bar(int seat, std::int64_t from, std::int64_t to, const char* color, const std::string& title) {
    if (from == 0 || to <= from) return;
    svg_ += format("<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\">", x(from),
                   middle(seat) - bar_height / 2, std::max(0.5, x(to) - x(from)), bar_height, color);
    svg_ += "<title>" + escaped(title) + "</title></rect>\n";
  }

  void bars(const zk::Sitting& sitting) {
    const std::string who = "seat " + std::to_string(sitting.seat) + ", " + sitting.who;
    const std::int64_t end = sitting.over ? sitting.left : end_;
    std::int64_t thinking_since = sitting.since;
    for (const auto& [token, meal] : sitting.meals) {
      const std::string what = ", meal " + std::to_string(meal.number) + ", token " + std::to_string(token);
      bar(sitting.seat, thinking_since, meal.hungry, thinking_color, who + " thinking");
      bar(sitting.seat, meal.hungry, meal.eating, hungry_color, who + what + ": hungry");
      // One who died while eating did not say when that was.
      const auto done = meal.done != 0 ? meal.done : end;
      bar(sitting.seat, meal.eating, done, eating_color, who + what + ": eating");
      thinking_since = done;
    }
    const bool hungry = sitting.state.phase == zk::SeatState::Phase::hungry;
    if (hungry) bar(sitting.seat, thinking_since, sitting.state.since, thinking_color, who + " thinking");
    bar(sitting.seat, hungry ? sitting.state.since : thinking_since, end, hungry ? hungry_color : thinking_color,
        who + (hungry ? " hungry" : " thinking"));
  }

  // From the end of a meal to the beginning of the next one with the same fork, by the neighbour.
  void hand_overs() {
    struct Use {
      int seat;
      zk::Meal meal;
    };
    std::map<int, std::map<std::int64_t, Use>> forks;
    for (const auto& sitting : dinner_.sittings())
      for (const auto& [token, meal] : sitting.meals) {
        const auto [left, right] = zk::forks_of(sitting.seat, dinner_.seats());
        forks[left][token] = forks[right][token] = {sitting.seat, meal};
      }
    for (const auto& [fork, uses] : forks) {
      const Use* last = nullptr;
      for (const auto& [token, use] : uses) {
        if (last != nullptr && last->seat != use.seat && last->meal.done != 0)
          hand_over(last->seat, last->meal.done, use.seat, use.meal.eating);
        last = &use;
      }
    }
  }
  void hand_over(int from, std::int64_t done, int to, std::int64_t eating) {
    // The last seat is beside the first: such a line leaves the picture on one side and comes in on the other.
    const bool around = std::abs(from - to) > 1;
    const int out = around ? edge(from, from < to ? -1 : dinner_.seats()) : edge(from, to);
    const int in = around ? edge(to, to < from ? -1 : dinner_.seats()) : edge(to, from);
    const int beyond = around ? (from < to ? -9 : 9) : 0;
    if (around) {
      line(x(done), out, x(done), out + beyond);
      line(x(eating), in - beyond, x(eating), in);
    } else {
      line(x(done), out, x(eating), in);
    }
    svg_ += format("<circle cx=\"%.2f\" cy=\"%d\" r=\"2\" fill=\"%s\"/>\n", x(eating), in, fork_color);
  }
  void line(double x1, int y1, double x2, int y2) {
    svg_ += format(
        "<line x1=\"%.2f\" y1=\"%d\" x2=\"%.2f\" y2=\"%d\" stroke=\"%s\" stroke-width=\"1.2\" "
        "stroke-opacity=\"0.7\"/>\n",
        x1, y1, x2, y2, fork_color);
  }
  static int edge(int seat, int towards) { return middle(seat) + (towards > seat ? 1 : -1) * bar_height / 2; }

  void mark(const Deadlock& deadlock) {
    svg_ += format(
        "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"%s\" stroke-width=\"2\" stroke-dasharray=\"5 3\"/>"
        "<text x=\"%.1f\" y=\"%d\" fill=\"%s\" text-anchor=\"end\">deadlock</text>\n",
        x(deadlock.seen), top_margin, x(deadlock.seen), top_margin + dinner_.seats() * lane_height, deadlock_color,
        x(deadlock.seen) - 4, top_margin + 4, deadlock_color);
  }

  const zk::Dinner& dinner_;
  const std::vector<Deadlock>& deadlocks_;
  std::int64_t begin_ = std::numeric_limits<std::int64_t>::max(), end_ = 0;
  std::string svg_;
};

}  // namespace

std::string timeline(const zk::Dinner& dinner, const std::vector<Deadlock>& deadlocks, const std::string& title) {
  return Picture(dinner, deadlocks).draw(title);
}
