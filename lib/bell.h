// A stop token for those who wait in poll().
#pragma once
#include <optional>
#include <stop_token>

#include "clock.h"

namespace zk {

/// A descriptor that becomes readable when a stop is requested.
class Bell {
 public:
  /// Throws runtime_error if there is no descriptor left.
  explicit Bell(const std::stop_token& stop);
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  int fd() const { return fd_; }

 private:
  struct Ring {
    int fd;
    void operator()() const;
  };
  int fd_;
  std::optional<std::stop_callback<Ring>> ring_;
};

/// For poll(): the time left, an hour at most.
int milliseconds_left(Time deadline);

}  // namespace zk
