#include "tool.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <sstream>

#include "error.h"
#include "log.h"
#include "output.h"
#include "text.h"

#ifndef ZKUTILS_VERSION
#define ZKUTILS_VERSION "unknown"
#endif

namespace zk {

namespace {

constexpr std::size_t text_width = 79;
constexpr std::size_t option_column = 32;

// A descriptor below 3 that is closed would be taken by the next file opened: a connection, for the command to inherit.
// Reading from closed input, and writing to closed output, go on being errors.
void open_standard_descriptors() {
  constexpr int of_no_use[] = {O_WRONLY, O_RDONLY, O_RDWR};
  for (int fd = 0; fd < 3; ++fd)
    if (fcntl(fd, F_GETFD) < 0) [[maybe_unused]]
      const int opened = open("/dev/null", of_no_use[fd]);
}

void interrupt_our_group(int signal) {
  prctl(PR_SET_DUMPABLE, 0);  // QUIT is not to leave our memory in a file
  std::signal(signal, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  kill(0, signal);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

std::string from_environment(const char* variable, const std::string& otherwise) {
  const char* const value = std::getenv(variable);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

// `text` in lines that fit, each after the first indented.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::istringstream words(text);
  std::string result, word;
  std::size_t column = indent;
  while (words >> word) {
    if (column > indent && column + 1 + word.size() > text_width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
  }
  return result;
}

std::string entry(const std::string& left, const std::string& right, std::size_t column) {
  std::string line = "  " + left;
  if (line.size() + 2 > column)
    line += "\n" + std::string(column, ' ');
  else
    line.resize(column, ' ');
  return line + wrapped(right, column) + "\n";
}

constexpr std::pair<const char*, const char*> exit_statuses[] = {
    {"0", "done; of a tool that runs a command: the command's status"},
    {"1-99", "the command's own status, or an answer that the tool documents"},
    {"120", "lost: the lock, seat or session was lost while we were inside"},
    {"121", "broken: a peer died or left inside the protocol"},
    {"122", "unknown: the outcome could not be confirmed in time; safe to ask again"},
    {"124", "gave up waiting"},
    {"125", "the tool itself failed: wrong usage, no server, not authorised, refused"},
    {"126, 127", "the command cannot be executed, was not found"},
    {"128+N", "ended by signal N"},
};

std::string in_cli11_form(std::string names) {
  std::erase(names, ' ');
  return names;
}

}  // namespace

Tool::Tool(std::string name, std::vector<std::string> usage, std::string summary)
    : name_(std::move(name)), usage_(std::move(usage)), summary_(std::move(summary)) {}

void Tool::add(std::string names, std::string placeholder, std::string help,
               std::function<void(const std::string&)> set) {
  options_.push_back(
      {std::move(names), std::move(placeholder), std::move(help), std::move(set), section_, section_subcommands_});
}

void Tool::flag(std::string names, bool& value, std::string help) {
  add(std::move(names), "", std::move(help), [&value](const std::string&) { value = true; });
}

void Tool::option(std::string names, std::string placeholder, std::string& value, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), [&value](const std::string& text) { value = text; });
}

void Tool::option(std::string names, std::string placeholder, std::optional<std::string>& value, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help), [&value](const std::string& text) { value = text; });
}

void Tool::option(std::string names, std::string placeholder, std::optional<Duration>& value, std::string help) {
  const auto what = names;
  add(std::move(names), std::move(placeholder), std::move(help),
      [&value, what](const std::string& text) { value = parse_duration(what, text); });
}

void Tool::option(std::string names, std::string placeholder, Duration& value, std::string help) {
  const auto what = names;
  add(std::move(names), std::move(placeholder), std::move(help),
      [&value, what](const std::string& text) { value = parse_duration(what, text); });
}

void Tool::option(std::string names, std::string placeholder, std::optional<int>& value, int least, int most,
                  std::string help) {
  const auto what = names;
  add(std::move(names), std::move(placeholder), std::move(help), [&value, what, least, most](const std::string& text) {
    int number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (text.empty() || stop != end || error != std::errc() || number < least || number > most)
      throw Refused(what + ": '" + printable(text, 100) + "' is not a number from " + std::to_string(least) + " to " +
                    std::to_string(most));
    value = number;
  });
}

void Tool::choice(std::string names, std::vector<std::string> choices, std::string& value, std::string help) {
  std::string all;
  for (const auto& one : choices) all += (all.empty() ? "" : "|") + one;
  const auto what = names;
  add(std::move(names), all, std::move(help), [&value, what, all, choices](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end())
      throw Refused(what + ": '" + printable(text, 100) + "' is not one of " + all);
    value = text;
  });
}

