#include "text.h"

#include <clocale>
#include <cwchar>

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
         c == 0x34f || c == 0x115f || c == 0x1160 || c == 0x17b4 || c == 0x17b5 || c == 0x180e || c == 0x3164 ||
         c == 0xffa0 ||  // joiners and fillers that show nothing
         c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

// By the C library's tables, whatever the locale that we were started in.
std::size_t columns(char32_t c) {
  static const locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode == nullptr) return 1;
  const locale_t before = uselocale(unicode);
  const int width = wcwidth(static_cast<wchar_t>(c));
  uselocale(before);
  return width < 0 ? 1 : static_cast<std::size_t>(width);
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

std::string counted(std::int64_t count, const std::string& one, const std::string& many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = next_utf8(text).length;
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const auto byte = [&](std::size_t i) -> std::uint32_t {
      return at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0;
    };
    const std::uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t i = 0; i < 4; ++i) text += i > bytes.size() - at ? '=' : digits[group >> (18 - 6 * i) & 63];
  }
  return text;
}

std::size_t columns(std::string_view text) {
  std::size_t sum = 0;
  while (!text.empty()) {
    const auto [length, point] = next_utf8(text);
    sum += length == 0 ? 1 : columns(point);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return sum;
}

std::string cut(std::string_view text, std::size_t most_columns) {
  if (most_columns == 0) return "";
  if (columns(text) <= most_columns) return std::string(text);
  std::size_t at = 0, used = 0;
  while (at < text.size()) {
    const auto [length, point] = next_utf8(text.substr(at));
    const std::size_t width = length == 0 ? 1 : columns(point);
    if (used + width > most_columns - 1) break;
    used += width;
    at += length == 0 ? 1 : length;
  }
  return std::string(text.substr(0, at)) + "…";
}

}  // namespace zk
