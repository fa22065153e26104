// Sets nodes, one after the other, and measures when those who watch them have told it.
//   latency ROUNDS PATH FD...   FD is the pipe with the lines of the watcher of PATH, of which the first has no set
// Each round sets each PATH once. At the end it prints for each set PATH, the microseconds from the set's answer until
// the watcher's line could be read, and those from its sending.
//
// It speaks to the server itself, in one thread that waits for the answer and the line at once: a client library's
// threads would note the answer late and take the processor away from what is measured.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

constexpr int patience = 20'000;         // milliseconds for an answer or a line
constexpr int session_timeout = 30'000;  // milliseconds; the sets are more frequent than any ping

void wait_for(std::vector<pollfd>& sources, const std::string& what) {
  if (poll(sources.data(), sources.size(), patience) <= 0)
    throw std::runtime_error("no " + what + " within " + std::to_string(patience / 1000) + " s");
}

// A session, as of ZooKeeper's zookeeper.jute: numbers go with the highest byte first, strings after their length.
class Server {
 public:
  explicit Server(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto colon = address.find(':');
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    const int at_once = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &where.sin_addr) != 1 ||
        connect(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0)
      throw std::runtime_error("cannot connect to " + address);
    // Version, last transaction seen, timeout, no earlier session, its password.
    send(number(0) + number(0) + number(0) + number(session_timeout) + number(0) + number(0) +
         string(std::string(16, '\0')));
    std::vector<pollfd> sources{{fd_, POLLIN, 0}};
    wait_for(sources, "session");
    receive();
  }
  ~Server() { close(fd_); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int fd() const { return fd_; }

  void send_set(const std::string& path, const std::string& data) {
    constexpr int set_data = 5, any_version = -1;
    send(number(++requests_) + number(set_data) + string(path) + string(data) + number(any_version));
  }

  void receive_set() {
    constexpr std::size_t error_at = 12;  // after the request's number and the transaction's
    if (receive().substr(error_at, 4) != number(0)) throw std::runtime_error("the server refused a set");
  }

 private:
  static std::string number(int value) {
    const auto bits = static_cast<std::uint32_t>(value);
    return {static_cast<char>(bits >> 24), static_cast<char>(bits >> 16), static_cast<char>(bits >> 8),
            static_cast<char>(bits)};
  }

  static std::string string(const std::string& text) { return number(static_cast<int>(text.size())) + text; }

  void send(const std::string& request) {
    const std::string packet = string(request);
    if (::send(fd_, packet.data(), packet.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(packet.size()))
      throw std::runtime_error("the server has gone");
  }

  std::string take(std::size_t size) {
    std::string bytes(size, '\0');
    if (recv(fd_, bytes.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size))
      throw std::runtime_error("the server has gone");
    return bytes;
  }

  std::string receive() {
    std::size_t size = 0;
    for (const char byte : take(4)) size = size << 8 | static_cast<unsigned char>(byte);
    return take(size);
  }

  int fd_;
  int requests_ = 0;
};

struct Watcher {
  std::string path;
  int fd;
  std::string read{};

  // Takes what can be read; answers whether a line has ended.
  bool take() {
    char bytes[4096];
    const ssize_t size = ::read(fd, bytes, sizeof bytes);
    if (size <= 0) throw std::runtime_error("the watcher of " + path + " has ended");
    read.append(bytes, static_cast<std::size_t>(size));
    return read.ends_with('\n');
  }
};

struct Sample {
  std::string path;
  Microseconds from_answer, from_sending;
};

void expect_first_line(Watcher& watcher) {
  do {
    std::vector<pollfd> sources{{watcher.fd, POLLIN, 0}};
    wait_for(sources, "first line from the watcher of " + watcher.path);
  } while (!watcher.take());
}

Sample measure(Server& server, Watcher& watcher, const std::string& data) {
  watcher.read.clear();
  const auto sent = Clock::now();
  server.send_set(watcher.path, data);
  Clock::time_point answered{}, told{};
  while (answered == Clock::time_point{} || told == Clock::time_point{}) {
    std::vector<pollfd> sources{{server.fd(), POLLIN, 0}, {watcher.fd, POLLIN, 0}};
    wait_for(sources, answered == Clock::time_point{} ? "answer to a set" : "line from the watcher of " + watcher.path);
    const auto now = Clock::now();
    if (sources[0].revents != 0) {
      server.receive_set();
      answered = now;
    }
    if (sources[1].revents != 0 && watcher.take()) told = now;
  }
  if (watcher.read.find(data) == std::string::npos)
    throw std::runtime_error("the watcher of " + watcher.path + " did not tell " + data + " but " + watcher.read);
  return {watcher.path, told - answered, told - sent};
}

}  // namespace

int main(int argc, char** argv) try {
  const char* const hosts = std::getenv("ZK_HOSTS");
  if (argc < 4 || argc % 2 != 0 || hosts == nullptr) return 2;
  const int rounds = std::stoi(argv[1]);
  std::vector<Watcher> watchers;
  for (int i = 2; i < argc; i += 2) watchers.push_back({argv[i], std::stoi(argv[i + 1])});
  for (auto& watcher : watchers) expect_first_line(watcher);

  setpriority(PRIO_PROCESS, 0, -20);  // if we may: to be woken in time also on a busy machine
  Server server(hosts);
  std::vector<Sample> samples;
  std::minstd_rand chance;
  std::uniform_int_distribution<int> pause(2'000, 5'000);  // microseconds: nobody is still busy, or in step
  for (std::size_t round = 0; round < static_cast<std::size_t>(rounds); ++round)
    for (std::size_t turn = 0; turn < watchers.size(); ++turn) {
      std::this_thread::sleep_for(std::chrono::microseconds(pause(chance)));
      auto& watcher = watchers[(round + turn) % watchers.size()];
      samples.push_back(measure(server, watcher, "set-" + std::to_string(samples.size())));
    }
  for (const auto& [path, from_answer, from_sending] : samples)
    std::cout << path << ' ' << from_answer.count() << ' ' << from_sending.count() << '\n';
} catch (const std::exception& error) {
  std::cerr << "latency: " << error.what() << '\n';
  return 1;
}
