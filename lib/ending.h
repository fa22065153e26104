// An end that comes from ourselves, beside the one that signals ask for.
#pragma once
#include <atomic>
#include <stop_token>

#include "until.h"

namespace zk {

class Ending {
 public:
  /// Ends with `outer` as well.
  explicit Ending(const std::stop_token& outer) : forward_(outer, Forward{&stop_}) {}

  /// No deadline; stopped by both.
  Until until() const { return {Time::max(), stop_.get_token()}; }

  /// From any thread, without blocking. The first status counts.
  void with(int status) {
    int none = -1;
    status_.compare_exchange_strong(none, status);
    stop_.request_stop();
  }

  /// The status that we are to end with; -1 if there is none.
  int status() const { return status_; }

 private:
  struct Forward {
    std::stop_source* stop;
    void operator()() const { stop->request_stop(); }
  };
  std::stop_source stop_;
  std::atomic<int> status_ = -1;
  std::stop_callback<Forward> forward_;
};

}  // namespace zk
