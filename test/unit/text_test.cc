#include "text.h"

#include <doctest/doctest.h>

#include <string>

using zk::printable;

TEST_CASE("plain text stays as it is") {
  CHECK(printable("backup on web7 \xe2\x82\xac \xf0\x9f\x94\x92") == "backup on web7 \xe2\x82\xac \xf0\x9f\x94\x92");
  CHECK(printable("").empty());
}

TEST_CASE("nothing that controls a terminal gets through") {
  CHECK(printable("a\033[31mb") == "a\\x1b[31mb");
  CHECK(printable("\r\n\t\x7f") == "\\r\\n\\t\\x7f");
  CHECK(printable(std::string("\0", 1)) == "\\x00");
  CHECK(printable("\xc2\x9b") == "\\u{9b}");  // CSI as one character
  CHECK(printable("\x9b") == "\\x9b");        // and as a bare byte
  CHECK(printable("\xe2\x80\xae"
                  "cod.exe") == "\\u{202e}cod.exe");  // right to left
  CHECK(printable("\xe2\x80\x8b\xe2\x80\xa8\xef\xbb\xbf") == "\\u{200b}\\u{2028}\\u{feff}");
}

TEST_CASE("bytes that are not UTF-8 are shown as bytes") {
  CHECK(printable("\xff\xc0\xaf\xed\xa0\x80\xf5") == "\\xff\\xc0\\xaf\\xed\\xa0\\x80\\xf5");
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");
}

TEST_CASE("too much is cut, and the rest counted") { CHECK(printable("abcdef", 4) == "abcd… (2 bytes more)"); }

TEST_CASE("base64 as in RFC 4648, section 10") {
  CHECK(zk::base64("").empty());
  CHECK(zk::base64("f") == "Zg==");
  CHECK(zk::base64("fo") == "Zm8=");
  CHECK(zk::base64("foo") == "Zm9v");
  CHECK(zk::base64("foob") == "Zm9vYg==");
  CHECK(zk::base64("foobar") == "Zm9vYmFy");
  CHECK(zk::base64("\xff\xfe\xfd") == "//79");
}

TEST_CASE("text is cut where the screen ends, not in the middle of a character") {
  CHECK(zk::columns("abc") == 3);
  CHECK(zk::columns("\xe6\xbc\xa2\xe5\xad\x97") == 4);  // two wide ones
  CHECK(zk::columns("e\xcc\x81") == 1);                 // an accent of its own
  CHECK(zk::cut("abc", 3) == "abc");
  CHECK(zk::cut("abcd", 3) == "ab\u2026");
  CHECK(zk::cut("\xe6\xbc\xa2\xe5\xad\x97x", 4) == "\xe6\xbc\xa2\u2026");
  CHECK(zk::cut("abc", 0).empty());
  CHECK(zk::cut("abc", 1) == "\u2026");
}

TEST_CASE("what is UTF-8 and what is not") {
  CHECK(zk::is_utf8(""));
  CHECK(zk::is_utf8("a\xe2\x82\xac"));
  CHECK_FALSE(zk::is_utf8("\xff"));
  CHECK_FALSE(zk::is_utf8("a\xe2\x82"));
}
