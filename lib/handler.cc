#include "handler.h"

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "bell.h"
#include "error.h"

namespace zk {

namespace {

constexpr int debounces_at_most = 10;

// A file with these contents, to be read from its start; it has no name.
int file_with(const std::string& contents) {
  const int fd = memfd_create("input", MFD_CLOEXEC);
  if (fd < 0) return -1;
  for (std::size_t at = 0; at < contents.size();) {
    const ssize_t size = write(fd, contents.data() + at, contents.size() - at);
    if (size <= 0) break;
    at += static_cast<std::size_t>(size);
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> all;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const auto same = [&](const auto& own) { return text.starts_with(own.first + "="); };
    if (std::none_of(variables.begin(), variables.end(), same)) all.push_back(text);
  }
  for (const auto& [name, value] : variables) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (auto& string : strings) all.push_back(string.data());
  all.push_back(nullptr);
  return all;
}

// The process, or -1 with errno.
pid_t spawn(std::vector<std::string> argv, std::vector<std::string> environment, int input) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, standard;
  sigemptyset(&none);
  sigfillset(&standard);
  sigdelset(&standard, SIGHUP);  // ignored under nohup, and else at its default already
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t process = -1;
  errno =
      posix_spawnp(&process, argv[0].c_str(), &files, &attributes, pointers(argv).data(), pointers(environment).data());
  const int error = errno;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  errno = error;
  return error == 0 ? process : -1;
}

int open_process(pid_t process) { return static_cast<int>(syscall(SYS_pidfd_open, process, 0)); }

bool ends_by(int process, Time deadline, const Bell* bell) {
  for (;;) {
    pollfd sources[] = {{process, POLLIN, 0}, {bell == nullptr ? -1 : bell->fd(), POLLIN, 0}};
    poll(sources, 2, milliseconds_left(deadline));
    if (sources[0].revents != 0) return true;
    if (sources[1].revents != 0 || Clock::now() >= deadline) return false;
  }
}

}  // namespace

Handler::Handler(Handling how) : how_(std::move(how)), thread_([this](const std::stop_token& stop) { work(stop); }) {}

Handler::~Handler() = default;

void Handler::offer(Occasion occasion) {
  const std::lock_guard lock(mutex_);
  last_ = Clock::now();
  if (waiting_.empty()) first_ = last_;
  if (const auto known = newest_.find(occasion.key); known != newest_.end()) {
    const bool began = known->second->begins;
    waiting_.erase(known->second);
    newest_.erase(known);
    // Of what came and went meanwhile nothing is left to handle, nor to remember.
    if (began && occasion.ends) return;
    occasion.begins = began || occasion.begins;
  }
  const std::string key = occasion.key;
  newest_[key] = waiting_.insert(waiting_.end(), std::move(occasion));
  changed_.notify_all();
}

void Handler::withdraw(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto known = newest_.find(key);
  if (known == newest_.end()) return;
  waiting_.erase(known->second);
  newest_.erase(known);
  changed_.notify_all();
}

void Handler::finish(const Until& until) {
  std::unique_lock lock(mutex_);
  hurry_ = true;
  changed_.notify_all();
  const auto finished = [&] { return waiting_.empty() && !running_; };
  while (!finished()) {
    if (until.stop.stop_requested()) throw Stopped("stopped while the command was running");
    if (until.expired()) throw TimedOut("gave up waiting for the command to end");
    changed_.wait_until(lock, until.stop, std::min<Time>(until.deadline, Clock::now() + std::chrono::hours(1)),
                        finished);
  }
}

void Handler::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto due = [&] {
    if (waiting_.empty()) return Time::max();
    return hurry_ ? Time::min() : std::min(last_ + how_.debounce, first_ + debounces_at_most * how_.debounce);
  };
  while (!stop.stop_requested()) {
    if (Clock::now() < due()) {
      const Time next = due();
      changed_.wait_until(lock, stop, std::min<Time>(next, Clock::now() + std::chrono::hours(1)),
                          [&] { return due() != next; });
      continue;
    }
    const Occasion occasion = std::move(waiting_.front());
    waiting_.pop_front();
    newest_.erase(occasion.key);
    running_ = true;
    lock.unlock();
    run(occasion, stop);
    lock.lock();
    running_ = false;
    changed_.notify_all();
    if (++runs_ == how_.most_runs) return;
  }
}

void Handler::run(const Occasion& occasion, const std::stop_token& stop) {
  int status = 126;
  std::string error;
  try {
    status = execute(occasion, stop, error);
  } catch (const std::runtime_error& no_descriptor) {
    error = no_descriptor.what();
  }
  if (how_.ended) how_.ended(occasion, status, error);
}

// Answers the status as a shell would say it, and in `error` why it was not executed.
int Handler::execute(const Occasion& occasion, const std::stop_token& stop, std::string& error) {
  const Bell bell(stop);
  const int input = file_with(occasion.input);
  const pid_t process = spawn(how_.argv, environment_with(occasion.environment), input);
  const int why = errno;
  if (input >= 0) close(input);
  if (process < 0) {
    error = std::strerror(why);
    return why == ENOENT ? 127 : 126;
  }
  const int handle = open_process(process);
  const Time limit = how_.time_limit == Duration::max() ? Time::max() : Clock::now() + how_.time_limit;
  if (handle < 0) {
    error = std::strerror(errno);
    kill(-process, SIGKILL);
  } else if (!ends_by(handle, limit, &bell)) {
    kill(-process, SIGTERM);
    ends_by(handle, Clock::now() + how_.grace, nullptr);
    kill(-process, SIGKILL);
  }
  int status = 0;
  waitpid(process, &status, 0);
  if (handle < 0) return 126;
  close(handle);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace zk
