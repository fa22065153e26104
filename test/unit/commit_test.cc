#include "commit.h"

#include <doctest/doctest.h>

#include "error.h"

namespace {

using zk::Proposal;
using zk::Quorum;
using zk::Transaction;
using zk::Verdict;
using zk::Votes;
using Names = std::vector<std::string>;
using Set = std::set<std::string>;

Proposal proposal(const std::string& id, std::int64_t order, const Names& words, const Names& roster = {"a", "b"}) {
  return {.id = id, .about = "{}", .roster = roster, .transaction = Transaction::of(words), .order = order};
}

Verdict verdict(const Names& children, const Set& alive = {"a", "b", "c"}, const std::string& give_up = "") {
  return zk::decide({"a", "b", "c"}, Votes::of(children), alive, give_up);
}

std::vector<std::string> names(const std::vector<zk::LogEntry>& log) {
  std::vector<std::string> all;
  for (const auto& entry : log) all.push_back(entry.name);
  return all;
}

}  // namespace

TEST_CASE("a transaction is committed if and only if all in the roster have voted yes") {
  using Kind = Verdict::Kind;
  CHECK(verdict({"yes-a", "yes-b", "yes-c"}).kind == Kind::commit);
  CHECK(verdict({"yes-a", "yes-b", "yes-c", "yes-d"}).kind == Kind::commit);
  CHECK(verdict({"yes-a", "yes-b"}).kind == Kind::wait);
  CHECK(verdict({"yes-a", "yes-b"}).missing == Names{"c"});
  CHECK(verdict({"yes-a", "yes-b", "no-c"}).kind == Kind::abort);
  CHECK(verdict({"yes-a", "yes-b", "no-c"}).why == "c voted no");
  CHECK(verdict({"no-b", "no-c"}).why == "b and c voted no");
  CHECK(verdict({"yes-d"}).kind == Kind::wait);  // a stranger's vote is no one's
}

TEST_CASE("who dies before its vote is waited for no longer, and who dies after it does not matter") {
  using Kind = Verdict::Kind;
  CHECK(verdict({"yes-a"}, {"a", "b"}).kind == Kind::abort);
  CHECK(verdict({"yes-a"}, {"a", "b"}).why == "c died before its vote");
  CHECK(verdict({}, {"b"}).why == "a and c died before voting");
  CHECK(verdict({"yes-c"}, {"a", "b"}).kind == Kind::wait);
  CHECK(verdict({"yes-a", "yes-b", "yes-c"}, {}).kind == Kind::commit);
}

TEST_CASE("who gives up aborts what is not decided, and commits what all have agreed to") {
  using Kind = Verdict::Kind;
  CHECK(verdict({"yes-a"}, {"a", "b", "c"}, "no vote in time").kind == Kind::abort);
  CHECK(verdict({"yes-a"}, {"a", "b", "c"}, "no vote in time").why == "no vote in time");
  CHECK(verdict({"yes-a"}, {"a", "b", "c"}, "no vote in time").missing == Names{"b", "c"});
  CHECK(verdict({"yes-a", "yes-b", "yes-c"}, {}, "its coordinator is gone").kind == Kind::commit);
}

TEST_CASE("who has to vote is who is alive, if these are enough") {
  const Set members{"a", "b", "c"};
  CHECK(zk::roster_of(members, {"a", "b", "c"}, {}).ids == Names{"a", "b", "c"});
  CHECK(zk::roster_of(members, {"a", "c"}, {}).ids == Names{"a", "c"});
  CHECK(zk::roster_of(members, {"a", "x"}, {}).why_not == "2 of the 3 members must be there; a is; missing: b and c");
  CHECK(zk::roster_of(members, {}, {}).why_not == "2 of the 3 members must be there; nobody is; missing: a, b and c");
  CHECK(zk::roster_of(members, {"a", "c"}, Quorum::parse("all")).why_not ==
        "3 of the 3 members must be there; a and c are; missing: b");
  CHECK(zk::roster_of(members, {"a"}, Quorum::parse("1")).ids == Names{"a"});
  CHECK(zk::roster_of(members, {"a", "b", "c"}, Quorum::parse("4")).why_not ==
        "4 members must be there, but there are 3");
  CHECK(zk::roster_of({}, {}, {}).why_not == "1 member must be there, but there are 0");
  CHECK(zk::roster_of({}, {}, Quorum::parse("all")).ids.empty());
  CHECK_THROWS_AS(Quorum::parse("0"), zk::WrongUsage);
  CHECK_THROWS_AS(Quorum::parse("most"), zk::WrongUsage);
}

TEST_CASE("a transaction waits for an earlier one that touches the same keys, and for no other") {
  const auto free = [](const std::vector<Names>& all) {
    std::vector<Proposal> proposals;
    for (const auto& words : all) proposals.push_back(proposal("1-1", 0, words));
    std::vector<const Proposal*> undecided;
    for (const auto& each : proposals) undecided.push_back(&each);
    std::vector<std::ptrdiff_t> result;
    for (const auto* each : zk::free_to_vote(undecided)) result.push_back(each - proposals.data());
    return result;
  };
  using Which = std::vector<std::ptrdiff_t>;
  CHECK(free({{"set", "x=1"}, {"set", "y=1"}}) == Which{0, 1});
  CHECK(free({{"set", "x=1"}, {"set", "x=2"}}) == Which{0});
  CHECK(free({{"set", "x=1"}, {"delete", "x"}}) == Which{0});
  CHECK(free({{"set", "x=1"}, {"set", "y=1", "if", "x=0"}}) == Which{0});
  CHECK(free({{"set", "y=1", "if", "x=0"}, {"set", "x=1"}}) == Which{0});
  CHECK(free({{"set", "x=1", "if", "z=1"}, {"set", "y=1", "if", "z=1"}}) == Which{0, 1});
  // One that waits holds up those behind it.
  CHECK(free({{"set", "x=1"}, {"set", "x=2", "y=2"}, {"set", "y=3"}, {"set", "z=4"}}) == Which{0, 3});
  CHECK(free({}).empty());
}

