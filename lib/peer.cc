#include "peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#define ASIO_STANDALONE
#define ASIO_DISABLE_FENCED_BLOCK  // one thread runs a context, and the thread sanitizer does not know fences
#include <asio/basic_waitable_timer.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include "error.h"
#include "text.h"

namespace zk {

namespace {

using asio::ip::tcp;
using Failure = asio::error_code;
using Timer = asio::basic_waitable_timer<Clock>;

// What goes over the wire, numbers in four bytes, big-endian:
//   there: the greeting, the asker's patience in milliseconds, the length of the key, the key,
//          the length of the request, the request
//   back:  the length of the rest, its kind in one byte, the answer
// Read as a length, the greeting is one that nobody accepts.
constexpr std::string_view greeting{"\x89zkpeer\n", 8};
constexpr std::size_t number_size = 4;
constexpr std::size_t opening_size = greeting.size() + 2 * number_size;
constexpr std::size_t head_size = number_size + 1;
constexpr std::size_t most_key = 64;
constexpr std::size_t most_request = 1 << 20;
constexpr std::size_t most_answer = std::size_t{1} << 31;  // with its kind
constexpr std::size_t block = 1 << 20;
constexpr char kind_answer = 'A';
constexpr char kind_too_late = 'L';

constexpr Duration longest_patience = std::chrono::hours(1);
constexpr auto time_to_connect = std::chrono::seconds(5);
constexpr auto pause_without_descriptors = std::chrono::milliseconds(100);

std::string number(std::size_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 0xff));
  return bytes;
}

std::size_t read_number(const char* bytes) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < number_size; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// How long it takes tells nothing about where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference = static_cast<unsigned char>(difference | static_cast<unsigned char>(a[i] ^ b[i]));
  return difference == 0;
}

tcp::endpoint tcp_endpoint(const Endpoint& endpoint) {
  Failure failed;
  const auto address = asio::ip::make_address(endpoint.address, failed);
  if (failed) throw std::system_error(std::make_error_code(std::errc::invalid_argument));
  return {address, endpoint.port};
}

// Asio's own sockets are inherited by every command that is started: these are not.
int open_socket(const tcp::endpoint& endpoint) {
  const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw std::system_error(errno, std::generic_category());
  return fd;
}

template <class Socket>
void take_over(Socket& socket, const tcp& protocol, int fd) {
  Failure failed;
  socket.assign(protocol, fd, failed);
  if (!failed) return;
  ::close(fd);
  throw std::system_error(failed);
}

// Without delay, and with an end if the other host is gone without a word. As far as the kernel agrees.
void set_options(int fd) {
  const auto set = [fd](int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

class Server;

// --- the server's side of a connection; everything in the server's thread ---

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Server& server, tcp::socket socket)
      : server_(server), socket_(std::move(socket)), timer_(socket_.get_executor()) {}

  void start();
  void offer();
  void close();
  bool has_key() const { return has_key_; }

 private:
  enum class Stage { asking, waiting, answering, closed };

  // A completion: of the step that `next` follows.
  auto then(void (Connection::*next)()) {
    return [self = shared_from_this(), next](const Failure& failed, std::size_t) {
      if (self->stage_ == Stage::closed) return;
      failed ? self->close() : (self.get()->*next)();
    };
  }
  void read(std::string& into, std::size_t size, void (Connection::*next)()) {
    into.resize(size);
    asio::async_read(socket_, asio::buffer(into), then(next));
  }

  void greeted();
  void identified();
  void asked();
  void watch();
  void send(char kind, std::string answer);
  void limit(Time when);
  void time_is_over();

  Server& server_;
  tcp::socket socket_;
  Timer timer_;
  Stage stage_ = Stage::asking;
  bool has_key_ = false;
  Time deadline_{};
  std::string buffer_, request_, head_, answer_;
};

class Server {
 public:
  Server(const Endpoint& listen, std::string key, PeerServer::Handler handler, const PeerLimits& limits);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Endpoint endpoint() const { return {bound_.address().to_string(), bound_.port()}; }
  void changed();

