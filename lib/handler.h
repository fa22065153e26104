// A command that is run when something has happened, one run at a time. What happens while it runs waits; of what
// concerns the same thing, only the newest is kept.
#pragma once
#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "clock.h"
#include "until.h"

namespace zk {

/// What a run is about.
struct Occasion {
  std::string key;                                               // replaces one with the same key that waits
  std::string about;                                             // for people
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  std::string input;                                             // its standard input
  bool begins = false;                                           // with this the thing begins to be there
  bool ends = false;  // with this it ends: not worth a run if its beginning still waits
};

struct Handling {
  std::vector<std::string> argv;          // executed as it is, without a shell
  Duration debounce{};                    // runs when nothing has happened for so long, or for ten times as long anyway
  Duration time_limit = Duration::max();  // of a run: then TERM, and KILL after `grace`
  Duration grace = std::chrono::seconds(3);
  int most_runs = 0;  // 0: any number
  /// Told after each run, from the handler's thread: the status as a shell would say it, and why it was not executed.
  std::function<void(const Occasion&, int status, const std::string& error)> ended{};
};

/// The command runs in a process group of its own, with descriptors 0, 1, 2 only, no signal blocked and all at their
/// default (HUP stays ignored under nohup).
class Handler {
 public:
  explicit Handler(Handling how);

  /// Ends the command (TERM to its group, KILL after the grace period) if it runs.
  ~Handler();

  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;

  /// Does not block.
  void offer(Occasion occasion);

  /// Forgets what waits under this key. Does not block; what runs goes on.
  void withdraw(const std::string& key);

  /// Blocks until everything offered has been handled, or `until` ends: throws TimedOut or Stopped.
  void finish(const Until& until);

 private:
  void work(const std::stop_token& stop);
  void run(const Occasion& occasion, const std::stop_token& stop);
  int execute(const Occasion& occasion, const std::stop_token& stop, std::string& error);

  Handling how_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::list<Occasion> waiting_;
  std::unordered_map<std::string, std::list<Occasion>::iterator> newest_;  // by key
  Time first_{}, last_{};  // of those that wait: when the first and the last was offered
  bool hurry_ = false;     // somebody waits for the end
  bool running_ = false;
  int runs_ = 0;
  std::jthread thread_;
};

}  // namespace zk
