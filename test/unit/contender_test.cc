#include "contender.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using zk::Kind;
using zk::Turn;
using zk::turn_of;

namespace {

std::string name(char id, Kind kind, const char* sequence) {
  return zk::contender_prefix(std::string(16, id), kind) + sequence;
}
std::string write(char id, const char* sequence) { return name(id, Kind::write, sequence); }
std::string read(char id, const char* sequence) { return name(id, Kind::read, sequence); }
std::string permit(char id, const char* sequence) { return name(id, Kind::permit, sequence); }

}  // namespace

TEST_CASE("a contender's name is told from everything else") {
  const auto contender = zk::parse_contender("00ff00ff00ff00ff-write-0000000012");
  REQUIRE(contender);
  CHECK(contender->id == "00ff00ff00ff00ff");
  CHECK(contender->kind == Kind::write);
  CHECK(contender->sequence == 12);
  CHECK(zk::parse_contender("a-read-2147483647")->sequence == 2147483647);
  CHECK(zk::parse_contender("a-read--2147483648")->sequence == -2147483647 - 1);
  CHECK(zk::parse_contender("a-permit--000000005")->sequence == -5);
  for (const char* other :
       {"", "config", "-write-0000000001", "a-write-", "a-write-1", "a-write-00000000001", "a-write-0000000001x",
        "a-write-99999999999", "a-write-2147483648", "a-own-0000000001", "x-write-0000000001", "a-write-+000000001",
        "a-write- 000000001", "_c_a-lock-0000000001", "a-write--2147483649"})
    CHECK_FALSE(zk::parse_contender(other));
}

TEST_CASE("the order is that of the numbers, whatever the ids") {
  const auto order =
      zk::in_order({write('f', "0000000001"), write('0', "0000000003"), "rubbish", read('a', "0000000002")}, 3);
  REQUIRE(order.size() == 3);
  CHECK(order[0].sequence == 1);
  CHECK(order[1].sequence == 2);
  CHECK(order[2].sequence == 3);
}

TEST_CASE("the order survives the wrap of the server's counter") {
  const auto last = write('a', "2147483647"), first = write('b', "-2147483648"), next = write('c', "-2147483647");
  CHECK(turn_of(last, {next, first, last}, 1).kind == Turn::Kind::enter);
  CHECK(turn_of(first, {next, first, last}, 1).ahead == last);
  CHECK(turn_of(next, {next, first, last}, 1).ahead == first);
  const auto minus = write('d', "-000000001"), zero = write('e', "0000000000");
  CHECK(turn_of(zero, {zero, minus}, 1).ahead == minus);
  CHECK(turn_of(minus, {zero, minus}, 1).kind == Turn::Kind::enter);
}

TEST_CASE("names made to confuse cannot make the order inconsistent") {
  const std::vector<std::string> circle{write('a', "0000000000"), write('b', "1500000000"), write('c', "-1500000000")};
  for (const auto& mine : circle) {
    const auto turn = turn_of(mine, circle, 1);
    CHECK((turn.kind == Turn::Kind::enter || turn.kind == Turn::Kind::wait_for));
  }
}

TEST_CASE("a writer waits for the one directly before it") {
  const std::vector<std::string> all{write('a', "0000000001"), read('b', "0000000002"), write('c', "0000000003")};
  CHECK(turn_of(all[0], all, 1).kind == Turn::Kind::enter);
  CHECK(turn_of(all[2], all, 1).kind == Turn::Kind::wait_for);
  CHECK(turn_of(all[2], all, 1).ahead == all[1]);
  CHECK(turn_of(all[2], all, 1).position == 2);
}

TEST_CASE("readers share, and wait for the nearest writer before them") {
  const std::vector<std::string> all{read('a', "0000000001"), read('b', "0000000002"), write('c', "0000000003"),
                                     read('d', "0000000004"), read('e', "0000000005")};
  CHECK(turn_of(all[0], all, 1).kind == Turn::Kind::enter);
  CHECK(turn_of(all[1], all, 1).kind == Turn::Kind::enter);
  CHECK(turn_of(all[3], all, 1).ahead == all[2]);
  CHECK(turn_of(all[4], all, 1).ahead == all[2]);
}

TEST_CASE("of those who want permits the first waits for anyone, the others for the one before them") {
  const std::vector<std::string> all{permit('a', "0000000001"), permit('b', "0000000002"), permit('c', "0000000003"),
                                     permit('d', "0000000004")};
  CHECK(turn_of(all[1], all, 2).kind == Turn::Kind::enter);
  CHECK(turn_of(all[2], all, 2).kind == Turn::Kind::wait_first);
  CHECK(turn_of(all[3], all, 2).kind == Turn::Kind::wait_for);
  CHECK(turn_of(all[3], all, 2).ahead == all[2]);
}

TEST_CASE("a limit and none exclude each other; who came first is right") {
  const std::vector<std::string> all{permit('a', "0000000001"), write('b', "0000000002")};
  CHECK(turn_of(all[0], all, 2).kind == Turn::Kind::enter);
  CHECK(turn_of(all[1], all, 1).kind == Turn::Kind::conflict);
}

TEST_CASE("who is not in the folder has no turn") {
  CHECK(turn_of(write('a', "0000000001"), {write('b', "0000000002")}, 1).kind == Turn::Kind::gone);
}

TEST_CASE("never are a writer and another inside, nor more than the limit") {
  // All queues of up to 6, each of two kinds, as one sees them who looks on and as each decides for itself.
  for (unsigned pattern = 0; pattern < 64; ++pattern) {
    std::vector<std::string> queue;
    for (unsigned i = 0; i < 6; ++i) {
      const std::string sequence = "000000000" + std::to_string(i);
      queue.push_back((pattern >> i & 1) != 0 ? write('a', sequence.c_str()) : read('b', sequence.c_str()));
    }
    const auto holds = zk::inside(zk::in_order(queue, 0), 1);
    int writers = 0, readers = 0;
    for (std::size_t i = 0; i < queue.size(); ++i) {
      const bool enters = turn_of(queue[i], queue, 1).kind == Turn::Kind::enter;
      CHECK(enters == holds[i]);
      if (enters) ++((pattern >> i & 1) != 0 ? writers : readers);
    }
    CHECK((writers == 0 || (writers == 1 && readers == 0)));
    CHECK(writers + readers > 0);
  }
}