void Tool::list(std::string names, std::string placeholder, std::vector<std::string>& values, std::string help) {
  add(std::move(names), std::move(placeholder), std::move(help),
      [&values](const std::string& text) { values.push_back(text); });
}

void Tool::subcommand(std::string& value, std::vector<std::string> choices) {
  subcommand_ = &value;
  subcommands_ = std::move(choices);
}

void Tool::options_of(std::vector<std::string> subcommands) {
  section_ = subcommands.empty() ? "Options" : "Options of";
  for (std::size_t i = 0; i < subcommands.size(); ++i)
    section_ += (i == 0 ? " " : i + 1 < subcommands.size() ? ", " : " and ") + subcommands[i];
  section_subcommands_ = std::move(subcommands);
}

void Tool::argument(std::string name, std::string& value) {
  arguments_.push_back({std::move(name), [&value](const std::string& text) { value = text; }, true});
}

void Tool::argument(std::string name, std::optional<std::string>& value) {
  arguments_.push_back({std::move(name), [&value](const std::string& text) { value = text; }, false});
}

void Tool::arguments(std::string name, std::vector<Marked>& values) {
  many_name_ = std::move(name);
  many_ = &values;
}

void Tool::mark(std::string name, std::string help) {
  marks_.push_back(name);
  add(std::move(name), "", std::move(help), [](const std::string&) {});
}

void Tool::command_after(std::string option, std::vector<std::string>& words, std::string help) {
  command_option_ = option;
  command_ = &words;
  add(std::move(option), "COMMAND [ARG]...", std::move(help), [](const std::string&) {});
}

void Tool::add_common_options() {
  section_subcommands_ = {};
  section_ = "Connection";
  option("--hosts", "HOST:PORT[,...][/CHROOT]", hosts_,
         "the servers, and a prefix for all paths (default: 127.0.0.1:2181)");
  option("--session-timeout", "DURATION", session_timeout_,
         "after so long a silence the session ends, and with it what it holds (default: 10s)");
  option("--connect-timeout", "DURATION", connect_timeout_, "give up when no server answers for so long (default: 5s)");
  option("--auth-file", "FILE", auth_file_, "credentials, one scheme:credentials a line; mode 0600");
  choice(
      "--acl", {"open", "creator"}, acl_,
      "who may use the nodes that we make: everybody, or who has our credentials (default: creator with --auth-file, "
      "else open)");
  section_ = "General";
  flag("-q, --quiet", quiet_, "say nothing but errors");
  add("-v, --verbose", "", "say what happens; twice: the client library's log too",
      [this](const std::string&) { ++verbose_; });
  flag("-h, --help", help_, "print this help and exit");
  flag("--version", version_, "print the version and exit");
  environment("ZK_HOSTS, ZK_SESSION_TIMEOUT, ZK_AUTH_FILE", "stand for --hosts, --session-timeout and --auth-file");
}

// An option of the subcommand, or one for all.
const Tool::Option* Tool::find(const std::string& name, const std::string& subcommand) const {
  const Option* common = nullptr;
  for (const auto& option : options_) {
    std::istringstream names(option.names);
    for (std::string known; std::getline(names >> std::ws, known, ',');) {
      if (known != name) continue;
      if (option.subcommands.empty())
        common = &option;
      else if (std::ranges::find(option.subcommands, subcommand) != option.subcommands.end())
        return &option;
    }
  }
  return common;
}

// Whether the next word belongs to this one: after `--wait`, or after `-w`, also at the end of a bundle like `-nw`.
bool Tool::wants_value(const std::string& word, const std::string& subcommand) const {
  const auto takes_value = [&](const std::string& name) {
    const Option* const option = find(name, subcommand);
    return option != nullptr && !option->placeholder.empty();
  };
  if (word.starts_with("--")) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) return takes_value(word);
    const Option* const option = find(word.substr(0, equals), subcommand);
    if (option != nullptr && option->placeholder.empty()) throw Refused(word.substr(0, equals) + " takes no value");
    return false;
  }
  for (std::size_t i = 1; i < word.size(); ++i)
    if (takes_value(std::string("-") + word[i])) return i + 1 == word.size();
  return false;
}

