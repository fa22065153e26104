#include "screen.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>

#include "error.h"
#include "text.h"

namespace {

constexpr const char* enter =
    "\033[H\033[2J\033[?25l\033[?7l";  // clear; no cursor; long lines do not go on in the next
constexpr const char* leave_all = "\033[?7h\033[?25h\r\n";
constexpr std::size_t any_width = 1000;

struct Size {
  std::size_t rows = 24, columns = 80;
};

Size size_of_terminal() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

struct Look {
  const char *sign, *color;
};

Look look_of(zk::Mark mark) {
  switch (mark) {
    case zk::Mark::appeared:
      return {"+ ", "\033[32m"};
    case zk::Mark::changed:
      return {"~ ", "\033[33m"};
    case zk::Mark::vanished:
      return {"- ", "\033[31;9m"};
    case zk::Mark::none:
      break;
  }
  return {"  ", ""};
}

}  // namespace

Screen::Screen() {
  const char* const no_color = std::getenv("NO_COLOR");
  colored_ = out_.is_terminal() && (no_color == nullptr || *no_color == '\0');
}

std::size_t Screen::height() const {
  return out_.is_terminal() ? size_of_terminal().rows - 1 : static_cast<std::size_t>(-1);
}

std::string Screen::text(const zk::Row& row, std::size_t width) const {
  const std::string start = look_of(row.mark).sign + row.branches + row.name;
  const std::string about = row.about.empty() ? "" : "  " + row.about;
  const std::size_t used = zk::columns(start);
  const std::string first = zk::cut(start, width);
  const std::string second = used < width ? zk::cut(about, width - used) : "";
  if (!colored_) return first + second;
  if (row.mark != zk::Mark::none) return look_of(row.mark).color + first + second + "\033[0m";
  return first + "\033[2m" + second + "\033[0m";
}

void Screen::paint(const std::string& title, const std::vector<zk::Row>& rows, const zk::Until& until) {
  if (!out_.is_terminal()) {
    std::string all = title + "\n";
    for (const auto& row : rows) all += text(row, any_width) + "\n";
    out_.write(all + "\n", until);
    return;
  }
  const auto [height, width] = size_of_terminal();
  std::string all = entered_ ? "\033[H" : enter;
  entered_ = true;
  // What was in a line is erased before it is written: with the cursor in the last column, erasing takes that as well.
  const std::string head = zk::cut(title, width);
  all += "\033[K" + (colored_ ? "\033[1m" + head + "\033[0m" : head);
  for (const auto& row : rows) all += "\r\n\033[K" + text(row, width);
  if (rows.size() + 1 < height) all += "\r\n\033[J";
  out_.write(all, until);
}

bool Screen::in_background() const {
  if (!out_.is_terminal()) return false;
  const pid_t foreground = tcgetpgrp(STDOUT_FILENO);
  return foreground > 0 && foreground != getpgrp();  // negative: it is not the terminal that we were started from
}

void Screen::leave() {
  if (!entered_) return;
  entered_ = false;
  tcflow(STDOUT_FILENO, TCOON);  // if Ctrl-S has stopped it, it would stay without a cursor
  try {
    out_.write(leave_all, zk::Until{}.within(std::chrono::milliseconds(200)));
  } catch (const std::runtime_error&) {  // then nobody looks
  }
}
