#include "stay.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <mutex>

#include "error.h"
#include "input.h"
#include "lease.h"
#include "log.h"
#include "output.h"
#include "path.h"
#include "text.h"

namespace zk {

namespace {

// Written by the session's thread, read by ours.
class Loss {
 public:
  void note(const std::string& why) {
    const std::lock_guard lock(mutex_);
    why_ = why;
  }
  std::optional<std::string> why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<std::string> why_;
};

}  // namespace

Duration grace_within(const std::optional<Duration>& wanted, Duration timeout) {
  const Duration most = Lease::longest_grace(timeout);
  if (!wanted) return std::min<Duration>(std::chrono::seconds(3), most);
  if (*wanted <= most) return *wanted;
  Duration enough = std::chrono::ceil<std::chrono::seconds>(*wanted * 3);
  while (Lease::longest_grace(enough) < *wanted) enough += std::chrono::seconds(1) + enough / 20;
  enough = std::chrono::ceil<std::chrono::seconds>(enough);
  throw Refused("--grace " + to_string(*wanted) + " does not fit a session timeout of " + to_string(timeout) +
                ": at most " + to_string(most) + ", or say --session-timeout " + to_string(enough));
}

std::string default_label(const std::vector<std::string>& command) {
  if (command.empty()) return "";
  return command.size() == 3 && command[1] == "-c" ? command[2].substr(0, 60) : name_of(command[0]);
}

Stayed run_command(Frame& frame, Session* session, Child& child, const std::string& command,
                   std::vector<std::pair<std::string, std::string>> variables, const Stay& stay) {
  const auto deadline = [&](Time lease_end) {
    return stay.stop_when_lost ? lease_end - Lease::margin(session->timeout())  // for the dying itself
                               : Time::max();
  };
  variables.emplace_back("ZK_HOSTS", frame.hosts);
  if (session != nullptr) variables.emplace_back("ZK_SESSION_ID", std::to_string(session->id()));
  Loss loss;
  std::atomic<int> last = 0;
  const bool started = frame.signals.hand_over(
      [&] {
        child.start({variables, session == nullptr ? Time::max() : deadline(session->lease_end()), stay.grace});
      },
      [&](int signal) {
        last = signal;
        child.signal(signal);
      });
  if (!started) throw Stopped("stopped before the command was started");
  if (session != nullptr)
    session->follow({[&](Time end) { child.extend(deadline(end)); },
                     [&](const std::string& why) {
                       loss.note(why);
                       if (stay.stop_when_lost)
                         child.stop();
                       else
                         log::warning("lost " + stay.path + ": " + why + "; the command goes on");
                     }});
  const std::stop_callback end(stay.end, [&] { child.stop(); });
  const Ended ended = child.wait([&](int signal) {
    log::warning(signal == SIGTSTP
                     ? "the command is not suspended while it " + stay.doing + ": others wait for it"
                     : "the command is suspended (" + std::string(strsignal(signal)) + ") and " + stay.doing);
  });
  frame.signals.take_back();
  if (session != nullptr) session->unguard();  // the vigil is ours
  frame.interrupt = ended.interrupt;
  auto lost = loss.why();
  if (!lost && ended.cut_short && !stay.end.stop_requested())
    lost = ended.error.empty() ? "no server has confirmed the session in time" : ended.error;
  if (!lost && !ended.error.empty()) log::error("cannot execute " + printable(command, 200) + ": " + ended.error);
  if (ended.left > 0)
    log::step(std::to_string(ended.left) + " processes that the command left in the background go on, after it");
  return {ended.status, lost, ended.cut_short, last};
}

Stayed hold(Frame& frame, Session& session, const std::string& announcement, const std::string& hint,
            const Stay& stay) {
  Loss loss;
  std::atomic<int> signal = 0;
  std::stop_source over;
  if (!frame.signals.hand_over([] {},
                               [&](int number) {
                                 if (number == SIGCONT) return;
                                 signal = number;
                                 over.request_stop();
                               }))
    throw Stopped("stopped before the stay began");
  const std::stop_callback end(stay.end, [&] { over.request_stop(); });
  session.follow({[](Time) {},
                  [&](const std::string& why) {
                    loss.note(why);
                    over.request_stop();
                  }});
  const auto leave = [&] {
    frame.signals.take_back();
    session.unguard();
  };
  const Until until{Time::max(), over.get_token()};
  try {
    Output().write(announcement, until);
    if (isatty(STDIN_FILENO) == 1) log::warning(hint);
    wait_for_end_of_input(until);
  } catch (const Stopped&) {
  } catch (...) {
    leave();
    throw;
  }
  leave();
  return {signal == 0 ? status_done : status_signal + signal, loss.why(), false, signal};
}

}  // namespace zk
