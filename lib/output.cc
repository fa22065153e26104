#include "output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "bell.h"
#include "error.h"

namespace zk {

Output::Output() : fd_(STDOUT_FILENO), terminal_(isatty(STDOUT_FILENO) == 1) {
  struct stat status {};
  if (fstat(STDOUT_FILENO, &status) != 0) return;
  socket_ = S_ISSOCK(status.st_mode);
  const bool writable = (fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) != O_RDONLY;
  if (!writable || (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))) return;
  // Opened anew, so that it can be written to without blocking although others share the descriptor.
  const int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return;
  fd_ = fd;
  own_ = true;
}

Output::~Output() {
  watch_ = {};
  if (own_) close(fd_);
}

void Output::write(std::string_view text, const Until& until) {
  while (!text.empty()) {
    const ssize_t size = socket_ ? send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                                 : ::write(fd_, text.data(), text.size());
    if (size >= 0) {
      text.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno == EAGAIN) {
      wait(POLLOUT, until);
      if (until.stop.stop_requested()) throw Stopped("stopped while writing to standard output");
      if (until.expired()) throw TimedOut("nobody reads standard output");
    } else if (errno == EPIPE || (errno == EIO && terminal_)) {
      throw ReaderGone("nobody reads standard output any more");
    } else if (errno != EINTR) {
      throw std::runtime_error("cannot write to standard output: " + std::string(std::strerror(errno)));
    }
  }
}

void Output::when_reader_goes(std::function<void()> gone) {
  watch_ = std::jthread([this, gone = std::move(gone)](const std::stop_token& stop) {
    try {
      while (!stop.stop_requested())
        if (wait(0, {Time::max(), stop})) {
          gone();
          return;
        }
    } catch (const std::runtime_error&) {  // no descriptor left: the next write will tell
    }
  });
}

// Answers whether the descriptor has something to say: room, or that its reader has gone.
bool Output::ready() const {
  pollfd source{fd_, POLLOUT, 0};
  return poll(&source, 1, 0) == 1;
}

void Backlog::add(const std::string& text) {
  if (failed_) return;
  if (unsaid_.size() + text.size() > most_ && !unsaid_.empty())
    ++missing_;
  else
    unsaid_ += text;
  try {
    write();
  } catch (const std::runtime_error&) {
    failed_ = std::current_exception();
  }
}

void Backlog::write() {
  constexpr std::size_t piece = 4096;  // what a pipe that is ready takes
  while (!unsaid_.empty() && out_.ready()) {
    out_.write(std::string_view(unsaid_).substr(0, piece), Until{}.within(std::chrono::seconds(1)));
    unsaid_.erase(0, piece);
    if (unsaid_.empty() && missing_ > 0) unsaid_ = left_out_(std::exchange(missing_, 0));
  }
}

void Backlog::finish(const Until& until) {
  if (failed_) std::rethrow_exception(failed_);
  if (missing_ > 0) unsaid_ += left_out_(std::exchange(missing_, 0));
  out_.write(std::exchange(unsaid_, {}), until);
}

bool Output::wait(short events, const Until& until) {
  const Bell bell(until.stop);
  pollfd sources[] = {{fd_, events, 0}, {bell.fd(), POLLIN, 0}};
  poll(sources, 2, milliseconds_left(until.deadline));
  return (sources[0].revents & (events | POLLERR | POLLHUP)) != 0;
}

}  // namespace zk
