// Text that came from elsewhere: valid or not, and made safe to show. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace zk {

/// The length of the UTF-8 sequence at the start of `text` and the code point it stands for; length 0 if there is
/// no valid one (overlong forms and surrogates are not valid).
struct Utf8 {
  std::size_t length;
  char32_t point;
};
Utf8 next_utf8(std::string_view text);

/// `text` on one line, harmless to a terminal: control characters (C0, DEL, C1), invalid UTF-8, line separators and
/// the characters that reorder or hide others (bidirectional controls, zero width) appear as \n, \t, \xHH or \u{HHHH}.
/// At most `most` bytes of input are shown; what was left out is counted.
std::string printable(std::string_view text, std::size_t most = 4096);

/// `1 node`, `2 nodes`.
std::string counted(std::int64_t count, const std::string& one, const std::string& many);

bool is_utf8(std::string_view text);

std::string base64(std::string_view bytes);

/// How many columns of a terminal printable text takes: East Asian wide characters and emoji take two, combining ones
/// none.
std::size_t columns(std::string_view text);

/// The beginning of printable text that fits, with `…` as its last column if something was left out.
std::string cut(std::string_view text, std::size_t most_columns);

}  // namespace zk
