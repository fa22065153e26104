// What one replica of a register is asked for by others, over TCP (peer.h): reads, and what they have missed.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "commit.h"
#include "peer.h"
#include "session.h"
#include "store.h"
#include "until.h"

namespace zk {

/// What a replica answers to somebody who reads.
struct ReplicaView {
  std::string replica;
  Store::View view;
  std::optional<Duration> cut_off{};  // for how long it has not been in touch with ZooKeeper
};

/// Answers requests from a store: the handler of a PeerServer. `cut_off`: since when there is no contact with
/// ZooKeeper.
std::optional<std::string> answer_as_replica(const Store& store, const std::string& id, const std::string& request,
                                             const std::function<std::optional<Duration>()>& cut_off);

/// Reads keys, all if there are none, when the replica has at least this version. Blocks for two seconds at most until
/// it has, and then for the answer, or until `until` ends; throws PeerGone, TimedOut, Stopped.
ReplicaView read_from(const Presence& replica, const std::vector<std::string>& keys, std::int64_t at_least,
                      const Until& until);

/// What a store needs to go from one version to `at_least` or later: the commits, or a whole image.
struct Missed {
  std::vector<Commit> commits{};
  std::string image{};
};
Missed missed_since(const Presence& replica, std::int64_t version, std::int64_t at_least, const Until& until);

/// Those who are alive, by their ids.
std::map<std::string, Presence> present(Session& session, const RegisterPaths& paths, const Until& until);

/// Reads keys, all if there are none, from somebody who is alive.
///
/// Guarantee: linearizable: what it answers is the register's state at one moment between call and return. A round trip
/// that a quorum has confirmed tells the newest version, and only a replica that has it may answer, whether it is in
/// touch with ZooKeeper or not. With `stale` whatever the first replica has. `newest` is the version that was looked
/// for. Blocks until there is an answer or `until` ends. Throws Refused if nobody is alive.
struct RegisterReading {
  ReplicaView from;
  std::int64_t newest = 0;
};
RegisterReading read_register(Session& session, const RegisterPaths& paths, const std::vector<std::string>& keys,
                              bool stale, const Until& until);

}  // namespace zk
