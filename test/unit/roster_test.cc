#include "roster.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>
#include <string>

using zk::Attendance;
using zk::BarrierState;
using zk::here_node;
using zk::left_node;
using zk::Member;
using zk::next_step;
using zk::Step;
using zk::Wish;
using Phase = zk::BarrierState::Phase;
using Kind = zk::Step::Kind;
using Names = std::vector<std::string>;

namespace {

const std::string a = "a@2#0000000001", b = "b@2#0000000002", c = "c@2#0000000003", d = "d@2#0000000004";
// As many as they want to be: not two.
const std::string of_three = "t@3#0000000000", of_one = "o@1#0000000000";

std::vector<Member> members_of(const Names& names) {
  std::vector<Member> members;
  for (const auto& name : names) members.push_back(Member::parse(name).value());
  return members;
}

Names names_of(const std::vector<Member>& members) {
  Names names;
  for (const auto& member : members) names.push_back(member.name);
  return names;
}

BarrierState state(Phase phase, const Names& roster = {}, int members = 2) {
  return {.members = members, .generation = 7, .phase = phase, .roster = members_of(roster)};
}

// Who is here, and what else there is.
Attendance seen(const Names& here, Names others = {}) {
  for (const auto& name : here) others.push_back(here_node(name));
  return Attendance::of(others);
}

Names sorted(Names names) {
  std::ranges::sort(names);
  return names;
}

}  // namespace

TEST_CASE("a member's name is told from everything else") {
  const auto member = Member::parse("web-7.x@64#0000000012");
  REQUIRE(member);
  CHECK(member->id == "web-7.x");
  CHECK(member->members == 64);
  CHECK(member->number == 12);
  CHECK(member->name == "web-7.x@64#0000000012");
  CHECK(Member::parse("a@2#2147483647")->number == 2147483647);
  CHECK(Member::parse("a@2#-2147483648")->number == -2147483647 - 1);
  CHECK(Member::parse("a@7#b@2#0000000001")->id == "a@7#b");
  CHECK(Member::parse("a@7@2#0000000001")->members == 2);
  CHECK(Member::parse("a@3#0000000001") == Member{"a", 3, 1, "a@3#0000000001"});
  for (const char* other : {"",
                            "#",
                            "@",
                            "@#",
                            "a",
                            "a@2",
                            "a@2#",
                            "a#0000000001",
                            "@2#0000000001",
                            "a@#0000000001",
                            "a@0#0000000001",
                            "a@-2#0000000001",
                            "a@+2#0000000001",
                            "a@ 2#0000000001",
                            "a@2 #0000000001",
                            "a@x#0000000001",
                            "a@2x#0000000001",
                            "a@2147483648#0000000001",
                            "a@99999999999999999999#0000000001",
                            "a#0000000001@2",
                            "a@2#1",
                            "a@2#00000000001",
                            "a@2#2147483648",
                            "a@2#-2147483649",
                            "a@2#000000000x",
                            "a@2# 000000001",
                            "a@2#+000000001",
                            "a@2-0000000001"})
    CHECK_FALSE_MESSAGE(Member::parse(other), other);
}

TEST_CASE(
    "those who are here are in the order of their numbers, whatever the server lists, and other nodes are not here") {
  const auto there = Attendance::of({"here-z@2#0000000001", "here-a@2#0000000009", "readme", "here-", "here-x",
                                     "left-" + b, "here-m@3#0000000005", "here-y#0000000003", "HERE-q@2#0000000002"});
  CHECK(names_of(there.here) == Names{"z@2#0000000001", "m@3#0000000005", "a@2#0000000009"});
  CHECK(there.duplicates.empty());
  CHECK(there.nodes.size() == 9);
  CHECK(Attendance::of({}).here.empty());
}

TEST_CASE("of those with the same number the id says who is first") {
  for (const auto& listed : {Names{"here-b@2#0000000003", "here-a@2#0000000003", "here-c@2#0000000002"},
                             Names{"here-a@2#0000000003", "here-c@2#0000000002", "here-b@2#0000000003"}})
    CHECK(names_of(Attendance::of(listed).here) == Names{"c@2#0000000002", "a@2#0000000003", "b@2#0000000003"});
}

