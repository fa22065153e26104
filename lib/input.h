// Standard input.
#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "until.h"

namespace zk {

/// All of standard input. Blocks until its end, or throws TimedOut or Stopped. Of more than `most` bytes only so many
/// are kept, and `size` says how many there are, or, if it is not `all`, have come until we had enough.
struct Input {
  std::string bytes;
  std::size_t size = 0;
  bool all = true;
};
Input read_input(std::size_t most, const Until& until);

/// Standard input line by line.
class Lines {
 public:
  /// The next one, without its end; nullopt at the end of input. Blocks until it is there, or throws TimedOut or
  /// Stopped; Refused for a line of more than `most` bytes.
  std::optional<std::string> next(const Until& until, std::size_t most = 1 << 20);

 private:
  std::string rest_;
  bool ended_ = false;
};

/// Blocks until standard input ends or cannot be read, or throws TimedOut or Stopped. What comes is ignored.
void wait_for_end_of_input(const Until& until);

}  // namespace zk