  // For its connections.
  const PeerLimits& limits() const { return limits_; }
  bool is_key(std::string_view key) const { return equal_in_constant_time(key, key_); }
  std::optional<std::string> handle(const std::string& request) const { return handler_(request); }
  void forget(const Connection*);

 private:
  void run();
  void accept();
  void take();
  void welcome(int fd);
  bool make_room();
  void offer_all();

  const std::string key_;
  const PeerServer::Handler handler_;
  const PeerLimits limits_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_{context_};
  Timer pause_{context_};
  tcp::endpoint bound_;
  std::vector<std::shared_ptr<Connection>> connections_;  // the oldest first
  std::atomic<bool> changed_ = false;
  std::thread thread_;
};

void Connection::start() {
  set_options(socket_.native_handle());
  limit(Clock::now() + server_.limits().request);
  read(buffer_, opening_size, &Connection::greeted);
}

void Connection::greeted() {
  const char* const numbers = buffer_.data() + greeting.size();
  const std::size_t key_size = read_number(numbers + number_size);
  if (!buffer_.starts_with(greeting) || key_size > most_key) return close();
  const std::chrono::milliseconds patience(read_number(numbers));
  deadline_ = Clock::now() + std::min<Duration>(patience, longest_patience);
  read(buffer_, key_size + number_size, &Connection::identified);
}

void Connection::identified() {
  const std::size_t key_size = buffer_.size() - number_size;
  const std::size_t size = read_number(buffer_.data() + key_size);
  has_key_ = server_.is_key(std::string_view(buffer_).substr(0, key_size));
  if (!has_key_ || size > most_request) return close();
  read(request_, size, &Connection::asked);
}

void Connection::asked() {
  stage_ = Stage::waiting;
  limit(deadline_);
  offer();
  if (stage_ == Stage::waiting) watch();
}

void Connection::offer() {
  if (stage_ != Stage::waiting) return;
  try {
    if (auto answer = server_.handle(request_)) send(kind_answer, *std::move(answer));
  } catch (...) {
    close();
  }
}

// Nothing is to come but the end.
void Connection::watch() {
  buffer_.resize(1);
  socket_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](const Failure&, std::size_t) { self->close(); });
}

void Connection::send(char kind, std::string answer) {
  if (answer.size() >= most_answer) return close();
  stage_ = Stage::answering;
  request_ = {};
  answer_ = std::move(answer);
  head_ = number(answer_.size() + 1) + kind;
  const auto progress = [self = shared_from_this()](const Failure& failed, std::size_t) -> std::size_t {
    if (failed || self->stage_ == Stage::closed) return 0;
    self->limit(Clock::now() + self->server_.limits().no_progress);
    return block;
  };
  const std::array<asio::const_buffer, 2> all{asio::buffer(head_), asio::buffer(answer_)};
  asio::async_write(socket_, all, progress, then(&Connection::close));
}

void Connection::limit(Time when) {
  timer_.expires_at(when);
  timer_.async_wait([self = shared_from_this()](const Failure& failed) {
    // It may have been set anew after it had expired.
    if (!failed && self->timer_.expiry() <= Clock::now()) self->time_is_over();
  });
}

void Connection::time_is_over() {
  if (stage_ == Stage::waiting)
    send(kind_too_late, {});
  else
    close();
}

void Connection::close() {
  if (stage_ == Stage::closed) return;
  const auto self = shared_from_this();
  stage_ = Stage::closed;
  timer_.cancel();
  Failure ignored;
  socket_.close(ignored);
  server_.forget(this);
}

// --- the server ---

Server::Server(const Endpoint& listen, std::string key, PeerServer::Handler handler, const PeerLimits& limits)
    : key_(std::move(key)), handler_(std::move(handler)), limits_(limits) {
  const auto where = tcp_endpoint(listen);
  take_over(acceptor_, where.protocol(), open_socket(where));
  acceptor_.set_option(tcp::acceptor::reuse_address(true));
  acceptor_.bind(where);
  acceptor_.listen();
  bound_ = acceptor_.local_endpoint();
  accept();
  thread_ = std::thread([this] { run(); });
}

Server::~Server() {
  context_.stop();
  thread_.join();
}

void Server::run() {
  for (;;) try {
      context_.run();
      return;
    } catch (...) {  // no memory for one of them, say: the others are served
    }
}