TEST_CASE("a newcomer has a number behind all that are here, in the roster, or come twice") {
  const auto name = [](const BarrierState& state, const Names& children) {
    return zk::newcomer(state, Attendance::of(children), "n", 4).name;
  };
  CHECK(name({}, {}) == "n@4#0000000001");
  CHECK(name({}, {"here-" + a, "here-" + c}) == "n@4#0000000004");
  CHECK(name(state(Phase::open, {a, d}), {"here-" + a}) == "n@4#0000000005");
  CHECK(name({}, {"here-x@2#0000000003", "here-x@2#0000000008"}) == "n@4#0000000009");
  CHECK(name({}, {"here-x@2#2147483647"}) == "n@4#0000000001");
  const auto with = zk::joined_by(seen({a}), *Member::parse(b));
  CHECK(names_of(with.here) == Names{a, b});
  CHECK(with.nodes.contains(here_node(b)));
}

TEST_CASE("of those with the same id the one that came first is here") {
  const auto there =
      Attendance::of({"here-a@2#0000000005", "here-b@2#0000000002", "here-a@3#0000000001", "here-a@2#0000000007"});
  CHECK(names_of(there.here) == Names{"a@3#0000000001", "b@2#0000000002"});
  CHECK(names_of(there.duplicates) == Names{"a@2#0000000005", "a@2#0000000007"});
}

TEST_CASE("the first in line watches the last, each other one the one before it") {
  CHECK(neighbour_of(seen({a, b, c}), a) == c);
  CHECK(neighbour_of(seen({a, b, c}), b) == a);
  CHECK(neighbour_of(seen({a, b, c}), c) == b);
  CHECK(neighbour_of(seen({a, b}), a) == b);
  CHECK(neighbour_of(seen({a, b}), b) == a);
  CHECK(neighbour_of(seen({a}), a).empty());
  CHECK(neighbour_of(seen({}), a).empty());
  // Who is not here itself: somebody.
  CHECK(neighbour_of(seen({a, b}), c) == b);
}

TEST_CASE("forming: as long as one is missing nothing is to be done") {
  for (const auto wish : {Wish::take_part, Wish::look, Wish::leave}) {
    CHECK(next_step(state(Phase::forming), seen({}), a, wish).kind == Kind::none);
    CHECK(next_step(state(Phase::forming), seen({a}), a, wish).kind == Kind::none);
    CHECK(next_step(state(Phase::forming), seen({a, "a@2#0000000002"}), a, wish).kind == Kind::none);
    CHECK(next_step(state(Phase::forming), seen({a, of_three, of_one}), a, wish).kind == Kind::none);
    CHECK(next_step(state(Phase::forming), seen({a}, {left_node(b)}), a, wish).kind == Kind::none);
  }
}

TEST_CASE("forming: whoever sees N opens for the first N in line, with their ranks by their ids") {
  const std::string z = "z@2#0000000001";
  for (const auto& [who, wish] :
       {std::pair{b, Wish::take_part}, {z, Wish::take_part}, {c, Wish::take_part}, {b, Wish::look}, {d, Wish::look}}) {
    const auto step = next_step(state(Phase::forming), seen({z, b, c}), who, wish);
    CHECK(step.kind == Kind::open);
    CHECK(step.state.phase == Phase::open);
    CHECK(step.state.generation == 8);
    CHECK(names_of(step.state.roster) == Names{b, z});
    CHECK(sorted(step.exist) == Names{here_node(b), here_node(z)});
    CHECK(step.create.empty());
    CHECK(step.remove.empty());
  }
}

TEST_CASE("forming: only those count that want to be as many as the state says, wherever they are in line") {
  const auto line = seen({of_three, a, of_one, b, "u@3#0000000005", "v@3#0000000006"});
  CHECK(names_of(next_step(state(Phase::forming, {}, 2), line, a, Wish::take_part).state.roster) == Names{a, b});
  CHECK(names_of(next_step(state(Phase::forming, {}, 3), line, a, Wish::take_part).state.roster) ==
        Names{of_three, "u@3#0000000005", "v@3#0000000006"});
  CHECK(names_of(next_step(state(Phase::forming, {}, 1), line, a, Wish::take_part).state.roster) == Names{of_one});
  CHECK(next_step(state(Phase::forming, {}, 4), line, a, Wish::take_part).kind == Kind::none);
}

