#include "lease.h"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using zk::Lease;
using zk::Time;

namespace {

constexpr zk::Duration T = 10s;
const zk::Duration margin = Lease::margin(T);
const Time start{1000s};

}  // namespace

TEST_CASE("a new session may act at once, for the timeout from the moment it was asked for") {
  Lease lease(T);
  lease.opened(start);
  CHECK(lease.end() == start + T - margin);
}

TEST_CASE("replies to reads extend nothing") {
  Lease lease(T);
  lease.opened(start);
  for (auto t = 0s; t < 60s; t += 1s) lease.answered(start + t, start + t);
  CHECK(lease.end() == start + T - margin);
}

TEST_CASE("a commit counts from what was sent a quarter of the timeout before it") {
  Lease lease(T);
  lease.opened(start);
  lease.committed(start + 2400ms, start + 2400ms);
  CHECK(lease.end() == start + T - margin);  // nothing is old enough yet but the opening
  lease.committed(start + 4900ms, start + 4900ms);
  CHECK(lease.end() == start + 2400ms + T - margin);
  lease.committed(start + 4950ms, start + 4950ms);
  CHECK(lease.end() == start + 2400ms + T - margin);
}

TEST_CASE("what was long on its way does not count from when it was sent before a quarter after its answer") {
  Lease lease(T);
  lease.opened(start);
  lease.answered(start + 20s, start + 23s);
  lease.committed(start + 23100ms, start + 23100ms);
  CHECK(lease.end() == start + T - margin);
  lease.committed(start + 25s, start + 25s);
  CHECK(lease.end() == start + T - margin);
  lease.committed(start + 25500ms, start + 25500ms);
  CHECK(lease.end() == start + 20s + T - margin);
}

TEST_CASE("reads are good to count from, when a commit follows") {
  Lease lease(T);
  lease.opened(start);
  lease.answered(start + 20s, start + 20s);
  lease.answered(start + 22s, start + 22s);
  lease.committed(start + 23s, start + 23s);
  CHECK(lease.end() == start + 20s + T - margin);
}

TEST_CASE("what was sent on another connection does not count") {
  Lease lease(T);
  lease.opened(start);
  lease.answered(start + 4s, start + 4s);
  lease.disconnected();
  lease.committed(start + 8s, start + 8s);
  CHECK(lease.end() == start + T - margin);
}

TEST_CASE("a reconnection counts once a commit has followed it") {
  Lease lease(T);
  lease.opened(start);
  lease.disconnected();
  lease.reconnected(start + 5s);
  CHECK(lease.end() == start + T - margin);
  lease.answered(start + 6s, start + 6s);
  CHECK(lease.end() == start + T - margin);
  lease.committed(start + 6s, start + 6s);
  CHECK(lease.end() == start + 5s + T - margin);
}

TEST_CASE("the lease never shrinks") {
  Lease lease(T);
  lease.opened(start);
  lease.disconnected();
  lease.reconnected(start - 1s);
  lease.committed(start + 1s, start + 1s);
  CHECK(lease.end() == start + T - margin);
}

TEST_CASE("with the beats of a holder more than half of the timeout is left at every moment") {
  Lease lease(T);
  lease.opened(start);
  for (auto t = Lease::beat(T); t < 100 * T; t += Lease::beat(T)) {
    CHECK(lease.end() - (start + t) >= T * 55 / 100 - margin);
    lease.committed(start + t, start + t);
  }
}

TEST_CASE("after idle beats one commit opens a lease that is worth starting on") {
  for (auto wait = 0ms; wait < 30s; wait += 130ms) {
    Lease lease(T);
    lease.opened(start);
    for (auto t = Lease::idle_beat(T); t <= wait; t += Lease::idle_beat(T)) lease.answered(start + t, start + t);
    lease.committed(start + wait, start + wait);
    const auto left = lease.end() - (start + wait);
    CHECK(left >= Lease::enough(T));
    // and the longest grace does not begin before the next beat is answered
    CHECK(left - margin - Lease::longest_grace(T) > Lease::beat(T));
  }
}

TEST_CASE("the grace fits the session, also a short one") {
  CHECK(Lease::longest_grace(10s) >= 3s);
  for (const auto timeout : {100ms, 500ms, 1000ms, 2000ms, 10000ms, 60000ms}) {
    CHECK(Lease::longest_grace(timeout) >= 0s);
    CHECK(Lease::longest_grace(timeout) <= timeout / 2);
  }
}
