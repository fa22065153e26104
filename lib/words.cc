#include "words.h"

#include <cctype>

#include "error.h"
#include "text.h"

namespace zk {

namespace {

int hexadecimal(char c) {
  return std::isxdigit(static_cast<unsigned char>(c)) == 0 ? -1 : c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

class Reader {
 public:
  explicit Reader(std::string_view line) : line_(line) {}

  std::vector<std::string> words() {
    std::vector<std::string> found;
    for (;;) {
      while (more() && blank()) ++at_;
      if (!more() || line_[at_] == '#') return found;
      found.push_back(word());
    }
  }

 private:
  bool more() const { return at_ < line_.size(); }
  bool blank() const { return line_[at_] == ' ' || line_[at_] == '\t' || line_[at_] == '\r'; }

  std::string word() {
    std::string text;
    while (more() && !blank()) {
      const char c = line_[at_++];
      if (c == '\'')
        literal(text);
      else if (c == '"')
        quoted(text);
      else
        text += c;
    }
    return text;
  }

  void literal(std::string& text) {
    const auto end = line_.find('\'', at_);
    if (end == std::string_view::npos) throw Refused("a ' has no end");
    text += line_.substr(at_, end - at_);
    at_ = end + 1;
  }

  void quoted(std::string& text) {
    while (more()) {
      const char c = line_[at_++];
      if (c == '"') return;
      text += c == '\\' && more() ? escaped() : c;
    }
    throw Refused("a \" has no end");
  }

  char escaped() {
    const char c = line_[at_++];
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case '\\':
      case '"':
        return c;
      case 'x':
        if (at_ + 2 <= line_.size() && hexadecimal(line_[at_]) >= 0 && hexadecimal(line_[at_ + 1]) >= 0) {
          at_ += 2;
          return static_cast<char>(hexadecimal(line_[at_ - 2]) * 16 + hexadecimal(line_[at_ - 1]));
        }
        throw Refused("\\x is followed by two hexadecimal digits");
      default:
        throw Refused("\\" + printable(std::string_view(&c, 1)) + " has no meaning; write \\\\ for a backslash");
    }
  }

  std::string_view line_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::string> words(std::string_view line) { return Reader(line).words(); }

}  // namespace zk
