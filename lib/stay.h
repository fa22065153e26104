// What a tool does while it is inside: it runs a command, or stays until it is told to leave; under the session's
// lease, so never longer than the right to be there.
#pragma once
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "child.h"
#include "clock.h"
#include "session.h"
#include "tool.h"

namespace zk {

struct Stay {
  std::string path;   // the lock or the barrier
  std::string doing;  // for messages, of the command: `holds /lock`
  Duration grace;     // from TERM to KILL
  bool stop_when_lost = true;
  /// Ends the stay, the command with TERM, and after the grace period with KILL.
  std::stop_token end{};
};

struct Stayed {
  int status = status_done;           // the command's; of holding 0, or 128+N after signal N
  std::optional<std::string> lost{};  // why the right to be there was lost, if it was
  bool stopped = false;               // the command was, by us
  int signal = 0;                     // the last one that we were sent meanwhile
};

/// --grace, checked against the session that we got; 3 s, or less if the session timeout is short. Throws Refused.
Duration grace_within(const std::optional<Duration>& wanted, Duration timeout);

/// What others see about us unless told: the command's name, or the beginning of a shell's string.
std::string default_label(const std::vector<std::string>& command);

/// Runs the command; it is dead before the lease is over, whatever becomes of us. Needs Session::guard; without a
/// session nothing is held while it runs. Blocks until the command has ended. Throws Stopped if a signal came before it
/// was started.
Stayed run_command(Frame& frame, Session* session, Child& child, const std::string& command,
                   std::vector<std::pair<std::string, std::string>> variables, const Stay& stay);

/// Prints `announcement`, tells a person at the terminal the `hint`, and stays until end of input, a signal, the end of
/// the stay, or the loss of the lease. Needs Session::guard. Throws Stopped if a signal came before.
Stayed hold(Frame& frame, Session& session, const std::string& announcement, const std::string& hint, const Stay& stay);

}  // namespace zk
