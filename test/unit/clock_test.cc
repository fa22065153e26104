#include "clock.h"

#include <doctest/doctest.h>

#include "error.h"

using namespace std::chrono_literals;
using zk::parse_duration;

TEST_CASE("durations are read") {
  CHECK(parse_duration("--wait", "250ms") == 250ms);
  CHECK(parse_duration("--wait", "1.5s") == 1500ms);
  CHECK(parse_duration("--wait", "2m") == 120s);
  CHECK(parse_duration("--wait", "1h") == 1h);
  CHECK(parse_duration("--wait", "3") == 3s);
  CHECK(parse_duration("--wait", "0") == 0s);
  CHECK(parse_duration("--wait", ".5") == 500ms);
}

TEST_CASE("what is not a duration is refused by name") {
  for (const char* text : {"", "s", "-1", "1x", "1 s", "1.2.3s", "1e9", "inf", "nan", "99999999999999999", "."})
    CHECK_THROWS_AS(parse_duration("--wait", text), zk::Refused);
  CHECK_THROWS_WITH(parse_duration("--wait", "soon"),
                    "--wait: 'soon' is not a duration; write 250ms, 1.5s, 2m or a number of seconds");
}

TEST_CASE("durations are said") {
  CHECK(zk::to_string(250ms) == "250ms");
  CHECK(zk::to_string(1500ms) == "1.5s");
  CHECK(zk::to_string(10s) == "10s");
  CHECK(zk::to_string(10min) == "10m");
}
