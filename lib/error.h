// What can go wrong, as exceptions that read as a sentence. Answers that a caller expects (no such node, node
// exists) are values, not exceptions; see session.h. The tool's frame turns exceptions into exit statuses in one place.
#pragma once
#include <stdexcept>
#include <string>

namespace zk {

/// ZooKeeper's result codes, as far as anything above the session tells them apart.
enum class Code : int {
  ok = 0,
  runtime_inconsistency = -2,  // in a multi: not tried, because another operation failed
  connection_loss = -4,
  unimplemented = -6,
  operation_timeout = -7,
  bad_arguments = -8,
  invalid_state = -9,
  no_node = -101,
  no_auth = -102,
  bad_version = -103,
  no_children_for_ephemerals = -108,
  node_exists = -110,
  not_empty = -111,
  session_expired = -112,
  invalid_acl = -114,
  auth_failed = -115,
  closing = -116,
  session_moved = -118,
};

/// In words: `no such node`.
std::string describe(Code);

/// A request failed: `create /locks/a: no such node`.
class Error : public std::runtime_error {
 public:
  Error(Code, std::string operation, std::string path);
  Code code() const { return code_; }

 private:
  Code code_;
};

/// The connection broke before the answer came: the request may or may not have been carried out.
class ConnectionLoss : public Error {
 public:
  using Error::Error;
};

/// The session is over, by the server's word or by our own clock; every ephemeral node of it is gone or going.
class SessionLost : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// The deadline of an Until passed.
class TimedOut : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// The stop token of an Until was triggered.
class Stopped : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// Whether it was done could not be found out in time.
class Unknown : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// Nobody answered at any of the addresses.
class CannotConnect : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// What was asked for is not possible as it was asked: wrong usage, bad input, a conflict with what is stored.
class Refused : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// Options or arguments that make no sense: what --help would have told.
class WrongUsage : public Refused {
 public:
  using Refused::Refused;
};

}  // namespace zk
