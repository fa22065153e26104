#include "peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "error.h"

using zk::Endpoint;
using zk::PeerGone;
using zk::PeerServer;
using zk::Refused;
using zk::Until;
using namespace std::chrono_literals;

namespace {

const std::string greeting("\x89zkpeer\n", 8);
const std::string key = "a secret";

Until soon() { return Until{}.within(20s); }

PeerServer::Handler echo() {
  return [](const std::string& request) { return request; };
}

std::string number(std::size_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 0xff));
  return bytes;
}

std::string opening(const std::string& shown, std::size_t size) {
  return greeting + number(60000) + number(shown.size()) + shown + number(size);
}

// Answers when it is opened; tells when somebody waits.
class Gate {
 public:
  PeerServer::Handler handler() {
    return [this](const std::string& request) -> std::optional<std::string> {
      ++calls_;
      calls_.notify_all();
      if (!open_) return std::nullopt;
      return "after " + request;
    };
  }
  void await_calls(int count) {
    for (int seen = calls_; seen < count; seen = calls_) calls_.wait(seen);
  }
  int calls() const { return calls_; }
  void open() { open_ = true; }

 private:
  std::atomic<int> calls_ = 0;
  std::atomic<bool> open_ = false;
};

std::string failure_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const std::exception& failed) {
    return failed.what();
  }
  return "no failure";
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A client that does as it likes.
class Raw {
 public:
  explicit Raw(const Endpoint& whom) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(whom.port);
    inet_pton(AF_INET, whom.address.c_str(), &address.sin_addr);
    REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~Raw() { close(fd_); }
  Raw(const Raw&) = delete;
  Raw& operator=(const Raw&) = delete;

  void send(const std::string& bytes) const { ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Nothing has come, and the connection ended, one way or the other.
  bool is_closed_without_a_word() const {
    pollfd source{fd_, POLLIN, 0};
    char byte = 0;
    return poll(&source, 1, 20000) == 1 && read(fd_, &byte, 1) <= 0;
  }
  bool has_something() const {
    pollfd source{fd_, POLLIN, 0};
    return poll(&source, 1, 20000) == 1;
  }

 private:
  int fd_;
};

// Accepts whom it likes, as a server of another kind would.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(fd_, any, size) == 0);
    REQUIRE(getsockname(fd_, any, &size) == 0);
    REQUIRE(listen(fd_, 8) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Endpoint endpoint() const { return {"127.0.0.1", port_}; }
  // Takes one connection, sends this and is done.
  void answer(const std::string& bytes) const {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    char request[1024];
    [[maybe_unused]] const auto got = read(fd, request, sizeof request);
    ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    close(fd);
  }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

std::set<int> descriptors() {
  std::set<int> found;
  DIR* const directory = opendir("/proc/self/fd");
  REQUIRE(directory != nullptr);
  while (const dirent* const entry = readdir(directory))
    if (entry->d_name[0] != '.' && std::atoi(entry->d_name) != dirfd(directory)) found.insert(std::atoi(entry->d_name));
  closedir(directory);
  return found;
}

}  // namespace

TEST_CASE("an endpoint is a numeric address and a port") {
  CHECK(Endpoint::parse("--listen", "127.0.0.1:4040").address == "127.0.0.1");
  CHECK(Endpoint::parse("--listen", "127.0.0.1:4040").port == 4040);
  CHECK(Endpoint::parse("--listen", "[::1]:65535").address == "::1");
  CHECK(Endpoint::parse("--listen", "[::1]:65535").text() == "[::1]:65535");
  CHECK(Endpoint::parse("--listen", "0.0.0.0:0").text() == "0.0.0.0:0");
  for (const std::string bad : {"",
                                ":",
                                "127.0.0.1",
                                "127.0.0.1:",
                                ":4040",
                                "127.0.0.1:65536",
                                "127.0.0.1:-1",
                                "127.0.0.1:+1",
                                "127.0.0.1: 1",
                                "127.0.0.1:1x",
                                "127.0.0.1:123456",
                                "localhost:4040",
                                "::1:4040",
                                "[::1]",
                                "[]:1",
                                "[127.0.0.1]:1",
                                "[::1:4040",
                                "127.1:4040",
                                "256.0.0.1:1",
                                "\x1b[2J:1"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(Endpoint::parse("--listen", bad), Refused);
  }
  CHECK_THROWS_AS(Endpoint::parse("--listen", std::string("127.0.0.1\0:1", 12)), Refused);
  CHECK(says(failure_of([] { Endpoint::parse("--listen", "here"); }), "--listen 'here'"));
}

TEST_CASE("a request is answered") {
  PeerServer server({}, key, echo());
  CHECK(server.endpoint().port != 0);
  CHECK(zk::ask(server.endpoint(), key, "hello", soon()) == "hello");
  CHECK(zk::ask(server.endpoint(), key, std::string("\0\xff\n", 3), soon()) == std::string("\0\xff\n", 3));
  CHECK(zk::ask(server.endpoint(), key, "no deadline", {}) == "no deadline");
}

TEST_CASE("requests and answers may be empty or large") {
  const std::string large(5 << 20, 'x');
  PeerServer server({}, key, [&](const std::string& request) { return request == "large" ? large : request; });
  CHECK(zk::ask(server.endpoint(), key, "", soon()).empty());
  CHECK(zk::ask(server.endpoint(), key, "large", soon()) == large);
  const std::string most(1 << 20, 'y');
  CHECK(zk::ask(server.endpoint(), key, most, soon()) == most);
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, most + "y", soon()), PeerGone);
}