// Waits, and accepts by itself: only so there is no moment in which a command that is started inherits the connection.
void Server::accept() {
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](const Failure& failed) {
    if (!failed) take();
  });
}

void Server::take() {
  const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  const bool passing = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
  if (fd >= 0) welcome(fd);
  if (fd >= 0 || passing) return accept();
  pause_.expires_after(pause_without_descriptors);
  pause_.async_wait([this](const Failure&) { accept(); });
}

void Server::welcome(int fd) try {
  tcp::socket socket(context_);
  take_over(socket, bound_.protocol(), fd);
  if (!make_room()) return;
  const auto connection = std::make_shared<Connection>(*this, std::move(socket));
  connections_.push_back(connection);
  connection->start();
} catch (const std::exception&) {  // not this one, then
}

// Those who have the key keep their places; strangers cannot take them all.
bool Server::make_room() {
  if (connections_.size() < limits_.connections) return true;
  const auto oldest =
      std::find_if(connections_.begin(), connections_.end(), [](const auto& one) { return !one->has_key(); });
  if (oldest == connections_.end()) return false;
  const auto stranger = *oldest;
  stranger->close();
  return true;
}

void Server::forget(const Connection* connection) {
  std::erase_if(connections_, [connection](const auto& one) { return one.get() == connection; });
}

void Server::changed() {
  if (!changed_.exchange(true)) asio::post(context_, [this] { offer_all(); });
}

void Server::offer_all() {
  changed_.exchange(false);  // first: what changes from now on is worth another look
  const auto all = connections_;
  for (const auto& connection : all) connection->offer();
}

std::string why_not(const std::error_code& failed) {
  switch (failed.value()) {  // asio's errors are of a category that std::errc does not know
    case EACCES:
      return "permission denied; choose a port above 1023, or 0 for any that is free";
    case EADDRINUSE:
      return "the address is in use already; choose another port, or 0 for any that is free";
    case EADDRNOTAVAIL:
      return "this host has no such address; choose one that `ip address` shows, or 127.0.0.1";
    case EINVAL:
      return "that is not a numeric address; write 127.0.0.1 or ::1, say";
    default:
      return failed.message();
  }
}

// --- the asking side ---

std::string described(const Failure& failed) {
  if (failed == asio::error::connection_refused) return "nobody listens there";
  if (failed == asio::error::eof || failed == asio::error::connection_reset || failed == asio::error::broken_pipe)
    return "it closed the connection; it has ended, or its key is another";
  return failed.message();
}

class Asking {
 public:
  Asking(const Endpoint& whom, const Until& until)
      : name_(whom.text()), until_(until), wake_(until.stop, Wake{context_}) {
    check();
    connect(tcp_endpoint(whom));
  }

  // Nullopt if the other side says that it is too late.
  std::optional<std::string> ask(const std::string& key, const std::string& request);

 private:
  struct Wake {
    asio::io_context& context;
    void operator()() const {
      asio::post(context, [] {});
    }
  };

  [[noreturn]] void gone(const std::string& why) const { throw PeerGone(name_ + " does not answer: " + why); }
  void check() const;
  template <class Start>
  void step(const Start& start, Time limit = Time::max());
  void connect(const tcp::endpoint&);
  void read(char* to, std::size_t size);
  std::string read_all(std::size_t size);

  const std::string name_;
  const Until& until_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(context_);
  tcp::socket socket_{context_};
  std::stop_callback<Wake> wake_;
};

void Asking::check() const {
  if (until_.stop.stop_requested()) throw Stopped("stopped while waiting for " + name_);
  if (until_.expired()) throw TimedOut(name_ + " has not answered in time");
}

// Begins something and waits for its end. What is left unfinished by an exception ends with the context, uncalled.
template <class Start>
void Asking::step(const Start& start, Time limit) {
  bool done = false;
  Failure failed;
  start([&done, &failed](const Failure& result, auto...) {
    failed = result;
    done = true;
  });
  while (!done) {
    check();
    if (Clock::now() >= limit) gone("it does not take the connection");
    context_.run_one_until(std::min(limit, until_.deadline));
  }
  if (failed) gone(described(failed));
}

