// The deadman: a small process between a tool and the command that it runs under a lock, so that the command ends when
// the right to run it ends, even if the tool is killed or frozen at that moment.
//
// It starts the command, hands signals on, collects every orphan of the command (it is their subreaper, so one that has
// made itself a daemon is still found), and ends all of them: TERM to everybody, and KILL after the grace period, or at
// the deadline if that is earlier. It does so
//  - when the deadline less the grace period has come and nobody has moved it,
//  - when it is told to stop,
//  - when the tool is gone (its end of the link is closed).
// When the tool is gone and all of that is done, it carries out the tool's will, if there is one (will.h).
// It has a process group of its own, so what stops or interrupts the tool's group does not reach it.
#pragma once
#include <sys/types.h>

#include <cstdint>

#include "clock.h"

namespace zk {

/// From the tool to the deadman. `start` comes before the others but `will`, and is followed in the same message by
/// strings NAME=VALUE, each ended by a NUL, for the command's environment; `will` is followed by an encoded Will, which
/// replaces the one before.
struct Order {
  enum class Kind { start, deadline, signal, stop, will } kind;
  std::int64_t value;      // start and deadline: by then all must be dead (Time since epoch); signal: its number
  std::int64_t grace;      // start: from TERM to KILL, nanoseconds
  bool give_the_terminal;  // start: to the command's group
};

/// The longest message; what a command gets must fit.
constexpr std::size_t longest_order = 1 << 17;

/// From the deadman to the tool.
struct Report {
  enum class Kind {
    started,         // value: the command's process and group id
    not_executable,  // value: errno. The last report
    stopped,         // value: the signal that suspended the command
    ended,           // value: its wait status. The last report
  } kind;
  std::int64_t value;
  bool cut_short;  // we ended it: because of the deadline, or because we were told to stop
  int left;        // how many processes it left behind that go on running
};

struct DeadmanPlan {
  char* const* argv;
  int link;               // a SOCK_SEQPACKET socket to the tool
  int terminal;           // the controlling terminal, or -1
  bool keep_hup_ignored;  // the tool was started under nohup
};

/// Waits for the order to start, runs the command, and ends the process. Called in a fork of the tool, made while
/// nobody waited for it yet: when the lock is there, one message starts the command.
[[noreturn]] void run_deadman(const DeadmanPlan& plan);

/// Kills every process below `root`, and does not return before none is left.
void kill_descendants(pid_t root);

}  // namespace zk
