// Standard output as a place for data that somebody may read slowly, or not to the end.
#pragma once
#include <exception>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "until.h"

namespace zk {

/// Whoever read our standard output does not any more: `| head -1`.
class ReaderGone : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

class Output {
 public:
  Output();
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Blocks until all of `text` is written, or `until` ends: a terminal may be stopped and a pipe full. Throws
  /// TimedOut, Stopped, ReaderGone, and runtime_error if it cannot be written, to a full disk, say.
  void write(std::string_view text, const Until& until);

  /// Calls `gone` once, from a thread of its own, when nobody can read any more, also while nothing is written. Not
  /// after this object is gone.
  void when_reader_goes(std::function<void()> gone);

  /// Whether a line would be written without waiting.
  bool ready() const;

  bool is_terminal() const { return terminal_; }

 private:
  bool wait(short events, const Until& until);

  int fd_;
  bool own_ = false, socket_ = false, terminal_;
  std::jthread watch_;
};

/// What is to be written when somebody reads, for those who may not wait for that.
class Backlog {
 public:
  /// Of more than `most` bytes that nobody reads, the rest is left out, and `left_out` says so of that many texts.
  explicit Backlog(std::size_t most, std::function<std::string(int)> left_out)
      : most_(most), left_out_(std::move(left_out)) {}

  /// Writes what goes without waiting. Does not throw: if it cannot be written, finish() will.
  void add(const std::string& text);

  /// The rest. Blocks and throws as Output::write.
  void finish(const Until& until);

 private:
  void write();

  Output out_;
  const std::size_t most_;
  std::function<std::string(int)> left_out_;
  std::string unsaid_;
  int missing_ = 0;
  std::exception_ptr failed_;
};

}  // namespace zk
