// The lock: mutual exclusion, shared and exclusive use, and a limited number of permits, first come, first served.
//
// Guarantee: of all who acquire a path, those that are inside at the same time (between acquire and the earlier of
// release and the end of the session's lease, see Session::guard) are one exclusive holder, or any number of shared
// ones, or at most `limit` with permits. The order is that of the server's sequence numbers. Tokens of exclusive
// holders rise: a resource that refuses a smaller one than it has seen is safe even from a holder that does not know it
// has lost.
//
// Cost: when nobody is there, acquire is one round trip (create and list together). Who waits watches one node, and one
// release wakes one waiter (readers: those that may all enter; permits: two).
//
// Source: ZooKeeper Recipes and Solutions, "Locks", "Shared Locks" and "Recoverable Errors and the GUID".
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "contender.h"
#include "session.h"
#include "until.h"

namespace zk {

struct LockRequest {
  std::string path;  // the lock's folder; created if missing
  Kind kind = Kind::write;
  int limit = 1;              // of permits; stored in the folder's data
  std::string about;          // the data of our node: who we are
  bool only_if_free = false;  // do not wait
};

/// Told each time a wait begins: how many came earlier, and the data of the contender waited for. May be empty.
using Queued = std::function<void(std::size_t position, const std::string& about_ahead)>;

class Lock {
 public:
  /// Blocks until inside, or `until` ends. Returns nullopt only if the request says only_if_free and somebody is there.
  /// Throws TimedOut, Stopped or SessionLost, and Refused if the lock is used with another limit, or exclusively where
  /// a permit is asked for or the other way round. Unless it returns a lock no node of ours remains, or none longer
  /// than the session.
  static std::optional<Lock> acquire(Session& session, const LockRequest& request, const Until& until,
                                     const Queued& queued = {});

  /// Gives the lock up. Blocks until the server has confirmed it or `until` ends; throws as requests do, and
  /// SessionLost if the node had gone already: then the lock was lost before. A lock that is dropped without this is
  /// held until its session ends.
  void release(const Until& until);

  const std::string& path() const { return path_; }
  std::string node() const;
  std::int64_t token() const { return token_; }

 private:
  Lock(Session& session, std::string path, std::string name, std::int64_t token)
      : session_(&session), path_(std::move(path)), name_(std::move(name)), token_(token) {}

  Session* session_;
  std::string path_, name_;
  std::int64_t token_;
};

/// One who is inside or waits, as seen from outside.
struct Place {
  Contender contender;
  Node node;
  bool inside;
};

/// The holders and the queue in order; a picture that may be old when it is looked at. Empty if there is no such lock.
std::vector<Place> places(Session& session, const std::string& path, const Until& until);

/// Whether the contender with this node is inside. Then it stays so for as long as the node exists. Blocks until
/// answered or `until` ends; throws as requests do, and Refused if that is no contender's node.
bool is_inside(Session& session, const std::string& node, const Until& until);

}  // namespace zk
