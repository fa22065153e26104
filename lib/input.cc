#include "input.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "bell.h"
#include "error.h"

namespace zk {

namespace {

using Buffer = std::array<char, 65536>;

// What has come; nothing at the end.
std::string_view read_some(Buffer& buffer, const Bell& bell, const Until& until) {
  for (;;) {
    pollfd sources[] = {{STDIN_FILENO, POLLIN, 0}, {bell.fd(), POLLIN, 0}};
    poll(sources, 2, milliseconds_left(until.deadline));
    if (until.stop.stop_requested()) throw Stopped("stopped while reading standard input");
    if (until.expired()) throw TimedOut("standard input has not ended in time");
    if (sources[0].revents == 0) continue;
    const ssize_t size = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (size >= 0) return {buffer.data(), static_cast<std::size_t>(size)};
    if (errno != EINTR && errno != EAGAIN)
      throw Refused("cannot read standard input: " + std::string(std::strerror(errno)));
  }
}

}  // namespace

Input read_input(std::size_t most, const Until& until) {
  const Bell bell(until.stop);
  Buffer buffer;
  Input input;
  for (;;) {
    const auto some = read_some(buffer, bell, until);
    if (some.empty()) return input;
    input.size += some.size();
    input.bytes += some.substr(0, most - std::min(most, input.bytes.size()));
    input.all = input.size <= 16 * most;
    if (!input.all) return input;
  }
}

std::optional<std::string> Lines::next(const Until& until, std::size_t most) {
  const Bell bell(until.stop);
  Buffer buffer;
  for (std::size_t seen = 0;;) {
    const auto end = rest_.find('\n', seen);
    if (end != std::string::npos) {
      std::string line = rest_.substr(0, end);
      rest_.erase(0, end + 1);
      return line;
    }
    if (rest_.size() > most) throw Refused("a line of standard input has more than " + std::to_string(most) + " bytes");
    if (ended_) return rest_.empty() ? std::nullopt : std::optional(std::exchange(rest_, {}));
    seen = rest_.size();
    const auto some = read_some(buffer, bell, until);
    ended_ = some.empty();
    rest_ += some;
  }
}

void wait_for_end_of_input(const Until& until) {
  const Bell bell(until.stop);
  Buffer buffer;
  try {
    while (!read_some(buffer, bell, until).empty()) {
    }
  } catch (const Refused&) {  // it is closed, say
  }
}

}  // namespace zk
