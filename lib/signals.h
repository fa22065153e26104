// Signals as a stop token, and later as something to hand on to a command.
#pragma once
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace zk {

/// TERM, INT, HUP, QUIT, USR1 and USR2 request a stop, HUP not if it was ignored (nohup). TSTP suspends us; while a
/// command runs it does not, because others wait for what it holds. Writing to a terminal from the background never
/// suspends us, and writing to a closed pipe fails instead of killing us.
///
/// To be made before any other thread, and once: signals belong to the process.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  std::stop_token token() const { return stop_.get_token(); }

  /// The signal that requested the stop; 0 if none did.
  int received() const;

  /// Calls `start` and lets `pass_on` have every signal from then on (from another thread), unless a signal that
  /// requests a stop was sent before: then it does nothing and returns false. There is no moment between the two.
  bool hand_over(const std::function<void()>& start, std::function<void(int)> pass_on);

  /// Lets `look` have WINCH, CONT, and TSTP just before it suspends us: for those who paint a terminal. Called from
  /// another thread, until it is replaced by an empty one.
  void on_terminal(std::function<void(int)> look);

  /// Ends hand_over; when it returns, pass_on is no longer being called.
  void take_back();

 private:
  void watch(std::stop_token end);
  void take_pending();  // under the mutex, which alone may take signals
  void handle(int number);

  mutable std::mutex mutex_;
  int source_ = -1;
  int wake_ = -1;
  int received_ = 0;
  std::stop_source stop_;
  std::function<void(int)> pass_on_, terminal_;
  std::jthread thread_;
};

}  // namespace zk