TEST_CASE("forming: one that comes later under an id that is here is not counted, nor opens it anything") {
  const std::string again = "a@2#0000000009";
  CHECK(next_step(state(Phase::forming), seen({a, again}), again, Wish::take_part).kind == Kind::none);
  CHECK(names_of(next_step(state(Phase::forming), seen({a, again, c}), again, Wish::take_part).state.roster) ==
        Names{a, c});
}

TEST_CASE("open: leaving is noted, and nothing else is to be done while another is inside") {
  const auto opened = state(Phase::open, {a, b});
  CHECK(next_step(opened, seen({a, b, c, d}), c, Wish::take_part).kind == Kind::none);
  CHECK(next_step(opened, seen({a, b}), a, Wish::look).kind == Kind::none);
  auto step = next_step(opened, seen({a, b}), a, Wish::leave);
  CHECK(step.kind == Kind::leave);
  CHECK(step.state == opened);
  CHECK(step.create == Names{left_node(a)});
  CHECK(step.exist == Names{here_node(a)});
  CHECK(next_step(opened, seen({a, b}, {left_node(a)}), a, Wish::leave).kind == Kind::none);
  CHECK(next_step(opened, seen({a, b, c}), c, Wish::leave).kind == Kind::none);
}

TEST_CASE("open: the last to leave ends the generation, and removes all that is left of it and nothing else") {
  auto step =
      next_step(state(Phase::open, {a, b}), seen({a, b, c, of_three}, {left_node(a), "readme"}), b, Wish::leave);
  CHECK(step.kind == Kind::end);
  CHECK(step.state.phase == Phase::forming);
  CHECK(step.state.generation == 7);
  CHECK(step.state.roster.empty());
  CHECK(step.state.broken.empty());
  CHECK(step.create.empty());
  CHECK(sorted(step.remove) == sorted({here_node(a), here_node(b), left_node(a)}));
  // One who has left and gone is not to be waited for.
  step = next_step(state(Phase::open, {a, b}), seen({b}, {left_node(a)}), b, Wish::leave);
  CHECK(step.kind == Kind::end);
  CHECK(step.state.broken.empty());
  CHECK(sorted(step.remove) == sorted({here_node(b), left_node(a)}));
}

TEST_CASE("open: the end opens the next in the same step, none of those who were inside among them") {
  const auto opened = state(Phase::open, {a, b});
  auto step = next_step(opened, seen({a, b, c, d}, {left_node(a), left_node(b)}), d, Wish::take_part);
  CHECK(step.kind == Kind::end);
  CHECK(step.state.phase == Phase::open);
  CHECK(step.state.generation == 8);
  CHECK(names_of(step.state.roster) == Names{c, d});
  CHECK(sorted(step.exist) == Names{here_node(c), here_node(d)});
  CHECK(sorted(step.remove) == sorted({here_node(a), here_node(b), left_node(a), left_node(b)}));
  CHECK(step.create.empty());
  // The same by the last one who leaves; and it does not need to note that any more.
  CHECK(next_step(opened, seen({a, b, c, d}, {left_node(a)}), b, Wish::leave).state == step.state);
  CHECK(next_step(opened, seen({a, b, c, d}, {left_node(a)}), b, Wish::leave).create.empty());
  // Those who have died are told, and the next are none of the dead.
  step = next_step(opened, seen({a, c, d}, {left_node(a)}), c, Wish::take_part);
  CHECK(step.state.phase == Phase::open);
  CHECK(names_of(step.state.roster) == Names{c, d});
  CHECK(step.state.crashed.empty());
  CHECK(crashed_in(step.state, 7) == Names{"b"});
  CHECK(crashed_in(step.state, 8) == Names{});
  // Too few, or too few that want to be as many.
  step = next_step(opened, seen({a, b, c, of_three}, {left_node(a), left_node(b)}), c, Wish::take_part);
  CHECK(step.kind == Kind::end);
  CHECK(step.state.phase == Phase::forming);
  CHECK(step.exist.empty());
}

