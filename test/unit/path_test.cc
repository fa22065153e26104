#include "path.h"

#include <doctest/doctest.h>

#include <string>

#include "error.h"

TEST_CASE("paths that a server accepts pass") {
  for (const char* path :
       {"/", "/a", "/a/b", "/cron/backup", "/with space", "/\xc3\xa9t\xc3\xa9", "/a.b/..c", "/zookeepers"})
    CHECK_NOTHROW(zk::check_path(path));
}

TEST_CASE("paths that crash the client or anger the server are refused by name") {
  for (const char* path : {"", "a", "a/b", "/a/", "//", "/a//b", "/a/./b", "/..", "/a/..", "/\x01", "/\x7f", "/a\nb",
                           "/\xc2\x85", "/\xff", "/\xed\xa0\x80", "/\xee\x80\x80", "/zookeeper", "/zookeeper/config"})
    CHECK_THROWS_AS(zk::check_path(path), zk::Refused);
  CHECK_THROWS_AS(zk::check_path("/" + std::string(16384, 'x')), zk::Refused);
  CHECK_NOTHROW(zk::check_path("/" + std::string(1023, 'x')));
  CHECK_THROWS_WITH(zk::check_path("/a/../b"), "path '/a/../b' is not valid: a path has no '.' or '..' component");
}

TEST_CASE("names of members are plain") {
  CHECK_NOTHROW(zk::check_name("id", "web7.example-1_x"));
  for (const char* name : {"", ".", "..", "a/b", "a b", "\xc3\xa9"})
    CHECK_THROWS_AS(zk::check_name("id", name), zk::Refused);
  CHECK_THROWS_AS(zk::check_name("id", std::string(65, 'a')), zk::Refused);
}

TEST_CASE("data that would make the server drop the connection is refused") {
  CHECK_NOTHROW(zk::check_size("/a", 1'000'000));
  CHECK_THROWS_AS(zk::check_size("/a", 1'000'001), zk::Refused);
}

TEST_CASE("paths come apart and together") {
  CHECK(zk::join("/", "a") == "/a");
  CHECK(zk::join("/a", "b") == "/a/b");
  CHECK(zk::parent_of("/a/b") == "/a");
  CHECK(zk::parent_of("/a") == "/");
  CHECK(zk::parent_of("/") == "/");
  CHECK(zk::name_of("/a/b") == "b");
}
