#include "words.h"

#include <doctest/doctest.h>

#include "error.h"

using zk::words;
using Words = std::vector<std::string>;

TEST_CASE("blanks part words") {
  CHECK(words("").empty());
  CHECK(words(" \t ").empty());
  CHECK(words("set /a value") == Words{"set", "/a", "value"});
  CHECK(words("  set\t/a\r") == Words{"set", "/a"});
}

TEST_CASE("quotes keep them together, and empty ones are a word") {
  CHECK(words("'a b' \"c d\"") == Words{"a b", "c d"});
  CHECK(words("x'a b'\"c d\"y") == Words{"xa bc dy"});
  CHECK(words("'' \"\"") == Words{"", ""});
  CHECK(words(R"('\n "')") == Words{"\\n \""});
}

TEST_CASE("escapes") {
  CHECK(words(R"("a\nb\t\\\"\x41\xfF")") == Words{"a\nb\t\\\"A\xff"});
  CHECK(words(R"("\x00")") == Words{std::string(1, '\0')});
  CHECK(words(R"(a\nb)") == Words{"a\\nb"});  // only between quotes
}

TEST_CASE("comments") {
  CHECK(words("# all of it").empty());
  CHECK(words("set /a # the rest") == Words{"set", "/a"});
  CHECK(words("set /a#b") == Words{"set", "/a#b"});
  CHECK(words("'#'") == Words{"#"});
}

TEST_CASE("what cannot be read is refused") {
  for (const char* line : {"'a", "\"a", "\"a\\", R"("\q")", R"("\x4")", R"("\xzz")"})
    CHECK_THROWS_AS(words(line), zk::Refused);
}