TEST_CASE("open: one who died inside and has come again under its id may be in the next") {
  const std::string again = "a@2#0000000009";
  const auto step = next_step(state(Phase::open, {a, b}), seen({c, again}, {left_node(b)}), c, Wish::take_part);
  CHECK(step.kind == Kind::end);
  CHECK(names_of(step.state.roster) == Names{again, c});
  CHECK(crashed_in(step.state, 7) == Names{"a"});
}

TEST_CASE("open: one who is not here and has not left has died, and is noted once, by its id") {
  auto opened = state(Phase::open, {a, b, c}, 3);
  for (const auto wish : {Wish::look, Wish::take_part}) {
    const auto step = next_step(opened, seen({a, c, d}), wish == Wish::look ? a : d, wish);
    CHECK(step.kind == Kind::crash);
    CHECK(step.state.phase == Phase::open);
    CHECK(step.state.crashed == Names{"b"});
    CHECK(step.state.roster == opened.roster);
  }
  opened.crashed = {"b"};
  CHECK(next_step(opened, seen({a, c, d}), a, Wish::look).kind == Kind::none);
  CHECK(next_step(opened, seen({a, d}), a, Wish::look).state.crashed == Names{"b", "c"});
  // It is noted together with our own leaving.
  opened.crashed = {};
  const auto step = next_step(opened, seen({a, c}), a, Wish::leave);
  CHECK(step.kind == Kind::leave);
  CHECK(step.state.crashed == Names{"b"});
}

TEST_CASE("open: who has died itself does not leave") {
  const auto step = next_step(state(Phase::open, {a, b}), seen({b}), a, Wish::leave);
  CHECK(step.kind == Kind::crash);
  CHECK(step.state.crashed == Names{"a"});
  CHECK(step.create.empty());
}

TEST_CASE("open: one that has come again under its id is not inside") {
  const auto step = next_step(state(Phase::open, {a, b}), seen({b, "a@2#0000000009"}), b, Wish::look);
  CHECK(step.kind == Kind::crash);
  CHECK(step.state.crashed == Names{"a"});
}

TEST_CASE("open: the end of a generation in which some have died says so from then on") {
  auto step = next_step(state(Phase::open, {a, b}), seen({c}, {left_node(b)}), c, Wish::take_part);
  CHECK(step.kind == Kind::end);
  CHECK(step.state.crashed.empty());
  CHECK(crashed_in(step.state, 7) == Names{"a"});
  CHECK(crashed_in(step.state, 6) == Names{});
  step = next_step(state(Phase::open, {a, b}), seen({}), d, Wish::look);
  CHECK(step.kind == Kind::end);
  CHECK(crashed_in(step.state, 7) == Names{"a", "b"});
}

TEST_CASE("who died is remembered for 16 generations in which somebody did, and then said to be unknown") {
  BarrierState now = state(Phase::open, {a, b});
  for (int i = 1; i <= 20; ++i) {
    now.phase = Phase::open;
    now.generation = 2 * i;  // in those between nobody died
    now.roster = members_of({a, b});
    now = next_step(now, seen({}, {left_node(i % 2 == 0 ? a : b)}), c, Wish::look).state;
    CHECK(now.broken.size() == static_cast<std::size_t>(std::min(i, 16)));
  }
  CHECK(now.forgotten == 8);
  for (int generation = 1; generation <= 8; ++generation) CHECK_FALSE(crashed_in(now, generation));
  CHECK(crashed_in(now, 9) == Names{});
  CHECK(crashed_in(now, 10) == Names{"a"});
  CHECK(crashed_in(now, 12) == Names{"b"});
  CHECK(crashed_in(now, 40) == Names{"b"});
  CHECK(crashed_in(now, 41) == Names{});
  CHECK(BarrierState::parse(now.json()) == now);
}

