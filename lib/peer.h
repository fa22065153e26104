// Requests from process to process over TCP: one request and one answer a connection, both any bytes. Whoever asks must
// know the key, which is published where only those can read it who may know what is behind it.
//
// An answer may have to wait until something has happened: then the request stays, and is looked at again when it may
// have. Requests of strangers cost a bounded amount of memory, time and descriptors, and nobody else's patience.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "clock.h"
#include "until.h"

namespace zk {

/// `127.0.0.1:4040`, `[::1]:4040`: numeric.
struct Endpoint {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;

  /// Throws Refused, naming `what`, for anything else.
  static Endpoint parse(const std::string& what, const std::string& text);
  std::string text() const;
};

/// The other side is not there, broke the connection, or did not like the key.
class PeerGone : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// What a server puts up with.
struct PeerLimits {
  std::size_t connections = 256;                    ///< at a time; a newcomer takes the place of one without the key
  Duration request = std::chrono::seconds(5);       ///< for the whole request to arrive
  Duration no_progress = std::chrono::seconds(10);  ///< of whoever takes an answer
};

class PeerServer {
 public:
  /// Answers a request, or nullopt if it is too early. Called from the server's thread: must not block for long.
  using Handler = std::function<std::optional<std::string>(const std::string& request)>;

  /// Listens; port 0 means any free one. Throws Refused, saying where and why, if that is not possible.
  PeerServer(const Endpoint& listen, std::string key, Handler handler, const PeerLimits& limits = {});
  ~PeerServer();
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;

  Endpoint endpoint() const;

  /// Something has happened: requests that wait are offered to the handler again. From any thread; does not block.
  void changed();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Blocks until the answer is there, or `until` ends. Throws PeerGone, TimedOut, Stopped.
std::string ask(const Endpoint& whom, const std::string& key, const std::string& request, const Until& until);

}  // namespace zk