TEST_CASE("many ask at once") {
  PeerServer server({}, key, echo());
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 200; ++i)
      threads.emplace_back([&, i] {
        const std::string request = "number " + std::to_string(i);
        if (zk::ask(server.endpoint(), key, request, soon()) == request) ++right;
      });
  }
  CHECK(right == 200);
}

TEST_CASE("who does not know the key is not heard") {
  std::atomic<int> calls = 0;
  PeerServer server({}, key, [&](const std::string&) {
    ++calls;
    return std::string();
  });
  for (const std::string wrong : {"", "a secres", "a secret ", "a", "this is a key as long as a key may be, and wrong"})
    CHECK_THROWS_AS(zk::ask(server.endpoint(), wrong, "hello", soon()), PeerGone);
  CHECK_THROWS_AS(zk::ask(server.endpoint(), std::string(65, 'x'), "hello", soon()), PeerGone);
  CHECK(calls == 0);
  CHECK_THROWS_AS(PeerServer({}, "", echo()), Refused);
  CHECK_THROWS_AS(PeerServer({}, std::string(65, 'x'), echo()), Refused);
}

TEST_CASE("requests that wait are answered when something has happened") {
  Gate gate;
  PeerServer server({}, key, gate.handler());
  const auto asked = [&](const std::string& request) {
    return std::async(std::launch::async, [&, request] { return zk::ask(server.endpoint(), key, request, soon()); });
  };
  auto first = asked("one");
  auto second = asked("two");
  gate.await_calls(2);
  server.changed();
  gate.await_calls(4);  // not yet
  gate.open();
  server.changed();
  CHECK(first.get() == "after one");
  CHECK(second.get() == "after two");
}

TEST_CASE("no change is missed, whoever tells of it") {
  std::atomic<int> value = 0;
  PeerServer server({}, key, [&](const std::string& request) -> std::optional<std::string> {
    if (value < std::stoi(request)) return std::nullopt;
    return "there";
  });
  constexpr int last = 500;
  const std::jthread counter([&] {
    while (value < last) {
      ++value;
      server.changed();
    }
  });
  for (int i = 1; i <= last; i += 50) CHECK(zk::ask(server.endpoint(), key, std::to_string(i), soon()) == "there");
}

TEST_CASE("who has waited long enough gives up, and the server forgets the request") {
  Gate gate;
  PeerServer server({}, key, gate.handler());
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, "hello", Until{}.within(50ms)), zk::TimedOut);
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, "hello", Until{.deadline = zk::Clock::now()}), zk::TimedOut);
  CHECK(gate.calls() <= 1);
  CHECK(says(failure_of([&] { zk::ask(server.endpoint(), key, "hello", Until{}.within(1ms)); }),
             server.endpoint().text()));
}

TEST_CASE("the server tells when it is too late, and closes") {
  Gate gate;
  PeerServer server({}, key, gate.handler());
  const Raw raw(server.endpoint());
  raw.send(greeting + number(1) + number(key.size()) + key + number(0));
  CHECK(raw.has_something());
  CHECK_FALSE(raw.is_closed_without_a_word());
}