TEST_CASE("who gives up takes its node away, and is in no roster") {
  auto step = next_step(state(Phase::forming), seen({a}), a, Wish::withdraw);
  CHECK(step.kind == Kind::withdraw);
  CHECK(step.remove == Names{here_node(a)});

  // It does not complete anything by its going.
  step = next_step(state(Phase::forming), seen({a, b}), a, Wish::withdraw);
  CHECK(step.kind == Kind::withdraw);
  CHECK(step.state == state(Phase::forming));
  CHECK(step.exist.empty());
  // If there are enough without it, those may begin.
  step = next_step(state(Phase::forming), seen({a, b, c}), a, Wish::withdraw);
  CHECK(step.kind == Kind::withdraw);
  CHECK(step.remove == Names{here_node(a)});
  if (step.state.phase == Phase::open) CHECK(names_of(step.state.roster) == Names{b, c});

  step = next_step(state(Phase::open, {b, c}), seen({a, b, c}), a, Wish::withdraw);
  CHECK(step.kind == Kind::withdraw);
  CHECK(step.state == state(Phase::open, {b, c}));
  CHECK(step.remove == Names{here_node(a)});
  // Also when those inside have all left, and it would be in the next.
  step = next_step(state(Phase::open, {b, c}), seen({a, b, c, d}, {left_node(b), left_node(c)}), a, Wish::withdraw);
  CHECK(step.kind == Kind::withdraw);
  CHECK_FALSE(step.state.has(a));
  CHECK(std::ranges::count(step.remove, here_node(a)) == 1);
  CHECK(std::ranges::find(step.exist, here_node(a)) == step.exist.end());
  // And one who has come for another number.
  step = next_step(state(Phase::forming), seen({of_three, a, b}), of_three, Wish::withdraw);
  CHECK(step.kind == Kind::withdraw);
  CHECK(step.remove == Names{here_node(of_three)});
}

TEST_CASE("who is inside cannot give up, and who is not here has nothing to take away") {
  CHECK(next_step(state(Phase::open, {a, b}), seen({a, b}), a, Wish::withdraw).kind != Kind::withdraw);
  CHECK(next_step(state(Phase::forming), seen({b}), a, Wish::withdraw).kind == Kind::none);
}

TEST_CASE("a state is the same after it was written and read") {
  BarrierState written{.members = 3,
                       .generation = 9'000'000'000'000,
                       .phase = Phase::open,
                       .roster = members_of({a, b, "web-7.x@3#-2147483648"}),
                       .crashed = {"b"},
                       .broken = {{3, {"a"}}, {5, {"a", "b"}}},
                       .forgotten = 2};
  for (const auto phase : {Phase::forming, Phase::open}) {
    written.phase = phase;
    CHECK(BarrierState::parse(written.json()) == written);
  }
  const BarrierState fresh{.members = 2};
  CHECK(BarrierState::parse(fresh.json()) == fresh);
}

TEST_CASE("what is no state of a barrier is none") {
  for (const char* data : {"",
                           "soup",
                           "{}",
                           "[]",
                           "null",
                           "7",
                           "\"forming\"",
                           "\xff\xfe",
                           R"({"members":2})",
                           R"({"members":2,"generation":0,"phase":"forming"})",
                           R"({"members":2,"generation":0,"phase":"shut","roster":[]})",
                           R"({"members":2,"generation":0,"phase":"called","roster":[]})",
                           R"({"members":2,"generation":0,"phase":7,"roster":[]})",
                           R"({"members":"2","generation":0,"phase":"forming","roster":[]})",
                           R"({"members":0,"generation":0,"phase":"forming","roster":[]})",
                           R"({"members":-3,"generation":0,"phase":"forming","roster":[]})",
                           R"({"members":2,"generation":-1,"phase":"forming","roster":[]})",
                           R"({"members":2,"generation":0,"phase":"forming","roster":{}})",
                           R"({"members":2,"generation":0,"phase":"open","roster":["a"]})",
                           R"({"members":2,"generation":0,"phase":"open","roster":["a#0000000001"]})",
                           R"({"members":2,"generation":0,"phase":"open","roster":[7]})",
                           R"({"members":2,"generation":0,"phase":"open","roster":[],"crashed":"a"})",
                           R"({"members":2,"generation":0,"phase":"open","roster":[],"broken":[{"generation":1}]})",
                           R"({"members":2,"generation":0,"phase":"open","roster":[],"broken":[7]})",
                           R"({"members":2,"generation":0,"phase":"open","roster":[],"broken":7})",
                           R"({"members":2,"generation":0,"phase":"open","roster":[],"forgotten":"x"})",
                           R"({"members":2,"generation":0,"phase":"forming","roster":[]} x)"})
    CHECK_FALSE_MESSAGE(BarrierState::parse(data), data);
  CHECK_FALSE(BarrierState::parse(std::string(1'000'000, '[')));
}

