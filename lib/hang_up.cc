#include "hang_up.h"

#include <dirent.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace zk {

namespace {

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool is_tcp(int fd) {
  const int domain = option(fd, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) && option(fd, SO_TYPE) == SOCK_STREAM &&
         option(fd, SO_ACCEPTCONN) == 0;
}

bool leads_to(int fd, const std::vector<std::string>& addresses) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  auto* const address = reinterpret_cast<sockaddr*>(&peer);
  if (getpeername(fd, address, &size) != 0) return errno == ENOTCONN;  // an attempt
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return false;
  return std::find(addresses.begin(), addresses.end(), std::string(host) + ":" + port) != addresses.end();
}

}  // namespace

std::vector<int> tcp_sockets() {
  std::vector<int> found;
  DIR* const descriptors = opendir("/proc/self/fd");
  if (descriptors == nullptr) return found;
  while (const dirent* const entry = readdir(descriptors))
    if (const int fd = std::atoi(entry->d_name); fd > 2 && is_tcp(fd)) found.push_back(fd);
  closedir(descriptors);
  return found;
}

void hang_up(const std::vector<std::string>& addresses, const std::vector<int>& spared) {
  for (const int fd : tcp_sockets())
    if (std::find(spared.begin(), spared.end(), fd) == spared.end() && leads_to(fd, addresses)) shutdown(fd, SHUT_RDWR);
}

}  // namespace zk
