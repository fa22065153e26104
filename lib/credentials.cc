#include "credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "error.h"

namespace zk {

namespace {

constexpr std::size_t most_bytes = 65536;

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw Refused("auth file " + file + ": " + why);
}

std::string contents(const std::string& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) refuse(file, errno == ELOOP ? "is a symbolic link; name the file itself" : std::strerror(errno));
  struct stat status {};
  std::string text(most_bytes + 1, '\0');
  const bool known = fstat(fd, &status) == 0;
  const ssize_t size = read(fd, text.data(), text.size());
  close(fd);
  if (!known || !S_ISREG(status.st_mode)) refuse(file, "is not a regular file");
  if (status.st_uid != geteuid() && status.st_uid != 0) refuse(file, "belongs to another user");
  if ((status.st_mode & 077) != 0) refuse(file, "can be read by others; chmod 600 it");
  if (size < 0) refuse(file, "cannot be read");
  if (static_cast<std::size_t>(size) > most_bytes) refuse(file, "is too large");
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace

std::vector<Credential> read_credentials(const std::string& file) {
  std::vector<Credential> credentials;
  std::istringstream lines(contents(file));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    const auto colon = line.find(':');
    if (colon == 0 || colon == std::string::npos || colon + 1 == line.size())
      refuse(file, "line " + std::to_string(number) + " is not scheme:credentials, for example digest:user:password");
    credentials.push_back({line.substr(0, colon), line.substr(colon + 1)});
  }
  if (credentials.empty()) refuse(file, "holds no credentials; write a line scheme:credentials");
  return credentials;
}

}  // namespace zk