// Options stand before and between the arguments; the command begins after them, and is not looked into.
Tool::Words Tool::split(int argc, char** argv) const {
  Words words;
  std::string mark;
  bool options_over = false, used = true;  // the mark
  const auto rest_is_command = [&](int from) {
    words.has_command = true;
    words.command.assign(argv + from, argv + argc);
  };
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool before = subcommand_ != nullptr && words.subcommand.empty();
    if (!options_over && word == "--") {
      options_over = true;
    } else if (!options_over && !command_option_.empty() && word == command_option_) {
      rest_is_command(i + 1);
      break;
    } else if (!options_over && std::ranges::find(marks_, word) != marks_.end()) {
      mark = word;
      used = false;
    } else if (!options_over && word.size() > 1 && word[0] == '-') {
      auto& options = before ? words.common : words.options;
      options.push_back(word);
      if (!wants_value(word, words.subcommand)) continue;
      if (i + 1 == argc) throw Refused(printable(word, 100) + " needs a value");
      options.emplace_back(argv[++i]);
    } else if (before) {
      words.subcommand = word;
    } else if (many_ != nullptr || words.arguments.size() < arguments_.size()) {
      words.arguments.push_back({word, mark});
      used = true;
    } else {
      rest_is_command(i);
      break;
    }
  }
  if (!used)
    for (auto& argument : words.arguments)
      if (argument.mark.empty()) argument.mark = mark;
  return words;
}

void Tool::parse_options(std::vector<std::string> words, const std::string& subcommand) {
  CLI::App app;
  app.set_help_flag();
  for (const auto& known : options_) {
    const auto names = in_cli11_form(known.names);
    if (find(names.substr(0, names.find(',')), subcommand) != &known) continue;
    if (known.placeholder.empty())
      app.add_flag_function(names,
                            [&known](std::int64_t count) {
                              for (; count > 0; --count) known.set("");
                            })
          ->disable_flag_override();
    else
      app.add_option_function<std::vector<std::string>>(names,
                                                        [&known](const std::vector<std::string>& values) {
                                                          for (const auto& value : values) known.set(value);
                                                        })
          ->allow_extra_args(false);
  }
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::ExtrasError&) {
    const auto unknown = std::ranges::find_if(words, [&](const std::string& word) {
      return word.starts_with('-') &&
             find(word.substr(0, word.starts_with("--") ? word.find('=') : 2), subcommand) == nullptr;
    });
    const std::string which = printable(unknown == words.end() ? words.back() : *unknown, 100);
    throw Refused(name_ + (subcommand.empty() ? "" : " " + subcommand) + " has no option '" + which +
                  "'; behind -- it would be an argument");
  } catch (const CLI::ParseError& error) {
    throw Refused(printable(error.what()) + (subcommand.empty() ? "" : " (" + name_ + " " + subcommand + ")"));
  }
}

void Tool::parse(int argc, char** argv) {
  Words words = split(argc, argv);
  parse_options(std::move(words.common), "");
  if (help_ || version_) return;
  if (subcommand_ != nullptr) {
    if (std::ranges::find(subcommands_, words.subcommand) == subcommands_.end()) {
      std::string all;
      for (const auto& one : subcommands_) all += (all.empty() ? "" : ", ") + one;
      throw Refused(words.subcommand.empty() ? "what to do is missing: " + all
                                             : "'" + printable(words.subcommand, 100) + "' is not one of " + all);
    }
    *subcommand_ = words.subcommand;
  }
  parse_options(std::move(words.options), words.subcommand);
  if (version_ && !words.arguments.empty()) throw Refused("--version does not go with arguments");
  if (help_ || version_) return;
  if (many_ != nullptr) {
    if (words.arguments.empty()) throw Refused(many_name_ + " is missing");
    *many_ = std::move(words.arguments);
  } else {
    for (std::size_t i = 0; i < arguments_.size(); ++i) {
      if (i < words.arguments.size())
        arguments_[i].set(words.arguments[i].text);
      else if (arguments_[i].required)
        throw Refused(arguments_[i].name + " is missing");
    }
  }
  if (words.has_command && words.command.empty()) throw Refused(command_option_ + ": COMMAND is missing");
  if (command_ != nullptr)
    *command_ = std::move(words.command);
  else if (!words.command.empty())
    throw Refused("'" + printable(words.command[0], 200) + "' is one argument too many");
}

Settings Tool::settings() const {
  Settings settings;
  settings.hosts = Hosts::parse(hosts_);
  settings.session_timeout = session_timeout_;
  settings.connect_timeout = connect_timeout_;
  if (session_timeout_ < std::chrono::milliseconds(1) || session_timeout_ > std::chrono::hours(24))
    throw Refused("--session-timeout " + to_string(session_timeout_) + " is out of range: 1ms to 24h");
  if (!auth_file_.empty()) settings.credentials = read_credentials(auth_file_);
  settings.creator_only = acl_.empty() ? !auth_file_.empty() : acl_ == "creator";
  if (settings.creator_only && auth_file_.empty())
    throw Refused("--acl creator needs --auth-file: who is the creator?");
  settings.connection_changed = [where = hosts_](bool connected) {
    log::warning(connected ? "connected again"
                           : "no connection to ZooKeeper at " + printable(where, 200) + "; waiting for one");
  };
  if (verbose_ > 1) settings.client_log = log::detail;
  return settings;
}

