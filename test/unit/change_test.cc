#include "change.h"

#include <doctest/doctest.h>

#include <limits>

using zk::Aspect;
using zk::data_changes;
using zk::Family;
using zk::family_changes;
using zk::Node;
using Event = zk::Change::Event;
using Names = std::vector<std::string>;

namespace {

Node node(std::int64_t czxid, std::int64_t mzxid, std::int32_t version, const std::string& data = "") {
  Node made;
  made.data = data;
  made.stat.czxid = czxid;
  made.stat.mzxid = mzxid;
  made.stat.version = version;
  return made;
}

Family family(std::int64_t czxid, std::int32_t cversion, const Names& children) {
  Family made{node(czxid, czxid, 0), children};
  made.node.stat.cversion = cversion;
  return made;
}

}  // namespace

TEST_CASE("of data that are as they were there is nothing to tell") {
  CHECK(data_changes("/a", std::nullopt, std::nullopt).empty());
  CHECK(data_changes("/a", node(5, 7, 2), node(5, 7, 2)).empty());
}

TEST_CASE("a change of the children or of the access list is none of the data") {
  auto after = node(5, 7, 2);
  after.stat.cversion = 4;
  after.stat.pzxid = 9;
  after.stat.aversion = 1;
  CHECK(data_changes("/a", node(5, 7, 2), after).empty());
}

TEST_CASE("data that were set to the same value have changed") {
  const auto changes = data_changes("/a", node(5, 7, 2, "x"), node(5, 8, 3, "x"));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::changed);
  CHECK(changes[0].path == "/a");
  CHECK(changes[0].aspect == Aspect::data);
  CHECK(changes[0].node->data == "x");
  CHECK(changes[0].node->stat.version == 3);
  CHECK(changes[0].missed == 0);
  CHECK_FALSE(changes[0].after_gap);
}

TEST_CASE("each version between two readings was a change that was missed") {
  const auto changes = data_changes("/a", node(5, 7, 2), node(5, 20, 7));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].missed == 4);
}

TEST_CASE("versions may wrap, from the greatest to the least and past -1") {
  constexpr auto greatest = std::numeric_limits<std::int32_t>::max();
  constexpr auto least = std::numeric_limits<std::int32_t>::min();
  const auto wrapped = data_changes("/a", node(5, 7, greatest), node(5, 9, least + 1));
  REQUIRE(wrapped.size() == 1);
  CHECK(wrapped[0].missed == 1);
  const auto past_zero = data_changes("/a", node(5, 7, -2), node(5, 9, 1));
  REQUIRE(past_zero.size() == 1);
  CHECK(past_zero[0].missed == 2);
}

TEST_CASE("a node that was not there has been created, and what was set since is counted") {
  auto changes = data_changes("/a", std::nullopt, node(5, 5, 0, "x"));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::created);
  CHECK(changes[0].node->data == "x");
  CHECK(changes[0].missed == 0);
  changes = data_changes("/a", std::nullopt, node(5, 9, 3));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].missed == 3);
}

TEST_CASE("a node that is not there any more has been deleted, and is told as it was last seen") {
  const auto changes = data_changes("/a", node(5, 7, 2, "x"), std::nullopt);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::deleted);
  CHECK_FALSE(changes[0].node);
  CHECK(changes[0].last.czxid == 5);
  CHECK(changes[0].last.mzxid == 7);
  CHECK(changes[0].last.version == 2);
  CHECK(changes[0].missed == 0);
}

TEST_CASE("another node of the same name was deleted and created, in this order") {
  const auto changes = data_changes("/a", node(5, 7, 2, "old"), node(9, 11, 1, "new"));
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].event == Event::deleted);
  CHECK(changes[0].last.czxid == 5);
  CHECK(changes[0].missed == 0);
  CHECK(changes[1].event == Event::created);
  CHECK(changes[1].node->data == "new");
  CHECK(changes[1].missed == 1);
}

TEST_CASE("another node is told as one also if its version is that of the old one") {
  CHECK(data_changes("/a", node(5, 5, 0), node(9, 9, 0)).size() == 2);
}

TEST_CASE("of children that are as they were there is nothing to tell") {
  CHECK(family_changes("/a", std::nullopt, std::nullopt).empty());
  CHECK(family_changes("/a", family(5, 2, {"x", "y"}), family(5, 2, {"x", "y"})).empty());
}

TEST_CASE("a change of the data is none of the children") {
  auto after = family(5, 2, {"x", "y"});
  after.node.stat.mzxid = 9;
  after.node.stat.version = 3;
  CHECK(family_changes("/a", family(5, 2, {"x", "y"}), after).empty());
}

TEST_CASE("children that came and went are told by name, and none was missed") {
  const auto changes = family_changes("/a", family(5, 3, {"a", "b", "d"}), family(5, 7, {"b", "c", "e"}));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::children);
  CHECK(changes[0].path == "/a");
  CHECK(changes[0].aspect == Aspect::children);
  CHECK(changes[0].children == Names{"b", "c", "e"});
  CHECK(changes[0].added == Names{"c", "e"});
  CHECK(changes[0].removed == Names{"a", "d"});
  CHECK(changes[0].missed == 0);
}

TEST_CASE("children that came and went between two readings are counted") {
  const auto changes = family_changes("/a", family(5, 3, {"a"}), family(5, 7, {"a"}));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::children);
  CHECK(changes[0].added.empty());
  CHECK(changes[0].removed.empty());
  CHECK(changes[0].missed == 4);
}

TEST_CASE("the version of the children may wrap") {
  constexpr auto greatest = std::numeric_limits<std::int32_t>::max();
  constexpr auto least = std::numeric_limits<std::int32_t>::min();
  const auto changes = family_changes("/a", family(5, greatest, {}), family(5, least, {"x"}));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].added == Names{"x"});
  CHECK(changes[0].missed == 0);
}

TEST_CASE("a node that was not there is created with its children") {
  const auto changes = family_changes("/a", std::nullopt, family(5, 4, {"x", "y"}));
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::created);
  CHECK(changes[0].children == Names{"x", "y"});
  CHECK(changes[0].added == Names{"x", "y"});
  CHECK(changes[0].missed == 2);  // one came and went
}

TEST_CASE("the children of a node that was deleted went with it") {
  const auto changes = family_changes("/a", family(5, 2, {"x", "y"}), std::nullopt);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].event == Event::deleted);
  CHECK_FALSE(changes[0].node);
  CHECK(changes[0].aspect == Aspect::children);
  CHECK(changes[0].removed == Names{"x", "y"});
  CHECK(changes[0].added.empty());
  CHECK(changes[0].children.empty());
  CHECK(changes[0].last.czxid == 5);
}

TEST_CASE("another node of the same name has other children, also if their names are the same") {
  const auto changes = family_changes("/a", family(5, 2, {"x", "y"}), family(9, 1, {"x"}));
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].event == Event::deleted);
  CHECK(changes[0].removed == Names{"x", "y"});
  CHECK(changes[0].last.cversion == 2);
  CHECK(changes[1].event == Event::created);
  CHECK(changes[1].added == Names{"x"});
  CHECK(changes[1].removed.empty());
  CHECK(changes[1].children == Names{"x"});
  CHECK(changes[1].missed == 0);
}
