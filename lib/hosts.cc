#include "hosts.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "error.h"
#include "path.h"
#include "text.h"

namespace zk {

namespace {

[[noreturn]] void malformed(const std::string& text, const std::string& why) {
  throw Refused("hosts '" + printable(text, 200) + "': " + why + "; write HOST:PORT[,HOST:PORT...][/CHROOT]");
}

Server parse_server(const std::string& all, const std::string& entry) {
  Server server{entry, "2181"};
  if (entry.starts_with('[')) {
    const auto close = entry.find(']');
    if (close == std::string::npos) malformed(all, "a '[' without ']'");
    server.host = entry.substr(1, close - 1);
    if (close + 1 < entry.size()) {
      if (entry[close + 1] != ':') malformed(all, "']' is followed by ':PORT' or nothing");
      server.port = entry.substr(close + 2);
    }
  } else if (const auto colon = entry.find(':'); colon != std::string::npos) {
    if (entry.find(':', colon + 1) != std::string::npos)
      malformed(all, "an IPv6 address stands in brackets: [::1]:2181");
    server.host = entry.substr(0, colon);
    server.port = entry.substr(colon + 1);
  }
  if (server.host.empty()) malformed(all, "a host is missing");
  if (std::any_of(server.host.begin(), server.host.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
    malformed(all, "a host has no spaces or control characters");
  const bool number = !server.port.empty() && server.port.size() <= 5 &&
                      server.port.find_first_not_of("0123456789") == std::string::npos;
  if (!number || std::stoi(server.port) < 1 || std::stoi(server.port) > 65535)
    malformed(all, "'" + printable(server.port, 40) + "' is not a port");
  return server;
}

struct Lookup {
  std::vector<std::string> addresses;
  std::string failure;
};

bool is_number(const std::string& host) {
  in6_addr address{};  // large enough for the other kind
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

Lookup look_up(const Server& server) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(server.host.c_str(), server.port.c_str(), &hints, &found);
  if (failed != 0) return {{}, gai_strerror(failed)};
  Lookup result;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST) == 0)
      result.addresses.push_back(std::string(host) + ":" + server.port);
  }
  freeaddrinfo(found);
  return result;
}

// Shared with the look-up threads, which nothing can interrupt: one that hangs is left behind.
struct Lookups {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::vector<std::optional<Lookup>> done;
};

std::vector<Lookup> look_up_all(const std::vector<Server>& servers, const Until& until) {
  auto shared = std::make_shared<Lookups>();
  shared->done.resize(servers.size());
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (is_number(servers[i].host)) {
      const std::lock_guard lock(shared->mutex);
      shared->done[i] = Lookup{{servers[i].host + ":" + servers[i].port}, {}};
    } else {
      std::thread([shared, i, server = servers[i]] {
        Lookup name = look_up(server);
        const std::lock_guard lock(shared->mutex);
        shared->done[i] = std::move(name);
        shared->changed.notify_all();
      }).detach();
    }
  }

  const auto half = Until{until}.within((until.deadline - Clock::now()) / 2);
  std::unique_lock lock(shared->mutex);
  const auto all = [&] {
    return std::all_of(shared->done.begin(), shared->done.end(), [](const auto& d) { return d.has_value(); });
  };
  const auto any = [&] {
    return std::any_of(shared->done.begin(), shared->done.end(),
                       [](const auto& d) { return d.has_value() && !d->addresses.empty(); });
  };
  shared->changed.wait_until(lock, until.stop, half.deadline, all);
  shared->changed.wait_until(lock, until.stop, until.deadline, [&] { return all() || any(); });
  if (until.stop.stop_requested()) throw Stopped("stopped while looking up the servers' addresses");
  std::vector<Lookup> results;
  for (const auto& lookup : shared->done) results.push_back(lookup.value_or(Lookup{{}, "no answer from the resolver"}));
  return results;
}

}  // namespace

Hosts Hosts::parse(const std::string& text) {
  Hosts hosts;
  const auto slash = std::min(text.find('/'), text.size());
  hosts.chroot = text.substr(slash);
  if (hosts.chroot == "/") hosts.chroot.clear();
  if (!hosts.chroot.empty()) check_path(hosts.chroot);
  const std::string list = text.substr(0, slash);
  if (list.empty()) malformed(text, "no server is named");
  for (std::size_t start = 0; start <= list.size();) {
    const auto comma = std::min(list.find(',', start), list.size());
    const Server server = parse_server(text, list.substr(start, comma - start));
    if (std::find(hosts.servers.begin(), hosts.servers.end(), server) == hosts.servers.end())
      hosts.servers.push_back(server);
    start = comma + 1;
  }
  return hosts;
}

std::vector<std::string> resolve(const std::vector<Server>& servers, const Until& until) {
  std::vector<std::string> addresses;
  std::string failures;
  const auto lookups = look_up_all(servers, until);
  for (std::size_t i = 0; i < servers.size(); ++i) {
    for (const auto& address : lookups[i].addresses)
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
    if (lookups[i].addresses.empty())
      failures += (failures.empty() ? "" : ", ") + servers[i].host + " (" + lookups[i].failure + ")";
  }
  if (addresses.empty()) throw CannotConnect("cannot find the address of " + failures);
  return addresses;
}

std::string address_list(const std::vector<std::string>& addresses, std::size_t attempt) {
  const std::size_t count = addresses.size() % 2 == 0 ? addresses.size() + 1 : addresses.size();
  std::string list;
  for (std::size_t i = 0; i < count; ++i)
    list += (list.empty() ? "" : ",") + addresses[(attempt + i) % addresses.size()];
  return list;
}

}  // namespace zk
