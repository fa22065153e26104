#include "hosts.h"

#include <doctest/doctest.h>

#include <string>

#include "error.h"

using zk::Hosts;
using zk::Until;

TEST_CASE("a connection string comes apart") {
  const auto hosts = Hosts::parse("a,b:2182,[::1]:2183,[fe80::1]/x/y");
  REQUIRE(hosts.servers.size() == 4);
  CHECK(hosts.servers[0] == zk::Server{"a", "2181"});
  CHECK(hosts.servers[1] == zk::Server{"b", "2182"});
  CHECK(hosts.servers[2] == zk::Server{"::1", "2183"});
  CHECK(hosts.servers[3] == zk::Server{"fe80::1", "2181"});
  CHECK(hosts.chroot == "/x/y");
  CHECK(Hosts::parse("a/").chroot.empty());
  CHECK(Hosts::parse("a,a:2181").servers.size() == 1);
}

TEST_CASE("a connection string that makes no sense is refused") {
  for (const char* text : {"", "/x", ",", "a,", "a,,b", "a:", "a:x", "a:0", "a:65536", "a:99999999999", "::1", "[::1",
                           "[::1]x", ":2181", "a b:1", "a:2181/x/", "a:2181//x", "a:1:2"})
    CHECK_THROWS_AS(Hosts::parse(text), zk::Refused);
}

TEST_CASE("numbers are addresses already, and each counts once") {
  const auto found = zk::resolve({{"127.0.0.1", "1"}, {"::1", "1"}, {"127.0.0.1", "1"}, {"127.0.0.1", "2"}},
                                 Until{}.within(std::chrono::seconds(5)));
  CHECK(found == std::vector<std::string>{"127.0.0.1:1", "::1:1", "127.0.0.1:2"});
}

TEST_CASE("localhost is found") {
  const auto found = zk::resolve({{"localhost", "7"}}, Until{}.within(std::chrono::seconds(5)));
  CHECK(!found.empty());
  for (const auto& address : found) CHECK((address == "127.0.0.1:7" || address == "::1:7"));
}

TEST_CASE("the list for the client has an odd length and starts one further each time") {
  CHECK(zk::address_list({"a"}, 0) == "a");
  CHECK(zk::address_list({"a", "b"}, 0) == "a,b,a");
  CHECK(zk::address_list({"a", "b"}, 1) == "b,a,b");
  CHECK(zk::address_list({"a", "b", "c"}, 5) == "c,a,b");
  CHECK(zk::address_list({"a", "b", "c", "d"}, 0) == "a,b,c,d,a");
}