// --- many members, in an order that no plan foresaw, against a folder in memory ---

namespace {

struct Folder {
  BarrierState state;
  int version = 0;
  std::set<std::string> nodes;
  std::map<std::string, int> owners;  // of the ephemeral ones
  std::int32_t counter = 0;

  // All of it or nothing, as the server does it.
  bool transact(const Step& step, int seen_version) {
    if (version != seen_version) return false;
    for (const auto& node : step.exist)
      if (!nodes.contains(node)) return false;
    for (const auto& node : step.create)
      if (nodes.contains(node)) return false;
    for (const auto& node : step.remove)
      if (!nodes.contains(node)) return false;
    for (const auto& node : step.create) nodes.insert(node);
    for (const auto& node : step.remove) {
      nodes.erase(node);
      owners.erase(node);
    }
    if (step.state != state) ++version;
    state = step.state;
    return true;
  }
};

// Each name is used once here, so that the checks can tell who is who.
std::string next_name(Folder& folder, const std::string& id, int members) {
  char number[16];
  std::snprintf(number, sizeof number, "%010d", ++folder.counter);
  return id + "@" + std::to_string(members) + "#" + number;
}

struct Actor {
  std::string id, name{};
  enum class Life { away, waiting, giving_up, inside, leaving, left, dead } life = Life::away;
  int members = 0;  // as many it wants to be
  int session = 0;
  std::int64_t generation = 0;

  // What it has seen: the state, and later, perhaps much later, the children.
  BarrierState state{};
  int version = -1;
  std::set<std::string> nodes{};
  bool looked = false;
};

class World {
 public:
  // Now and then somebody wants to be `others`.
  World(unsigned seed, int members, int others, int actors) : random_(seed), members_(members), others_(others) {
    folder_.state.members = members;
    for (int i = 0; i < actors; ++i) actors_.push_back({.id = std::string(1, static_cast<char>('a' + i))});
  }

  void run(int steps) {
    for (int i = 0; i < steps && !failed_; ++i) {
      auto& actor = actors_[below(actors_.size())];
      const unsigned chance = below(1000);
      if (chance < 8 && actor.life != Actor::Life::dead && actor.life != Actor::Life::away) {
        actor.life = Actor::Life::dead;  // its nodes stay until its session ends
      } else if (actor.life == Actor::Life::dead) {
        if (chance < 60) bury(actor);
      } else if (chance < 40 && actor.life == Actor::Life::waiting) {
        actor.life = Actor::Life::giving_up;
      } else if (chance < 200 && actor.life == Actor::Life::inside) {
        actor.life = Actor::Life::leaving;
      } else {
        act(actor);
      }
    }
    settle();
  }

  int opened = 0, opened_at_an_end = 0, ended = 0, broken = 0, given_up = 0, refused = 0, renumbered = 0;

 private:
  using Life = Actor::Life;

  unsigned below(std::size_t limit) { return static_cast<unsigned>(random_() % limit); }

  void require(bool holds, const std::string& what) {
    if (!holds) failed_ = true;
    CHECK_MESSAGE(holds, what);
  }

  void bury(Actor& actor) {
    for (auto owned = folder_.owners.begin(); owned != folder_.owners.end();) {
      if (owned->second != actor.session) {
        ++owned;
        continue;
      }
      folder_.nodes.erase(owned->first);
      owned = folder_.owners.erase(owned);
    }
    actor = {.id = actor.id};
  }

