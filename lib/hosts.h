// Where the servers are: the connection string, and its names turned into numeric addresses.
//
// The C client is given numbers only. With a name it resolves again and again, and when the resolver stops answering,
// it stops sending heartbeats and the session dies without a word.
#pragma once
#include <string>
#include <vector>

#include "until.h"

namespace zk {

struct Server {
  std::string host;
  std::string port;
  bool operator==(const Server&) const = default;
};

struct Hosts {
  std::vector<Server> servers;
  std::string chroot;  // "" or "/a/b": the prefix of every path

  /// `HOST[:PORT][,HOST[:PORT]...][/CHROOT]`; IPv6 addresses in brackets; the port is 2181 unless given. Throws
  /// Refused.
  static Hosts parse(const std::string& text);
};

/// The servers' numeric addresses as the C client writes them (`127.0.0.1:2181`, `::1:2181`), without duplicates. Names
/// are looked up at the same time; one that is not resolved within half of what `until` allows is left out if another
/// is. Throws CannotConnect, naming the hosts, if none can be resolved; Stopped.
std::vector<std::string> resolve(const std::vector<Server>& servers, const Until& until);

/// The list for the C client's `attempt`-th try: it starts one address further each time, so that a server that accepts
/// and then is silent cannot use up the whole time limit. Its length is odd, padded with a repeated address: the client
/// (ZOOKEEPER-2466) skips every other address of an even list, without a pause between rounds.
std::string address_list(const std::vector<std::string>& addresses, std::size_t attempt);

}  // namespace zk
