// A remedy for the C client's patience: while it reconnects, it gives a server that accepts and is then silent (frozen,
// or in the first moment of its life) two thirds of the session timeout, and with them whatever the session holds.
#pragma once
#include <string>
#include <vector>

namespace zk {

/// The TCP sockets of this process. Those that are open before it connects are its caller's, or somebody else's.
std::vector<int> tcp_sockets();

/// Shuts down every TCP connection of this process to one of `addresses` (as resolve() writes them), and every attempt
/// at a connection, but for `spared`. Whoever waits for an answer there fails at once, and goes on to the next server.
/// The descriptors stay their owners'.
void hang_up(const std::vector<std::string>& addresses, const std::vector<int>& spared);

}  // namespace zk
