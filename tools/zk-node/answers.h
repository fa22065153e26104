// How zk-node asks and answers.
#pragma once
#include <string>

#include "error.h"
#include "session.h"
#include "until.h"
#include "zk-node.h"

/// Tells why the answer is no, unless --quiet.
int no(const std::string& why);

/// The data to write: the argument, or standard input for `-`.
std::string data_of(const Options& options, const zk::Until& until);

/// A connection is quick or broken: what takes longer than the session could live has failed.
zk::Until patience(const zk::Frame& frame, const zk::Session& session);

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
