#include "will.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace zk {

namespace {

constexpr int patience_milliseconds = 1000;

// ZooKeeper's own form of numbers: big-endian.
template <class Number>
void append(std::string& message, Number number) {
  for (int shift = 8 * (static_cast<int>(sizeof number) - 1); shift >= 0; shift -= 8)
    message.push_back(static_cast<char>(static_cast<std::uint64_t>(number) >> shift & 0xff));
}

// A request to take over the session, and one to close it. The server reads the second when it has dealt with the
// first.
std::string requests(const Will& will) {
  std::string connect;
  append<std::int32_t>(connect, 0);     // version of the protocol
  append<std::int64_t>(connect, 0);     // last transaction seen: none
  append<std::int32_t>(connect, 4000);  // session timeout
  append<std::int64_t>(connect, will.session);
  append<std::int32_t>(connect, static_cast<std::int32_t>(will.password.size()));
  connect.append(will.password.data(), will.password.size());
  connect.push_back(0);  // not read-only
  std::string close;
  append<std::int32_t>(close, 1);    // number of the request
  append<std::int32_t>(close, -11);  // close the session
  std::string all;
  for (const auto& message : {connect, close}) {
    append<std::int32_t>(all, static_cast<std::int32_t>(message.size()));
    all += message;
  }
  return all;
}

bool ready(int fd, short events) {
  pollfd source{fd, events, 0};
  return poll(&source, 1, patience_milliseconds) == 1;
}

int connect_to(const std::string& server) {
  const auto colon = server.rfind(':');
  if (colon == std::string::npos) return -1;
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(server.substr(0, colon).c_str(), server.substr(colon + 1).c_str(), &hints, &found) != 0) return -1;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool begun = fd >= 0 && (connect(fd, found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS);
  freeaddrinfo(found);
  int error = 0;
  socklen_t size = sizeof error;
  if (begun && ready(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

// Answers whether the server has dealt with both: it closes the connection then.
bool close_session(int fd, const std::string& message) {
  if (send(fd, message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size())) return false;
  char answer[256];
  while (ready(fd, POLLIN)) {
    const ssize_t size = read(fd, answer, sizeof answer);
    if (size == 0) return true;
    if (size < 0) return errno == ECONNRESET;
  }
  return false;
}

}  // namespace

std::string Will::encode() const {
  std::string bytes;
  append<std::int64_t>(bytes, session);
  bytes.append(password.data(), password.size());
  for (const auto& server : servers) bytes += server + "\n";
  return bytes;
}

std::optional<Will> Will::decode(std::string_view bytes) {
  Will will;
  if (bytes.size() < sizeof will.session + will.password.size()) return std::nullopt;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | static_cast<unsigned char>(bytes[i]);
  will.session = static_cast<std::int64_t>(number);
  bytes.remove_prefix(sizeof number);
  std::memcpy(will.password.data(), bytes.data(), will.password.size());
  bytes.remove_prefix(will.password.size());
  for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    will.servers.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
  }
  return will;
}

void Will::carry_out() const {
  if (session == 0) return;
  const std::string message = requests(*this);
  for (const auto& server : servers) {
    const int fd = connect_to(server);
    if (fd < 0) continue;
    const bool done = close_session(fd, message);
    close(fd);
    if (done) return;
  }
}

}  // namespace zk
