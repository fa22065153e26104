#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "clock.h"
#include "fail_point.h"
#include "participant.h"
#include "peer.h"
#include "tool.h"

struct VotePolicy {
  enum class Kind { commit, abort, random, ask, command } kind = Kind::commit;
  double probability = 0.5;  // of a yes
  std::uint64_t seed = 0;
  std::string command;
  zk::Duration time_limit = std::chrono::seconds(10);
};

struct Options {
  std::string path, id, directory, on_commit;
  zk::Endpoint listen;
  VotePolicy vote;
  zk::FailPoint fail;
  bool json = false;
};

int participate(zk::Frame& frame, const Options& options);

/// Who says yes or no.
class Voter {
 public:
  virtual ~Voter() = default;
  /// nullopt: later; then `wake` is called. May be asked again.
  virtual std::optional<zk::Opinion> opinion(const zk::Proposal& proposal) = 0;
  /// It is of no interest any more.
  virtual void decided(const std::string& transaction) { static_cast<void>(transaction); }
};

struct VoterHooks {
  std::function<void()> wake;  // there is an opinion now; from another thread, not after the voter is gone
  /// Shows a question to the person at the terminal; an empty one: it needs no answer any more.
  std::function<void(const std::string& transaction, const std::string& question)> ask;
  zk::Until until;  // ends questions
};
std::unique_ptr<Voter> make_voter(const VotePolicy& policy, const std::string& id, const VoterHooks& hooks);

/// What a command gets on its standard input: a line of JSON.
std::string told(const zk::Proposal& proposal, const std::string& id);
