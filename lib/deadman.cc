#include "deadman.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "will.h"

namespace zk {

namespace {

// Between two rounds of killing, should a process have been forked between the look and the kill.
constexpr Duration kill_again = std::chrono::milliseconds(5);

// {parent, is it dead already} of a process; {-1, true} if there is none.
std::pair<pid_t, bool> parent_of_process(const char* pid) {
  const std::string name = std::string("/proc/") + pid + "/stat";
  const int fd = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {-1, true};
  char text[512];
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return {-1, true};
  text[size] = '\0';
  const char* after_name = std::strrchr(text, ')');  // a name may contain anything, also ')'
  char state = 'X';
  int parent = -1;
  if (after_name == nullptr || std::sscanf(after_name + 1, " %c %d", &state, &parent) != 2) return {-1, true};
  return {parent, state == 'Z' || state == 'X'};
}

// Every living process below `root`, itself not included.
std::vector<pid_t> descendants(pid_t root) {
  struct Process {
    pid_t pid, parent;
    bool dead;
  };
  std::vector<Process> all;
  if (DIR* const directory = opendir("/proc")) {
    while (const dirent* const entry = readdir(directory)) {
      if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
      const auto [parent, dead] = parent_of_process(entry->d_name);
      if (parent > 0) all.push_back({static_cast<pid_t>(std::atoi(entry->d_name)), parent, dead});
    }
    closedir(directory);
  }
  std::vector<pid_t> known{root};
  std::vector<pid_t> alive;
  for (std::size_t i = 0; i < known.size(); ++i) {
    for (const auto& process : all) {
      if (process.parent != known[i]) continue;
      known.push_back(process.pid);
      if (!process.dead) alive.push_back(process.pid);
    }
  }
  return alive;
}

// Every descriptor but 0, 1, 2 closes itself when the command is executed.
void close_on_exec() {
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  const long most = sysconf(_SC_OPEN_MAX);
  for (int fd = 3; fd < most; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Neither our name nor our command line is the tool's: whoever kills that by either, or stops it, must not hit us as
// well.
void hide_from_pkill() {
  constexpr std::string_view name = "lease-guard";
  prctl(PR_SET_NAME, name.data());
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 48; ++field) fields >> skipped;
  std::uintptr_t begin = 0, end = 0;
  if (!(fields >> begin >> end) || begin == 0 || end <= begin) return;
  auto* const words = reinterpret_cast<char*>(begin);  // our copy of main's argv
  std::memset(words, 0, end - begin);
  std::memcpy(words, name.data(), std::min(name.size(), end - begin - 1));
}

struct Beginning {
  const DeadmanPlan& plan;
  char* const* environment;
  bool give_the_terminal;
  pid_t deadman;
  int failure;  // where to write the errno of a command that cannot be executed; closed when one is
};

// In a child that may share our memory until it executes the command.
[[noreturn, gnu::noinline]] void become_command(const Beginning& beginning) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != beginning.deadman) _exit(127);
  if (beginning.give_the_terminal) tcsetpgrp(beginning.plan.terminal, getpid());  // SIGTTOU is still blocked
  // By the system call: the library refuses to touch two of them, which the tool may have inherited ignored.
  const unsigned char by_default[32] =
      {};  // what the kernel takes for a handler, flags, restorer and mask: SIG_DFL, none
  for (int signal = 1; signal < NSIG; ++signal)
    if (signal != SIGHUP || !beginning.plan.keep_hup_ignored)
      syscall(SYS_rt_sigaction, signal, by_default, nullptr, sizeof(std::uint64_t));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  close_on_exec();
  execvpe(beginning.plan.argv[0], beginning.plan.argv, beginning.environment);
  const int why = errno;
  [[maybe_unused]] const ssize_t size = write(beginning.failure, &why, sizeof why);
  _exit(127);
}

// Our environment with the variables that `added` brings, NUL after each, in place of those of the same names.
std::vector<std::string> environment_with(std::string_view added) {
  std::vector<std::string> all;
  for (auto end = added.find('\0'); end != std::string_view::npos; end = added.find('\0')) {
    all.emplace_back(added.substr(0, end));
    added.remove_prefix(end + 1);
  }
  const std::size_t count = all.size();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto name = text.substr(0, text.find('=') + 1);
    if (std::none_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count),
                     [&](const std::string& other) { return other.starts_with(name); }))
      all.emplace_back(text);
  }
  return all;
}

