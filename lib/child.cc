#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "deadman.h"
#include "error.h"

namespace zk {

namespace {

// How often to look whether the terminal is ours again, while a suspended command waits for it: nothing tells us.
constexpr int terminal_again_milliseconds = 200;

// Whether the command should have the terminal from its start. Not in a pipeline, whose other members need it (`zk-lock
// ... | less`); and not if its input is something else, which may come from one of them.
bool reads_terminal() {
  struct stat out {};
  return isatty(STDIN_FILENO) == 1 && (fstat(STDOUT_FILENO, &out) != 0 || !S_ISFIFO(out.st_mode));
}

bool in_foreground(int terminal) { return terminal >= 0 && tcgetpgrp(terminal) == getpgrp(); }

void send_order(int link, Order::Kind kind, std::int64_t value) {
  const Order order{kind, value, 0, false};
  send(link, &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Should somebody have suspended it. Through a pidfd, the signal cannot reach a stranger.
void resume(int handle) { syscall(SYS_pidfd_send_signal, handle, SIGCONT, nullptr, 0); }

int shell_status(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

}  // namespace

Child::Child(std::vector<std::string> argv) : argv_(std::move(argv)) {
  std::vector<char*> pointers;
  for (auto& word : argv_) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  struct sigaction hup {};
  sigaction(SIGHUP, nullptr, &hup);
  int link[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0)
    throw Refused(std::string("cannot start a command: ") + std::strerror(errno));
  terminal_ = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  // Should the deadman be killed, its children become ours, and we end them.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  deadman_ = fork();
  if (deadman_ == 0) run_deadman({pointers.data(), link[1], terminal_, hup.sa_handler == SIG_IGN});
  const int why = errno;
  close(link[1]);
  link_ = link[0];
  if (deadman_ > 0) deadman_handle_ = static_cast<int>(syscall(SYS_pidfd_open, deadman_, 0));
  if (deadman_ > 0) return;
  close(link_);
  if (terminal_ >= 0) close(terminal_);
  throw Refused(std::string("cannot start a command: ") + std::strerror(why));
}

void Child::keep(const Will& will) {
  const Order order{Order::Kind::will, 0, 0, false};
  const std::string message = std::string(reinterpret_cast<const char*>(&order), sizeof order) + will.encode();
  send(link_, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Child::start(const Start& how) {
  const Order order{Order::Kind::start, how.deadline.time_since_epoch().count(), how.grace.count(),
                    reads_terminal() && in_foreground(terminal_)};
  std::string message(reinterpret_cast<const char*>(&order), sizeof order);
  for (const auto& [name, value] : how.environment) message.append(name).append("=").append(value).push_back('\0');
  if (message.size() > longest_order ||
      (send(link_, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EMSGSIZE))
    throw Refused("the names of the locks are too long for the command's environment");
}

Child::~Child() {
  keep({});  // whoever comes here closes the session by itself
  if (link_ >= 0) close(link_);
  if (deadman_ > 0) {
    resume(deadman_handle_);
    waitpid(deadman_, nullptr, 0);
  }
  if (deadman_handle_ >= 0) close(deadman_handle_);
  if (terminal_ >= 0) close(terminal_);
}

void Child::extend(Time deadline) { send_order(link_, Order::Kind::deadline, deadline.time_since_epoch().count()); }

void Child::signal(int number) { send_order(link_, Order::Kind::signal, number); }

void Child::stop() {
  send_order(link_, Order::Kind::stop, 0);
  resume(deadman_handle_);
}

bool Child::give_terminal() {
  if (!in_foreground(terminal_)) return false;
  tcsetpgrp(terminal_, group_);
  signal(SIGCONT);
  return true;
}

Ended Child::wait(const std::function<void(int)>& suspended) {
  Ended ended;
  bool known = false;
  bool wants_terminal = false;
  while (!known) {
    pollfd news{link_, POLLIN, 0};
    if (wants_terminal && poll(&news, 1, terminal_again_milliseconds) == 0) {
      wants_terminal = !give_terminal();
      continue;
    }
    Report report{};
    const ssize_t size = recv(link_, &report, sizeof report, 0);
    // A reset says that the deadman ended without reading an order of ours; its last report comes next.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (size != sizeof report) break;  // the deadman is dead, and with it the command (PR_SET_PDEATHSIG)
    switch (report.kind) {
      case Report::Kind::started:
        group_ = static_cast<pid_t>(report.value);
        break;
      case Report::Kind::stopped: {
        const int signal = static_cast<int>(report.value);
        const bool for_terminal = signal == SIGTTIN || signal == SIGTTOU;
        wants_terminal = for_terminal && !give_terminal();
        if (wants_terminal || !for_terminal) suspended(signal);
        break;
      }
      case Report::Kind::not_executable:
        ended.status = report.value == ENOENT ? 127 : 126;
        ended.error = std::strerror(static_cast<int>(report.value));
        known = true;
        break;
      case Report::Kind::ended:
        ended = {shell_status(static_cast<int>(report.value)), {}, report.cut_short, report.left};
        if (terminal_ >= 0 && tcgetpgrp(terminal_) == group_ &&
            (ended.status == 128 + SIGINT || ended.status == 128 + SIGQUIT))
          ended.interrupt = ended.status - 128;
        known = true;
        break;
    }
  }
  if (!known) {
    waitpid(deadman_, nullptr, 0);
    deadman_ = -1;
    kill_descendants(getpid());
    ended = {128 + SIGKILL, "its guard was killed", true, 0};
  }
  // Ours again, whoever had it last.
  if (terminal_ >= 0 && tcgetpgrp(terminal_) != getpgrp() && (group_ <= 0 || tcgetpgrp(terminal_) == group_))
    tcsetpgrp(terminal_, getpgrp());
  return ended;
}

}  // namespace zk
