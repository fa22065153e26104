// Running a command that must not outlive the right to run it.
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "clock.h"
#include "will.h"

namespace zk {

/// How a command begins.
struct Start {
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  Time deadline;                                                 // it is dead by then
  Duration grace;                                                // having got TERM so long before
};

struct Ended {
  int status = 0;          // as a shell would say it: the exit status, 128+N for signal N, 126 or 127 if not executed
  std::string error{};     // why it could not be executed
  bool cut_short = false;  // ended by us: the deadline came, or stop() was called
  int left = 0;            // processes it left behind, which go on running
  int interrupt = 0;       // INT or QUIT if it died of that while it had the terminal: of Ctrl-C, then
};

/// A command under a deadman (deadman.h), in a process group of its own, with descriptors 0, 1, 2 only, no signal
/// blocked and all at their default. If our process group has the terminal, the command's gets it: at once if we read
/// from the terminal and are not in a pipeline whose other members need it, else when it asks for it. We take it back
/// at the end.
class Child {
 public:
  /// Makes the deadman, which waits; the command is executed as it is, without a shell. None: only keeps a will. To be
  /// made before there are connections and, but for Signals', threads: the deadman is a fork. Throws Refused if the
  /// system has no room for another process.
  explicit Child(std::vector<std::string> argv);

  /// Ends the command, its descendants and the deadman, if it was started and has not ended.
  ~Child();

  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// From now on, until it gets another one or this object is destroyed, `will` is carried out should we be killed.
  /// Does not block.
  void keep(const Will& will);

  /// Starts the command. Does not block. Throws Refused if there is too much to put into its environment.
  void start(const Start& how);

  /// These three may be called from any thread after start, and do not block.
  void extend(Time deadline);
  void signal(int number);
  void stop();  // TERM, and KILL after the grace period

  /// Blocks until the command has ended (and whoever must end with it). `suspended` is told of signals that suspended
  /// it; a TSTP is answered with CONT, because others wait for what the command holds, and one that wants the terminal
  /// goes on when we have it to give.
  Ended wait(const std::function<void(int)>& suspended);

 private:
  bool give_terminal();

  std::vector<std::string> argv_;
  int link_ = -1;
  int terminal_ = -1;
  pid_t deadman_ = -1;
  int deadman_handle_ = -1;  // a pidfd: signals through it never reach a stranger
  pid_t group_ = -1;         // the command's, from the deadman's first report
};

}  // namespace zk