TEST_CASE("a stop ends the wait") {
  Gate gate;
  PeerServer server({}, key, gate.handler());
  std::stop_source stop;
  auto asked = std::async(std::launch::async,
                          [&] { return zk::ask(server.endpoint(), key, "hello", {.stop = stop.get_token()}); });
  gate.await_calls(1);
  stop.request_stop();
  CHECK_THROWS_AS(asked.get(), zk::Stopped);
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, "hello", {.stop = stop.get_token()}), zk::Stopped);
}

TEST_CASE("who hangs up while waiting is dropped") {
  Gate gate;
  PeerServer server({}, key, gate.handler(), {.connections = 1});
  std::stop_source stop;
  auto asked = std::async(std::launch::async,
                          [&] { return zk::ask(server.endpoint(), key, "hello", {.stop = stop.get_token()}); });
  gate.await_calls(1);
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, "no room", soon()), PeerGone);
  stop.request_stop();
  CHECK_THROWS_AS(asked.get(), zk::Stopped);
  gate.open();
  std::string answer;
  for (const Until limit = soon(); answer.empty() && !limit.expired();) try {
      answer = zk::ask(server.endpoint(), key, "again", limit);
    } catch (const PeerGone&) {
    }
  CHECK(answer == "after again");
}

TEST_CASE("nobody listens") {
  Endpoint nobody;
  {
    const Listener listener;
    nobody = listener.endpoint();
  }
  CHECK_THROWS_AS(zk::ask(nobody, key, "hello", soon()), PeerGone);
  CHECK(says(failure_of([&] { zk::ask(nobody, key, "hello", soon()); }), nobody.text() + " does not answer: nobody"));
  CHECK_THROWS_AS(zk::ask({"nowhere", 1}, key, "hello", soon()), PeerGone);
}

TEST_CASE("a server that ends does not wait for those who wait") {
  Gate gate;
  auto server = std::make_unique<PeerServer>(Endpoint{}, key, gate.handler());
  const Endpoint endpoint = server->endpoint();
  auto asked = std::async(std::launch::async, [&] { return zk::ask(endpoint, key, "hello", {}); });
  gate.await_calls(1);
  const Raw idle(endpoint);
  const zk::Time before = zk::Clock::now();
  server.reset();
  CHECK(zk::Clock::now() - before < 10s);
  CHECK_THROWS_AS(asked.get(), PeerGone);
}

TEST_CASE("strangers are closed, and others served") {
  std::atomic<int> calls = 0;
  PeerServer server({}, key,
                    [&](const std::string& request) {
                      ++calls;
                      return request;
                    },
                    {.request = 200ms});
  const auto closed = [&](const std::string& bytes) {
    const Raw raw(server.endpoint());
    raw.send(bytes);
    CHECK(zk::ask(server.endpoint(), key, "hello", soon()) == "hello");
    return raw.is_closed_without_a_word();
  };
  CHECK(closed("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  CHECK(closed(std::string(100000, '\xff')));
  CHECK(closed(greeting + number(0) + number(0xffffffff)));
  CHECK(closed(greeting + number(0) + number(65)));
  CHECK(closed(opening("wrong", 5) + "hello"));
  CHECK(closed(opening(key, 0xffffffff)));
  CHECK(closed(opening(key, (1 << 20) + 1)));
  CHECK(closed(opening(key, 10) + "half"));
  CHECK(closed(opening(key, 10).substr(0, 20)));
  CHECK(closed(greeting));
  CHECK(closed(""));
  CHECK(calls == 11);
}

TEST_CASE("strangers who say nothing cannot take all places") {
  PeerServer server({}, key, echo(), {.connections = 4, .request = 1h});
  std::vector<std::unique_ptr<Raw>> strangers;
  for (int i = 0; i < 20; ++i) strangers.push_back(std::make_unique<Raw>(server.endpoint()));
  CHECK(zk::ask(server.endpoint(), key, "hello", soon()) == "hello");
  CHECK(strangers.front()->is_closed_without_a_word());
}

TEST_CASE("who does not take its answer is in nobody's way, and not for long") {
  const std::string large(50 << 20, 'x');
  PeerServer server({}, key, [&](const std::string& request) { return request == "large" ? large : request; },
                    {.connections = 2, .no_progress = 200ms});
  const Raw first(server.endpoint()), second(server.endpoint());
  for (const Raw* one : {&first, &second}) one->send(opening(key, 5) + "large");
  CHECK(first.has_something());
  CHECK(second.has_something());
  std::string answer;  // both places are taken until patience with them ends
  for (const Until limit = soon(); answer.empty() && !limit.expired();) try {
      answer = zk::ask(server.endpoint(), key, "hello", limit);
    } catch (const PeerGone&) {
    }
  CHECK(answer == "hello");
}

TEST_CASE("others are answered while somebody does not take a large answer") {
  const std::string large(50 << 20, 'x');
  PeerServer server({}, key, [&](const std::string& request) { return request == "large" ? large : request; });
  const Raw slow(server.endpoint());
  slow.send(opening(key, 5) + "large");
  CHECK(slow.has_something());
  for (int i = 0; i < 10; ++i) CHECK(zk::ask(server.endpoint(), key, "hello", soon()) == "hello");
}

TEST_CASE("a handler that fails ends one connection") {
  Gate gate;
  std::atomic<bool> broken = true;
  PeerServer server({}, key, [&](const std::string& request) -> std::optional<std::string> {
    if (request == "int" && broken) throw 42;
    if (request == "later" && !gate.handler()(request)) return std::nullopt;
    if (broken) throw std::runtime_error("broken");
    return request;
  });
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, "hello", soon()), PeerGone);
  CHECK_THROWS_AS(zk::ask(server.endpoint(), key, "int", soon()), PeerGone);
  auto later = std::async(std::launch::async, [&] { return zk::ask(server.endpoint(), key, "later", soon()); });
  gate.await_calls(1);
  gate.open();
  server.changed();
  CHECK_THROWS_AS(later.get(), PeerGone);
  broken = false;
  CHECK(zk::ask(server.endpoint(), key, "hello", soon()) == "hello");
}

