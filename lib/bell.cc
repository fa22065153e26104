#include "bell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace zk {

void Bell::Ring::operator()() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t size = write(fd, &one, sizeof one);
}

Bell::Bell(const std::stop_token& stop) : fd_(eventfd(0, EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::runtime_error("cannot wait: " + std::string(std::strerror(errno)));
  ring_.emplace(stop, Ring{fd_});
}

Bell::~Bell() {
  ring_.reset();  // first: it may be ringing
  close(fd_);
}

int milliseconds_left(Time deadline) {
  const Duration left = std::min<Duration>(deadline - Clock::now(), std::chrono::hours(1));
  return std::max(0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
}

}  // namespace zk
