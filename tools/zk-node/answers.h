// How zk-node asks and answers.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "error.h"
#include "output.h"
#include "session.h"
#include "until.h"
#include "zk-node.h"

/// Tells why the answer is no, unless --quiet.
int no(const std::string& why);
int not_held(const Options& options);

/// The data to write: the argument, or standard input for `-`.
std::string data_of(const Options& options, const zk::Until& until);

/// Harmless if it goes to a terminal, else as it is.
std::string shown(const zk::Output& out, const std::string& text);

/// A connection is quick or broken: what takes longer than the session could live has failed.
zk::Until patience(const zk::Frame& frame, const zk::Session& session);

/// A question that is not answered in time: CannotConnect then. Nobody asked us to give up after some time.
template <class Question>
auto in_time(Question question) {
  try {
    return question();
  } catch (const zk::TimedOut&) {
    throw zk::CannotConnect("ZooKeeper does not answer any more");
  } catch (const zk::SessionLost& lost) {
    throw zk::CannotConnect(lost.what());
  }
}

/// A change whose answer does not come in time may have been made: ConnectionLoss then, whatever was the reason.
template <class Change>
auto made_or_unknown(const std::string& operation, const std::string& path, Change change) {
  try {
    return change();
  } catch (const zk::TimedOut&) {
    throw zk::ConnectionLoss(zk::Code::operation_timeout, operation, path);
  } catch (const zk::SessionLost&) {
    throw zk::ConnectionLoss(zk::Code::connection_loss, operation, path);
  }
}

[[noreturn]] void unknown(const std::string& operation, const std::string& path);

/// The node as it is when everything has been carried out, or never will be, that we asked for before the connection
/// broke.
std::optional<zk::Stat> settled(zk::Session& session, const std::string& path, const zk::Until& until);

/// Whether the lock of --if-held, if there is one, is held.
bool may_change(zk::Session& session, const Options& options, const zk::Until& until);

/// The operations, behind the check that it still is.
std::vector<zk::Operation> fenced(const Options& options, std::vector<zk::Operation> operations);
bool lock_had_gone(const Options& options, const zk::Outcome& outcome);
