#include "identity.h"

#include <doctest/doctest.h>

using zk::Identity;

TEST_CASE("who we are survives the way through a node") {
  const auto mine = Identity::mine("a \"label\"\n");
  const auto read = Identity::parse(mine.json());
  REQUIRE(read);
  CHECK(read->host == mine.host);
  CHECK(read->pid == mine.pid);
  CHECK(read->label == mine.label);
  CHECK(mine.json().find('\n') == std::string::npos);
}

TEST_CASE("data of another form is nobody") {
  for (const char* data : {"", "x", "[]", "{}", "{\"pid\":\"1\"}", "{\"pid\":1", "null"})
    CHECK_FALSE(Identity::parse(data));
}

TEST_CASE("who writes control characters about himself does not reach the terminal") {
  const auto hostile = Identity::parse("{\"host\":\"\\u001b]0;x\",\"pid\":7,\"label\":\"a\\nb\"}");
  REQUIRE(hostile);
  CHECK(hostile->shown() == "\\x1b]0;x:7 (a\\nb)");
}

TEST_CASE("a label that is not UTF-8 stops nobody") { CHECK(Identity::parse(Identity::mine("\xff").json())); }
