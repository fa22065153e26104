#include "text.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace zk {

namespace {

bool harmful(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) ||  // C0, DEL, C1
         c == 0xad || c == 0x61c ||               // soft hyphen, Arabic letter mark
         (c >= 0x200b && c <= 0x200f) ||          // zero width, direction marks
         (c >= 0x2028 && c <= 0x202e) ||          // line and paragraph separator, bidirectional embedding
         (c >= 0x2060 && c <= 0x206f) ||          // word joiner, bidirectional isolates
         c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

template <class... Value>
std::string formatted(const char* format, Value... value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value...);
  return text.data();
}

}  // namespace

Utf8 next_utf8(std::string_view text) {
  if (text.empty()) return {0, 0};
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, lead};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {0, 0};
  char32_t point = lead & (0xff >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return {0, 0};
    point = point << 6 | (byte & 0x3f);
  }
  constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return {0, 0};
  return {length, point};
}

std::string printable(std::string_view text, std::size_t most) {
  std::string shown;
  std::size_t at = 0;
  while (at < text.size() && at < most) {
    const auto [length, point] = next_utf8(text.substr(at));
    if (length == 0)
      shown += formatted("\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(text[at])));
    else if (point == '\n')
      shown += "\\n";
    else if (point == '\t')
      shown += "\\t";
    else if (point == '\r')
      shown += "\\r";
    else if (harmful(point))
      shown += formatted(point < 0x80 ? "\\x%02x" : "\\u{%x}", static_cast<unsigned>(point));
    else
      shown += text.substr(at, length);
    at += length == 0 ? 1 : length;
  }
  if (at < text.size()) shown += "… (" + std::to_string(text.size() - at) + " bytes more)";
  return shown;
}

}  // namespace zk
