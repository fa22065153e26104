#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <sstream>

#include "answers.h"
#include "input.h"
#include "node_json.h"
#include "output.h"
#include "path.h"
#include "text.h"
#include "words.h"

namespace {

using zk::Code;
using zk::Operation;
using Kind = zk::Operation::Kind;

struct Line {
  std::size_t number;
  std::string verb;
  Operation operation;
};

int version_of(const std::string& text) {
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || version < 0)
    throw zk::Refused("'" + zk::printable(text, 100) + "' is not a version");
  return version;
}

Kind kind_of(const std::string& verb) {
  if (verb == "create") return Kind::create;
  if (verb == "set") return Kind::set;
  if (verb == "delete") return Kind::remove;
  if (verb == "check") return Kind::check;
  throw zk::Refused("'" + zk::printable(verb, 100) + "' is not one of create, set, delete, check");
}

// Words of one line: a verb, options, a path, and data for those who have them.
Operation operation_of(const std::vector<std::string>& words) {
  Operation operation{kind_of(words[0]), ""};
  const bool creates = operation.kind == Kind::create;
  std::vector<std::string> arguments;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto& word = words[i];
    if (word == "--version" && !creates && i + 1 < words.size())
      operation.version = version_of(words[++i]);
    else if ((word == "-s" || word == "--sequential") && creates)
      operation.mode = zk::Mode::persistent_sequential;
    else if (word.starts_with("-") && arguments.empty())
      throw zk::Refused(words[0] + " has no option '" + zk::printable(word, 100) + "' here");
    else
      arguments.push_back(word);
  }
  const bool has_data = creates || operation.kind == Kind::set;
  if (arguments.empty()) throw zk::Refused("the path is missing");
  if (operation.kind == Kind::set && arguments.size() < 2) throw zk::Refused("the data are missing");
  if (arguments.size() > (has_data ? 2 : 1))
    throw zk::Refused("'" + zk::printable(arguments.back(), 100) + "' is one word too many: put data in quotes");
  operation.path = arguments[0];
  zk::check_path(operation.path);
  if (arguments.size() > 1) operation.data = arguments[1];
  return operation;
}

std::vector<Line> read_lines(const std::string& text, std::size_t chroot) {
  std::vector<Line> lines;
  std::istringstream rest(text);
  std::string line;
  std::size_t size = 0;
  for (std::size_t number = 1; std::getline(rest, line); ++number) {
    try {
      const auto words = zk::words(line);
      if (words.empty()) continue;
      lines.push_back({number, words[0], operation_of(words)});
    } catch (const zk::Refused& error) {
      throw zk::Refused("line " + std::to_string(number) + ": " + error.what());
    }
    const auto& operation = lines.back().operation;
    size += chroot + operation.path.size() + operation.data.size() + 60;  // and what else travels with each of them
  }
  zk::check_size("a transaction", size);
  return lines;
}

std::string why(zk::Session& session, const Line& line, Code code, const zk::Until& until) {
  const std::string what = "line " + std::to_string(line.number) + ": " + line.verb + " " + line.operation.path + ": ";
  if (code == Code::no_node && line.operation.kind == Kind::create)
    return what + "no such node: " + zk::parent_of(line.operation.path);
  if (code != Code::bad_version) return what + zk::describe(code);
  const auto stat = session.insist(until, [&] { return session.stat(line.operation.path); });
  return what + "it has version " + (stat ? std::to_string(stat->version) : "") + ", not " +
         std::to_string(line.operation.version);
}

std::string answer(const zk::Output& out, const Line& line, const std::string& created, const zk::Stat& stat,
                   bool json) {
  const bool creates = line.operation.kind == Kind::create;
  if (!json) return creates && line.operation.mode == zk::Mode::persistent_sequential ? shown(out, created) + "\n" : "";
  nlohmann::ordered_json object{
      {"line", line.number}, {"operation", line.verb}, {"path", creates ? created : line.operation.path}};
  if (line.operation.kind == Kind::set) zk::add_stat(object, stat);
  return zk::line(object);
}

}  // namespace

int run_transaction(zk::Frame& frame, const Options& options) {
  constexpr std::size_t most_text = 4 * zk::most_data + 1'000'000;  // every byte as \xHH, and some comments
  const auto input = zk::read_input(most_text, frame.until);
  zk::check_size("a transaction", input.size > most_text ? input.size : 0, input.all);
  const auto lines = read_lines(input.bytes, frame.settings.hosts.chroot.size());
  if (lines.empty()) return zk::status_done;
  std::vector<Operation> operations;
  for (const auto& line : lines) operations.push_back(line.operation);

  zk::Session session(frame.settings, frame.until);
  const auto until = patience(frame, session);
  const auto transact = [&] { return session.transact(operations).get(until); };
  const auto outcome = made_or_unknown("transaction on", operations[0].path, [&] {
    const auto first = transact();
    // The chroot belongs to the connection, and is made like it.
    if (first.code != Code::no_node || !session.make_directory("/", "", until)) return first;
    return transact();
  });
  if (outcome.code != Code::ok) {
    const std::string reason = why(session, lines.at(outcome.failed), outcome.code, until) + "; nothing was changed";
    if (outcome.code == Code::no_auth) throw zk::Refused(reason);
    return no(reason);
  }
  zk::Output out;
  std::string answers;
  for (std::size_t i = 0; i < lines.size(); ++i)
    answers += answer(out, lines[i], outcome.created.at(i), outcome.stats.at(i), options.json);
  out.write(answers, frame.until);
  return zk::status_done;
}
