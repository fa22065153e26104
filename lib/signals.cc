#include "signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

namespace zk {

Signals::Signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // if it was ignored, nobody could learn how a command ended
  struct sigaction hup {};
  sigaction(SIGHUP, nullptr, &hup);
  sigset_t taken;
  sigemptyset(&taken);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH})
    sigaddset(&taken, number);
  if (hup.sa_handler != SIG_IGN) sigaddset(&taken, SIGHUP);
  sigset_t blocked = taken;
  sigaddset(&blocked, SIGTTOU);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  source_ = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::jthread([this](std::stop_token end) { watch(end); });
}

Signals::~Signals() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t size = write(wake_, &one, sizeof one);
  thread_.join();
  close(source_);
  close(wake_);
}

int Signals::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

bool Signals::hand_over(const std::function<void()>& start, std::function<void(int)> pass_on) {
  const std::lock_guard lock(mutex_);
  take_pending();
  if (received_ != 0) return false;
  start();
  pass_on_ = std::move(pass_on);
  return true;
}

void Signals::on_terminal(std::function<void(int)> look) {
  const std::lock_guard lock(mutex_);
  terminal_ = std::move(look);
}

void Signals::take_back() {
  const std::lock_guard lock(mutex_);
  pass_on_ = {};
}

void Signals::watch(std::stop_token end) {
  while (!end.stop_requested()) {
    // Looks without taking: whoever takes a signal holds the mutex until it has been dealt with.
    pollfd sources[] = {{source_, POLLIN, 0}, {wake_, POLLIN, 0}};
    poll(sources, 2, -1);
    const std::lock_guard lock(mutex_);
    take_pending();
  }
}

void Signals::take_pending() {
  signalfd_siginfo info;
  while (read(source_, &info, sizeof info) == sizeof info) handle(static_cast<int>(info.ssi_signo));
}

void Signals::handle(int number) {
  const bool of_terminal = number == SIGWINCH || number == SIGCONT || number == SIGTSTP;
  if (of_terminal && terminal_) terminal_(number);
  if (number == SIGWINCH) return;
  if (pass_on_) {
    if (number != SIGTSTP) pass_on_(number);
  } else if (number == SIGTSTP) {
    kill(getpid(), SIGSTOP);
  } else if (number != SIGCONT) {
    if (received_ == 0) received_ = number;
    stop_.request_stop();
  }
}

}  // namespace zk
