#include "transaction.h"

#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "error.h"

namespace {

using zk::Transaction;

Transaction of(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < line.size();) {
    const auto end = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return Transaction::of(words);
}

std::string why_not(const std::string& line) {
  try {
    of(line);
    return "";
  } catch (const zk::Refused& why) {
    return why.what();
  }
}

std::string objection(const std::string& line, std::map<std::string, std::string> values) {
  return of(line)
      .objection([&](const std::string& key) {
        const auto found = values.find(key);
        return found == values.end() ? std::nullopt : std::optional(found->second);
      })
      .value_or("none");
}

}  // namespace

TEST_CASE("a transaction is read from words, in any order, and keywords may be repeated") {
  const auto transaction = of("set x=1 y= if z=a=b delete w set v=2 if-missing u");
  CHECK(transaction.changes == std::vector<Transaction::Entry>{{"x", "1"}, {"y", ""}, {"w", std::nullopt}, {"v", "2"}});
  CHECK(transaction.conditions == std::vector<Transaction::Entry>{{"z", "a=b"}, {"u", std::nullopt}});
  CHECK(transaction.shown() == "set x=1 y= v=2 delete w if z=a=b if-missing u");
}

TEST_CASE("a transaction that makes no sense is refused with the word that does not") {
  CHECK(why_not("") == "a transaction changes something: set KEY=VALUE or delete KEY");
  CHECK(why_not("x=1") == "'x=1': a transaction begins with set, delete, if or if-missing");
  CHECK(why_not("if x=1") == "a transaction changes something: set KEY=VALUE or delete KEY");
  CHECK(why_not("set x") == "'x' after 'set' is not KEY=VALUE");
  CHECK(why_not("set x=1 if y") == "'y' after 'if' is not KEY=VALUE; for a key that must not exist: if-missing KEY");
  CHECK(why_not("set") == "nothing follows 'set'");
  CHECK(why_not("set x=1 delete") == "nothing follows 'delete'");
  CHECK(why_not("set x=1 if delete y") == "nothing follows 'if'");
  CHECK(why_not("set x=1 delete x") == "'x' is changed twice in one transaction");
  CHECK(why_not("set x=1 if y=1 if-missing y") == "'y' is a condition twice in one transaction");
  CHECK(why_not("set =1") == "'' cannot be a key: it is empty");
  CHECK(why_not("set if=1") == "'if' cannot be a key: it is a word of the command itself");
  CHECK(why_not("set x\033=1") == "'x\\x1b' cannot be a key: it is not plain text");
  CHECK(why_not("set x=\xff") == "the value of 'x' is not UTF-8 text; encode it, with base64 for example");
  CHECK(why_not("set " + std::string(513, 'k') + "=1").find("longer than 512 bytes") != std::string::npos);
  CHECK(why_not("set " + std::string(512, 'k') + "=1") == "");
}

TEST_CASE("a transaction is the same after it has been written and read") {
  const auto transaction = of("set x=1 y=\xc3\xa4\n\"\\ delete w if z=3 if-missing u");
  CHECK(Transaction::parse(transaction.json()) == transaction);
  CHECK_THROWS_AS(Transaction::parse("{"), zk::Refused);
  CHECK_THROWS_AS(Transaction::parse(std::string(400'000, '[')), zk::Refused);
  CHECK_THROWS_AS(Transaction::parse(R"({"changes":[]})"), nlohmann::json::exception);
  CHECK_THROWS_AS(Transaction::parse(R"({"changes":[{"key":"a b","value":"1"}],"conditions":[]})"), zk::Refused);
}

TEST_CASE("a transaction objects to values that its conditions do not want") {
  CHECK(objection("set x=1 if x=0", {{"x", "0"}}) == "none");
  CHECK(objection("set x=1 if x=0", {{"x", "2"}}) == "x is 2, not 0");
  CHECK(objection("set x=1 if x=0", {}) == "x does not exist");
  CHECK(objection("set x=1 if-missing x", {}) == "none");
  CHECK(objection("set x=1 if-missing x", {{"x", "\033[2J"}}) == "x exists: \\x1b[2J");
  CHECK(objection("set x=1 if x=0 if y=0", {{"x", "0"}, {"y", "1"}}) == "y is 1, not 0");
}