std::string Tool::help() const {
  std::string text;
  for (const auto& form : usage_) text += (text.empty() ? "Usage: " : "  or:  ") + name_ + " " + form + "\n";
  text += static_cast<char>(std::toupper(static_cast<unsigned char>(summary_[0]))) + summary_.substr(1) + ".\n\n";
  std::istringstream paragraphs(description_);
  for (std::string paragraph; std::getline(paragraphs, paragraph);) text += wrapped(paragraph, 0) + "\n\n";
  std::string section;
  for (const auto& known : options_) {
    if (known.section != section) text += (section.empty() ? "" : "\n") + known.section + ":\n";
    section = known.section;
    const std::string indent = known.names.starts_with("--") ? "    " : "";
    text += entry(indent + known.names + (known.placeholder.empty() ? "" : " " + known.placeholder), known.help,
                  option_column);
  }
  text += "\nDurations: 250ms, 1.5s, 2m; a bare number is seconds.\n\nEnvironment:\n";
  for (const auto& [variable, meaning] : environment_) text += entry(variable, meaning, option_column);
  text += "\nExit status:\n";
  for (const auto& [status, meaning] : exit_statuses) {
    if (std::string_view(status) == "1-99" && !answers_.empty())
      for (const auto& [own, what] : answers_) text += entry(own, what, 12);
    else
      text += entry(status, meaning, 12);
  }
  text += examples_.size() > 1 ? "\nExamples:\n" : "\nExample:\n";
  for (const auto& [command, effect] : examples_) text += "  " + command + "\n      " + wrapped(effect, 6) + "\n";
  return text;
}

// The one place where exceptions become exit statuses.
int Tool::guarded(const std::function<int()>& body) const {
  try {
    return body();
  } catch (const TimedOut& error) {
    log::error(error.what());
    return gave_up;
  } catch (const SessionLost& error) {
    log::error(std::string("lost: ") + error.what());
    return status_lost;
  } catch (const ReaderGone&) {
    return status_signal + SIGPIPE;  // as if we had died of it, like any other tool
  } catch (const ConnectionLoss& error) {
    log::error(error.what());
    return status_unknown;
  } catch (const Unknown& error) {
    log::error(error.what());
    return status_unknown;
  } catch (const WrongUsage& error) {
    log::error(error.what());
    log::error("see " + name_ + " --help");
    return status_failed;
  } catch (const std::exception& error) {
    log::error(error.what());
    return status_failed;
  }
}

int Tool::run(int argc, char** argv, const std::function<int(Frame&)>& body) {
  open_standard_descriptors();
  log::open(name_, log::Level::warnings);
  add_common_options();
  bool parsed = false;
  int interrupt = 0;
  const int status = guarded([&] {
    hosts_ = from_environment("ZK_HOSTS", hosts_);
    auth_file_ = from_environment("ZK_AUTH_FILE", "");
    if (const auto text = from_environment("ZK_SESSION_TIMEOUT", ""); !text.empty())
      session_timeout_ = parse_duration("ZK_SESSION_TIMEOUT", text);
    parse(argc, argv);
    parsed = true;
    if (help_ || version_) {
      std::cout << (help_ ? help() : name_ + " (zkutils) " + ZKUTILS_VERSION + "\n") << std::flush;
      if (!std::cout) throw std::runtime_error("cannot write to standard output");
      return static_cast<int>(status_done);
    }
    log::open(name_, quiet_         ? log::Level::errors
                     : verbose_ > 1 ? log::Level::everything
                     : verbose_ > 0 ? log::Level::steps
                                    : log::Level::warnings);
    Signals signals;
    Frame frame{settings(), hosts_, signals, Until{Time::max(), signals.token()}};
    try {
      const int answer = body(frame);
      interrupt = frame.interrupt;
      if (!std::cout.flush()) throw std::runtime_error("cannot write to standard output");
      return answer;
    } catch (const Stopped&) {
      return status_signal + signals.received();
    }
  });
  if (!parsed) log::error("see " + name_ + " --help");
  if (interrupt != 0) interrupt_our_group(interrupt);
  return status;
}

}  // namespace zk