  // One request of it, or a decision made on what it has seen, which may be old.
  void act(Actor& actor) {
    if (actor.life == Life::away) {
      // Not before the last one of that id has gone: that would be refused.
      if (std::ranges::any_of(folder_.nodes,
                              [&](const auto& node) { return node.starts_with(here_node(actor.id + "@")); }))
        return;
      actor.session = ++sessions_;
      actor.members = below(20) == 0 ? others_ : members_;
      actor.name = next_name(folder_, actor.id, actor.members);
      folder_.nodes.insert(here_node(actor.name));
      folder_.owners[here_node(actor.name)] = actor.session;
      actor.life = Life::waiting;
      actor.version = -1;
      actor.looked = false;
    } else if (actor.version < 0 || below(4) == 0) {
      actor.state = folder_.state;
      actor.version = folder_.version;
      actor.looked = false;
    } else if (!actor.looked) {
      actor.nodes = folder_.nodes;
      actor.looked = true;
    } else {
      decide(actor);
      actor.version = -1;
    }
  }

  void decide(Actor& actor) {
    const bool in_open = actor.state.phase == Phase::open && actor.state.has(actor.name);
    if ((actor.life == Life::waiting || actor.life == Life::giving_up) && in_open) {
      actor.generation = actor.state.generation;
      actor.life = Life::inside;
      return;
    }
    const bool after = actor.life == Life::inside || actor.life == Life::leaving || actor.life == Life::left;
    if (after && (actor.state.generation != actor.generation || actor.state.phase != Phase::open)) {
      // It is over, though we live: then we have left, and are told who has not.
      require(actor.life == Life::left, "a generation ended while " + actor.name + " was inside");
      const auto dead = crashed_in(actor.state, actor.generation);
      if (dead) require(*dead == crashes_[actor.generation], "another list of the dead for " + actor.name);
      bury(actor);  // its session closes
      return;
    }
    if (after)
      require(std::ranges::find(actor.state.crashed, actor.id) == actor.state.crashed.end(),
              actor.name + " is said to be dead");

    const Attendance there = Attendance::of({actor.nodes.begin(), actor.nodes.end()});
    if (actor.life == Life::waiting && there.here.front().members != actor.members) {
      ++refused;
      actor.life = Life::giving_up;  // the first in line decides how many there are
      return;
    }
    const bool renumbers = actor.life == Life::waiting && actor.state.members != actor.members;
    const Wish wish = renumbers                       ? Wish::look
                      : actor.life == Life::waiting   ? Wish::take_part
                      : actor.life == Life::giving_up ? Wish::withdraw
                      : actor.life == Life::leaving   ? Wish::leave
                                                      : Wish::look;
    Step step = next_step(actor.state, there, actor.name, wish);
    if (renumbers && actor.state.phase == Phase::forming) {  // as Barrier::settle_members does
      step = {.kind = Kind::end, .state = actor.state};
      step.state.members = actor.members;
    }
    if (step.kind == Kind::none) {
      if (actor.life == Life::leaving && actor.nodes.contains(left_node(actor.name))) actor.life = Life::left;
      return;
    }
    const BarrierState before = folder_.state;
    const auto nodes_before = folder_.nodes;
    if (!folder_.transact(step, actor.version)) return;
    judge(before, nodes_before, actor, step);
    if (step.kind == Kind::withdraw) {
      ++given_up;
      require(!folder_.state.has(actor.name), actor.name + " has gone and is in a roster");
      for (const auto& node : folder_.nodes) require(!node.ends_with("-" + actor.name), node + " is left");
      bury(actor);
    } else if (actor.life == Life::leaving && (step.kind == Kind::leave || step.kind == Kind::end)) {
      actor.life = Life::left;
    }
  }

