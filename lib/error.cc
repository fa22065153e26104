#include "error.h"

#include <utility>

namespace zk {

std::string describe(Code code) {
  switch (code) {
    case Code::ok:
      return "done";
    case Code::runtime_inconsistency:
      return "not tried, because another part of the transaction failed";
    case Code::connection_loss:
      return "the connection was lost, and whether it was done is unknown";
    case Code::unimplemented:
      return "the server does not support it";
    case Code::operation_timeout:
      return "no answer in time, and whether it was done is unknown";
    case Code::bad_arguments:
      return "the server does not accept this path or these arguments";
    case Code::invalid_state:
      return "the session is over";
    case Code::no_node:
      return "no such node";
    case Code::no_auth:
      return "not authorised (see --auth-file)";
    case Code::bad_version:
      return "the node has been changed by someone else";
    case Code::no_children_for_ephemerals:
      return "an ephemeral node cannot have children";
    case Code::node_exists:
      return "the node exists already";
    case Code::not_empty:
      return "the node has children";
    case Code::session_expired:
      return "the session has expired";
    case Code::invalid_acl:
      return "the server does not accept the access list (see --auth-file and --acl)";
    case Code::auth_failed:
      return "authentication failed (see --auth-file)";
    case Code::closing:
      return "the session is closing";
    case Code::session_moved:
      return "the session has moved to another server";
  }
  return "ZooKeeper error " + std::to_string(static_cast<int>(code));
}

Error::Error(Code code, std::string operation, std::string path)
    : runtime_error(std::move(operation) + " " + std::move(path) + ": " + describe(code)), code_(code) {}

}  // namespace zk