class Deadman {
 public:
  explicit Deadman(const DeadmanPlan& plan) : plan_(plan) {}

  [[noreturn]] void run() {
    prepare();
    await_start();
    for (;;) {
      set_timer();
      pollfd sources[] = {{tool_gone_ ? -1 : plan_.link, POLLIN, 0}, {children_, POLLIN, 0}, {timer_, POLLIN, 0}};
      poll(sources, 3, -1);
      if (sources[0].revents != 0) take_orders();
      if (sources[1].revents != 0) look_after_children();
      keep_time();
      if (command_ended_) finish_if_all_is_done();
    }
  }

 private:
  void prepare() {
    hide_from_pkill();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setpgid(0, 0);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    // Nothing of the tool's stays open here, its connection least of all.
    const int keep = std::max(plan_.link, plan_.terminal);
    for (int fd = 3; fd < keep; ++fd)
      if (fd != plan_.link && fd != plan_.terminal) close(fd);
    syscall(SYS_close_range, static_cast<unsigned>(keep) + 1, ~0U, 0);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    children_ = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  }

  void await_start() {
    for (;;) {
      const auto [order, rest] = receive(0);
      if (!order) end_without_command();
      if (order->kind == Order::Kind::will) will_ = Will::decode(rest);
      if (order->kind != Order::Kind::start) continue;
      deadline_ = Time(Duration(order->value));
      grace_ = Duration(order->grace);
      start(rest, order->give_the_terminal);
      return;
    }
  }

  // An order and what follows it in the message; none if the tool is gone.
  std::pair<std::optional<Order>, std::string> receive(int flags) {
    std::vector<char> message(longest_order);
    ssize_t size = -1;
    errno = 0;  // the end of the link is no error
    do {
      size = recv(plan_.link, message.data(), message.size(), flags);
    } while (size < 0 && errno == EINTR);
    Order order{};
    if (size < static_cast<ssize_t>(sizeof order)) return {};
    std::memcpy(&order, message.data(), sizeof order);
    return {order, {message.data() + sizeof order, static_cast<std::size_t>(size) - sizeof order}};
  }

  [[noreturn]] void end_without_command() {
    if (will_) will_->carry_out();
    _exit(0);
  }