TEST_CASE("transactions are in the order in which they were begun, and of one moment in that of their names") {
  const auto first = proposal("2-1", 10, {"set", "x=1"}), second = proposal("1-1", 11, {"set", "x=1"});
  CHECK(first.before(second));
  CHECK_FALSE(second.before(first));
  CHECK(second.before(proposal("1-2", 11, {"set", "x=1"})));
  CHECK(proposal("1-9", 11, {"set", "x=1"}).before(proposal("1-10", 11, {"set", "x=1"})));
  CHECK_FALSE(first.before(first));
}

TEST_CASE("the log is in the order of its versions, and foreign nodes are no part of it") {
  const auto log = zk::log_entries({"2-1-0000000004", "1-7-0000000002", "x", "1-2", "1-x-0000000001", "1-8-000003"});
  CHECK(names(log) == Names{"1-7-0000000002", "2-1-0000000004"});
  CHECK(log[0].version == 3);
  CHECK(log[0].transaction == "1-7");
}

TEST_CASE("of the log only what is over may go, and never the newest entry") {
  const auto log = zk::log_entries({"1-1-0000000000", "1-2-0000000001", "1-3-0000000002"});
  CHECK(names(zk::done_with(log, {})) == Names{"1-1-0000000000", "1-2-0000000001"});
  CHECK(names(zk::done_with(log, {"1-2"})) == Names{"1-1-0000000000"});
  CHECK(zk::done_with({}, {}).empty());
}

TEST_CASE("transactions and coordinators are told by their names") {
  CHECK(zk::coordinator_of("17-3") == 17);
  for (const auto* name : {"", "17", "-3", "17-", "17-x", "a-1", "17--3", "99999999999-1"})
    CHECK_FALSE(zk::coordinator_of(name).has_value());
  CHECK(zk::next_of("17-9") == "17-10");
  CHECK(zk::coordinator_number("0123456789abcdef-0000000016") == 17);
  CHECK_FALSE(zk::coordinator_number("x").has_value());
  CHECK_FALSE(zk::coordinator_number("0123456789abcdef--000000016").has_value());
}

TEST_CASE("what a proposal, a member and a presence say is read as it was written") {
  zk::Node node;
  node.data = proposal("1-1", 0, {"set", "x=1", "if-missing", "x"}).json();
  node.stat.czxid = 42;
  const auto read = Proposal::parse("1-1", node);
  REQUIRE(read);
  CHECK(read->roster == Names{"a", "b"});
  CHECK(read->order == 42);
  CHECK(read->transaction == Transaction::of({"set", "x=1", "if-missing", "x"}));
  CHECK(read->asks("b"));
  CHECK_FALSE(read->asks("c"));
  CHECK_FALSE(Proposal::parse("foreign", node));
  for (const auto* data : {"", "{}", "[]", "7", R"({"by":{},"roster":["/"],"changes":[],"conditions":[]})",
                           R"({"by":{},"roster":"a","changes":[],"conditions":[]})",
                           R"({"by":{},"roster":[],"changes":[],"conditions":[]})",
                           R"({"by":[[[[[[[[[1]]]]]]]]],"roster":["a"],"changes":[],"conditions":[]})"}) {
    node.data = data;
    CHECK_FALSE(Proposal::parse("1-1", node));
  }
  const auto member = zk::Membership::parse(zk::Membership{"abc", 7}.json());
  REQUIRE(member);
  CHECK(member->store == "abc");
  CHECK(member->version == 7);
  CHECK_FALSE(zk::Membership::parse(R"({"store":7,"version":"x"})"));
  const auto presence = zk::Presence::parse(zk::Presence{"{}", "127.0.0.1:1", "key"}.json());
  REQUIRE(presence);
  CHECK(presence->endpoint == "127.0.0.1:1");
  CHECK_FALSE(zk::Presence::parse("null"));
}

TEST_CASE("a decision checks every vote, and its opposite takes away what was seen") {
  const zk::RegisterPaths paths{"/r"};
  const auto commit = zk::commit_operations(paths, "1-1", {"a", "b"});
  REQUIRE(commit.size() == 4);
  CHECK(commit[0].path == "/r/tx/1-1/yes-a");
  CHECK(commit[1].path == "/r/tx/1-1/yes-b");
  CHECK(commit[2].path == "/r/tx/1-1/committed");
  CHECK(commit[3].path == "/r/log/1-1-");
  const auto abort = zk::removal_operations(paths, "1-1", Votes::of({"yes-a", "no-b"}));
  REQUIRE(abort.size() == 3);
  CHECK(abort[2].path == "/r/tx/1-1");
}