  void judge(const BarrierState& before, const std::set<std::string>& nodes_before, const Actor& actor,
             const Step& step) {
    const auto& after = folder_.state;
    require(after.members == before.members || (before.phase == Phase::forming && after.phase == Phase::forming),
            "another number of members in the middle of it");
    require(after.generation >= before.generation, "a number that falls");
    require((after.phase == Phase::open) != after.roster.empty(), "a roster of nobody, or one before it is open");
    if (after.members != before.members) ++renumbered;
    if (after.generation != before.generation) {
      ++opened;
      if (before.phase == Phase::open) ++opened_at_an_end;
      require(after.phase == Phase::open && after.generation == before.generation + 1, "a number for nothing");
      require(after.roster.size() == static_cast<std::size_t>(after.members), "not as many as there must be");
      for (std::size_t rank = 0; rank < after.roster.size(); ++rank) {
        const auto& member = after.roster[rank];
        require(rank == 0 || after.roster[rank - 1].id < member.id, "an id is there twice");
        require(member.members == after.members, member.name + " wants to be others");
        require(were_in_.insert(member.name).second, member.name + " is in two rosters");
        require(nodes_before.contains(here_node(member.name)), member.name + " is not here");
        // Its process may be dead, as long as its session is not.
        require(std::ranges::find(actors_, member.name, &Actor::name) != actors_.end(),
                member.name + " has given up, and is inside");
      }
    } else if (before.phase == Phase::open && after.phase == Phase::open) {
      require(after.roster == before.roster, "another roster in the middle of it");
    }
    const bool over =
        before.phase == Phase::open && (after.phase != Phase::open || after.generation != before.generation);
    if (over) {
      ++ended;
      Names dead;
      for (const auto& member : before.roster) {
        const bool left = nodes_before.contains(left_node(member.name)) ||
                          (step.kind == Kind::end && actor.name == member.name && actor.life == Life::leaving);
        require(left || !nodes_before.contains(here_node(member.name)), "ended while " + member.name + " was inside");
        if (!left) dead.push_back(member.id);
        for (const auto& node : {here_node(member.name), left_node(member.name)})
          require(!folder_.nodes.contains(node), node + " is left");
      }
      const auto told = crashed_in(after, before.generation);
      require(told && sorted(*told) == sorted(dead), "the dead are not told");
      if (told) crashes_[before.generation] = *told;
      if (!dead.empty()) ++broken;
    }
    if (before.phase == Phase::open && !over)
      for (const auto& id : after.crashed) {
        const auto member = std::ranges::find(after.roster, id, &Member::id);
        require(member != after.roster.end() && !nodes_before.contains(here_node(member->name)) &&
                    !nodes_before.contains(left_node(member->name)),
                id + " is said to be dead");
      }
  }

  // Nobody dies or gives up any more, and all want to be as many: all who wait must get in, but those who are too few.
  void settle() {
    others_ = members_;
    for (auto& actor : actors_)
      if (actor.life == Life::dead)
        bury(actor);
      else if (actor.life == Life::waiting && actor.members != members_)
        actor.life = Life::giving_up;
    const int before = opened;
    for (int i = 0; i < 4000 && !failed_; ++i) {
      auto& actor = actors_[below(actors_.size())];
      if (actor.life == Life::inside) actor.life = Life::leaving;
      act(actor);
    }
    require(opened > before + 3, "it does not go on");
  }

  std::mt19937 random_;
  int members_, others_;
  Folder folder_;
  std::vector<Actor> actors_;
  int sessions_ = 0;
  bool failed_ = false;
  std::map<std::int64_t, Names> crashes_;
  std::set<std::string> were_in_;
};

}  // namespace

TEST_CASE("whatever members do and whenever they die, a generation has N who were here, and nobody is in two") {
  int opened = 0, opened_at_an_end = 0, ended = 0, broken = 0, given_up = 0, refused = 0, renumbered = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const int members = static_cast<int>(seed % 4) + 1;
    World world(seed, members, seed % 3 == 0 ? members % 4 + 1 : members, members + static_cast<int>(seed % 5));
    INFO("seed ", seed);
    world.run(4000);
    opened += world.opened;
    opened_at_an_end += world.opened_at_an_end;
    ended += world.ended;
    broken += world.broken;
    given_up += world.given_up;
    refused += world.refused;
    renumbered += world.renumbered;
  }
  // It was put to the test.
  CHECK(opened > 1000);
  CHECK(opened_at_an_end > 100);
  CHECK(ended > 1000);
  CHECK(broken > 100);
  CHECK(given_up > 100);
  CHECK(refused > 100);
  CHECK(renumbered > 20);
}