  void start(std::string_view variables, bool give_the_terminal) {
    auto environment = environment_with(variables);
    std::vector<char*> pointers;
    for (auto& variable : environment) pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    int failure[2];
    if (pipe2(failure, O_CLOEXEC) != 0) end_with({Report::Kind::not_executable, errno, false, 0});
    const Beginning beginning{plan_, pointers.data(), give_the_terminal, getpid(), failure[1]};
    if (Clock::now() >= term_time()) end_with({Report::Kind::ended, 0, true, 0});  // too late to begin
    command_ = vfork();
    if (command_ == 0) become_command(beginning);
    if (command_ < 0) end_with({Report::Kind::not_executable, errno, false, 0});
    close(failure[1]);
    int why = 0;
    const bool failed = read(failure[0], &why, sizeof why) == sizeof why;
    close(failure[0]);
    if (failed) {
      waitpid(command_, nullptr, 0);
      end_with({Report::Kind::not_executable, why, false, 0});
    }
    report({Report::Kind::started, command_, false, 0});
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);  // the ends of pipes are the command's alone
  }

  void report(const Report& what) { send(plan_.link, &what, sizeof what, MSG_NOSIGNAL | MSG_DONTWAIT); }

  // For whoever ran the tool; the tool itself cannot do it any more.
  void take_terminal_back() const {
    if (plan_.terminal >= 0 && tcgetpgrp(plan_.terminal) == command_) tcsetpgrp(plan_.terminal, tool_group_);
  }

  [[noreturn]] void end_with(const Report& last) {
    report(last);
    if (tool_gone_) take_terminal_back();
    while (!tool_gone_ && will_ && will_->session != 0) {  // there is a will, and the tool may be killed yet
      const auto [order, rest] = receive(0);
      if (order && order->kind == Order::Kind::will) will_ = Will::decode(rest);
      tool_gone_ = !order;
    }
    if (tool_gone_ && will_) will_->carry_out();
    _exit(0);
  }

  void take_orders() {
    const auto [order, rest] = receive(MSG_DONTWAIT);
    if (!order && (errno == EAGAIN || errno == EINTR)) return;
    if (!order) {
      tool_gone_ = true;
      stop_all(Clock::now() + grace_);
      return;
    }
    switch (order->kind) {
      case Order::Kind::start:  // has come already
        break;
      case Order::Kind::deadline:
        deadline_ = Time(Duration(order->value));
        break;
      case Order::Kind::signal:
        pass_on(static_cast<int>(order->value));
        break;
      case Order::Kind::stop:
        stop_all(Clock::now() + grace_);
        break;
      case Order::Kind::will:
        will_ = Will::decode(rest);
        break;
    }
  }

  void pass_on(int signal) {
    if (command_ended_) return;
    kill(-command_, signal);
    if (signal != SIGTERM && signal != SIGINT && signal != SIGHUP && signal != SIGQUIT) return;
    asked_to_end_ = true;
    kill(-command_, SIGCONT);  // should it be suspended
  }

  void stop_all(Time kill_time) {
    if (stopping_) return;
    stopping_ = true;
    cut_short_ = cut_short_ || !command_ended_;
    kill_time_ = std::min(kill_time, deadline_);
    for (const int signal : {SIGTERM, SIGCONT}) {
      if (!command_ended_) kill(-command_, signal);
      for (const pid_t pid : descendants(getpid()))
        if (command_ended_ || getpgid(pid) != command_) kill(pid, signal);
    }
  }

  void look_after_children() {
    signalfd_siginfo info;
    while (read(children_, &info, sizeof info) == sizeof info) {
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
      if (pid != command_) continue;
      if (WIFSTOPPED(status)) {
        report({Report::Kind::stopped, WSTOPSIG(status), false, 0});
        // Others wait for what the command holds: Ctrl-Z does not put it to sleep.
        if (WSTOPSIG(status) == SIGTSTP) kill(-command_, SIGCONT);
      } else {
        command_ended_ = true;
        status_ = status;
      }
    }
  }

  Time term_time() const { return deadline_ == Time::max() ? deadline_ : deadline_ - grace_; }

  void keep_time() {
    const Time now = Clock::now();
    if (!stopping_ && now >= term_time()) stop_all(deadline_);
    if (stopping_ && now >= kill_time_) {
      if (!command_ended_) kill(-command_, SIGKILL);
      for (const pid_t pid : descendants(getpid())) kill(pid, SIGKILL);
      kill_time_ = now + kill_again;
    }
  }

  void set_timer() {
    std::uint64_t ticks = 0;
    [[maybe_unused]] const ssize_t size = read(timer_, &ticks, sizeof ticks);
    const Time next = stopping_ ? kill_time_ : term_time();
    itimerspec at{};  // zero: off
    if (next != Time::max()) {
      const auto since = std::max(next.time_since_epoch(), Duration(1));
      at.it_value.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(since).count();
      at.it_value.tv_nsec = (since % std::chrono::seconds(1)).count();
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr);
  }

  // The command is over. What it left in the background lives on if it ended by itself; if a signal ended it, or we
  // were asked to, all was meant to end.
  void finish_if_all_is_done() {
    // Orphans become our children, so without children nobody is left, and with one, somebody may be: a look through
    // all processes can miss one that is forked meanwhile.
    pid_t reaped = 0;
    do {
      reaped = waitpid(-1, nullptr, WNOHANG);
    } while (reaped > 0);
    const bool childless = reaped < 0 && errno == ECHILD;
    if (!childless && (asked_to_end_ || WIFSIGNALED(status_))) stop_all(Clock::now() + grace_);
    if (!childless && stopping_) return;
    const auto left = childless ? 0 : static_cast<int>(descendants(getpid()).size());
    end_with({Report::Kind::ended, status_, cut_short_, left});
  }

  const DeadmanPlan& plan_;
  Time deadline_{};
  Duration grace_{};
  const pid_t tool_group_ = getpgrp();
  std::optional<Will> will_;
  int children_ = -1;
  int timer_ = -1;
  pid_t command_ = -1;
  bool tool_gone_ = false;
  bool asked_to_end_ = false;
  bool command_ended_ = false;
  int status_ = 0;
  bool stopping_ = false;
  bool cut_short_ = false;
  Time kill_time_{};
};

}  // namespace

void run_deadman(const DeadmanPlan& plan) { Deadman(plan).run(); }

void kill_descendants(pid_t root) {
  for (auto alive = descendants(root); !alive.empty(); alive = descendants(root)) {
    for (const pid_t pid : alive) kill(pid, SIGKILL);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    timespec pause{0, std::chrono::nanoseconds(kill_again).count()};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace zk