void Asking::connect(const tcp::endpoint& where) {
  take_over(socket_, where.protocol(), open_socket(where));
  set_options(socket_.native_handle());
  step([&](auto done) { socket_.async_connect(where, done); }, Clock::now() + time_to_connect);
}

void Asking::read(char* to, std::size_t size) {
  step([&](auto done) { asio::async_read(socket_, asio::buffer(to, size), done); });
}

// Takes memory for what has come, not for what is announced.
std::string Asking::read_all(std::size_t size) {
  std::string all;
  while (all.size() < size) {
    const std::size_t before = all.size();
    all.resize(std::min(size, before + block));
    read(all.data() + before, all.size() - before);
  }
  return all;
}

std::optional<std::string> Asking::ask(const std::string& key, const std::string& request) {
  const auto patience = std::min<Duration>(std::max(until_.deadline - Clock::now(), Duration(0)), longest_patience);
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  const std::string opening = std::string(greeting) + number(static_cast<std::size_t>(milliseconds)) +
                              number(key.size()) + key + number(request.size());
  const std::array<asio::const_buffer, 2> all{asio::buffer(opening), asio::buffer(request)};
  step([&](auto done) { asio::async_write(socket_, all, done); });

  std::array<char, head_size> head{};
  read(head.data(), head.size());
  const std::size_t size = read_number(head.data());
  const char kind = head.back();
  if (kind == kind_too_late && size == 1) return std::nullopt;
  if (kind != kind_answer || size < 1 || size > most_answer)
    gone("what came is not an answer; does another program listen there?");
  return read_all(size - 1);
}

// The other side is told at most an hour: whoever has longer asks again.
std::string ask_again(const Endpoint& whom, const std::string& key, const std::string& request, const Until& until) {
  for (;;) {
    const Time begun = Clock::now();
    if (auto answer = Asking(whom, until).ask(key, request)) return *std::move(answer);
    if (until.deadline <= begun + longest_patience) throw TimedOut(whom.text() + " has not answered in time");
    if (Clock::now() < begun + longest_patience / 2) throw PeerGone(whom.text() + " gave up long before its time");
  }
}

[[noreturn]] void malformed(const std::string& what, const std::string& text) {
  throw Refused(what + " '" + printable(text, 200) +
                "' is not an address and a port; write 127.0.0.1:4040 or [::1]:4040");
}

}  // namespace

Endpoint Endpoint::parse(const std::string& what, const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) malformed(what, text);
  std::string host = text.substr(0, colon);
  const std::string port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  Failure failed;
  const auto address = asio::ip::make_address(host, failed);
  const bool whole = host.find('\0') == std::string::npos;  // asio reads up to there
  const bool is_number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (failed || !whole || address.is_v6() != bracketed || !is_number || std::stoi(port) > 65535) malformed(what, text);
  return {address.to_string(), static_cast<std::uint16_t>(std::stoi(port))};
}

std::string Endpoint::text() const {
  const bool bracketed = address.find(':') != std::string::npos;
  return (bracketed ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

struct PeerServer::Impl : Server {
  using Server::Server;
};

PeerServer::PeerServer(const Endpoint& listen, std::string key, Handler handler, const PeerLimits& limits) try {
  if (key.empty() || key.size() > most_key) throw Refused("the key has to have 1 to 64 bytes");
  impl_ = std::make_unique<Impl>(listen, std::move(key), std::move(handler), limits);
} catch (const std::system_error& failed) {
  throw Refused("cannot listen on " + listen.text() + ": " + why_not(failed.code()));
}

PeerServer::~PeerServer() = default;

Endpoint PeerServer::endpoint() const { return impl_->endpoint(); }

void PeerServer::changed() { impl_->changed(); }

std::string ask(const Endpoint& whom, const std::string& key, const std::string& request, const Until& until) try {
  if (key.size() > most_key || request.size() > most_request)
    throw PeerGone(whom.text() + " was not asked: a request has at most 1 MB, and its key 64 bytes");
  return ask_again(whom, key, request, until);
} catch (const std::system_error& failed) {
  throw PeerGone("cannot ask " + whom.text() + ": " + failed.code().message());
}

}  // namespace zk