TEST_CASE("what is no answer is not taken for one") {
  const Listener listener;
  for (const std::string& bytes :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string(), number(5) + "Ahe", number(0) + "A",
        number(0xffffffff) + "A", number(3) + "Lxx", number(1) + "?", greeting}) {
    CAPTURE(bytes);
    const std::jthread other([&] { listener.answer(bytes); });
    CHECK_THROWS_AS(zk::ask(listener.endpoint(), key, "hello", soon()), PeerGone);
  }
  const std::jthread other([&] { listener.answer(number(1) + "L"); });
  CHECK_THROWS_AS(zk::ask(listener.endpoint(), key, "hello", soon()), zk::TimedOut);
}

TEST_CASE("a server without time limit is not asked again and again") {
  const Listener listener;
  const std::jthread other([&] { listener.answer(number(1) + "L"); });
  CHECK_THROWS_AS(zk::ask(listener.endpoint(), key, "hello", {}), PeerGone);
}

TEST_CASE("descriptors are not inherited by commands, and given back") {
  const auto before = descriptors();
  {
    Gate gate;
    PeerServer server({}, key, gate.handler());
    auto asked = std::async(std::launch::async, [&] { return zk::ask(server.endpoint(), key, "hello", soon()); });
    gate.await_calls(1);
    const auto during = descriptors();
    CHECK(during.size() >= before.size() + 4);
    for (const int fd : during) {
      if (before.contains(fd)) continue;
      CAPTURE(fd);
      CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    gate.open();
    server.changed();
    CHECK(asked.get() == "after hello");
  }
  CHECK(descriptors() == before);
}

TEST_CASE("where it cannot listen it says why") {
  PeerServer server({}, key, echo());
  const Endpoint taken = server.endpoint();
  CHECK_THROWS_AS(PeerServer(taken, key, echo()), Refused);
  const std::string in_use = failure_of([&] { PeerServer(taken, key, echo()); });
  CHECK(says(in_use, "cannot listen on " + taken.text() + ": the address is in use already"));
  const std::string elsewhere = failure_of([&] { PeerServer({"192.0.2.1", 0}, key, echo()); });
  CHECK(says(elsewhere, "cannot listen on 192.0.2.1:0: this host has no such address"));
  CHECK_THROWS_AS(PeerServer({"nowhere", 0}, key, echo()), Refused);
}

TEST_CASE("a port can be listened on again at once") {
  Endpoint endpoint;
  for (int i = 0; i < 5; ++i) {
    PeerServer server(endpoint, key, echo());
    endpoint = server.endpoint();
    CHECK(zk::ask(endpoint, key, "hello", soon()) == "hello");
  }
}
