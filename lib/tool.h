// The frame of every tool: options, help, log, signals, and exceptions made into exit statuses, in one place.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "clock.h"
#include "session.h"
#include "signals.h"
#include "until.h"

namespace zk {

/// The same in all tools; README.md says it to people.
enum Status {
  status_done = 0,
  status_lost = 120,     // the lock, seat or session was lost while we were inside
  status_broken = 121,   // a peer died or left inside the protocol
  status_unknown = 122,  // the outcome could not be confirmed in time
  status_gave_up = 124,  // waited long enough
  status_failed = 125,   // the tool itself failed
  status_signal = 128,   // plus the signal's number
};

/// What a tool's body gets.
struct Frame {
  Settings settings;
  std::string hosts;  // as they were given, for the environment of commands
  Signals& signals;
  Until until;  // no deadline; stopped by a signal
  /// Set to INT or QUIT if the command died of Ctrl-C in its own group: then our group is to have it as well, as if it
  /// had been one, and we die of it, so that a script that runs us stops.
  int interrupt = 0;
};

class Tool {
 public:
  /// `usage` has a line for each form, without the name; `summary` is one line, for the manual's first too.
  Tool(std::string name, std::vector<std::string> usage, std::string summary);

  /// Paragraphs of the help, each on a line of its own.
  void describe(std::string text) { description_ = std::move(text); }
  void example(std::string command, std::string what_it_does) {
    examples_.emplace_back(std::move(command), std::move(what_it_does));
  }
  /// A variable that commands find in their environment, or that stands for an option.
  void environment(std::string variable, std::string meaning) {
    environment_.emplace_back(std::move(variable), std::move(meaning));
  }

  /// Options, named `-w, --wait` or `--limit`. The last one given counts.
  void flag(std::string names, bool& value, std::string help);
  void option(std::string names, std::string placeholder, std::string& value, std::string help);
  void option(std::string names, std::string placeholder, std::optional<std::string>& value, std::string help);
  void option(std::string names, std::string placeholder, std::optional<Duration>& value, std::string help);
  void option(std::string names, std::string placeholder, Duration& value, std::string help);
  /// Between `least` and `most`.
  void option(std::string names, std::string placeholder, std::optional<int>& value, int least, int most,
              std::string help);
  /// One of `choices`.
  void choice(std::string names, std::vector<std::string> choices, std::string& value, std::string help);
  /// May be repeated.
  void list(std::string names, std::string placeholder, std::vector<std::string>& values, std::string help);

  /// An argument that a group of others follows, of which each has its own meaning: `zk-node get`. To be called first.
  void subcommand(std::string& value, std::vector<std::string> choices);
  /// The options that follow go with these subcommands only, and hide a common one of the same name. None: with all.
  void options_of(std::vector<std::string> subcommands);

  /// Arguments in order, the optional ones last. Options may stand before and between them.
  void argument(std::string name, std::string& value);
  void argument(std::string name, std::optional<std::string>& value);
  /// What follows the arguments, as it stands: a command. A `--` ends the options, and is not part of it.
  void command(std::vector<std::string>& words) { command_ = &words; }
  /// The same, but after an option. It ends the arguments.
  void command_after(std::string option, std::vector<std::string>& words, std::string help);

  /// An argument, and the mark that it stands behind.
  struct Marked {
    std::string text, mark;
  };
  /// Any number of arguments, but one at least.
  void arguments(std::string name, std::vector<Marked>& values);
  /// An option that says something of the arguments that follow it; if none does, of all that have no mark.
  void mark(std::string name, std::string help);

  /// What a status from 1 to 99 means here.
  void answer(std::string status, std::string meaning) { answers_.emplace_back(std::move(status), std::move(meaning)); }

  /// The status when waiting took too long: 124 unless an option changes it.
  int gave_up = status_gave_up;

  /// Parses, runs `body`, and returns the exit status; errors have been told.
  int run(int argc, char** argv, const std::function<int(Frame&)>& body);

 private:
  struct Option {
    std::string names, placeholder, help;
    std::function<void(const std::string&)> set;  // called for each value, or with "" for a flag
    std::string section;
    std::vector<std::string> subcommands;  // empty: all
  };
  struct Argument {
    std::string name;
    std::function<void(const std::string&)> set;
    bool required;
  };
  struct Words {
    std::string subcommand;
    std::vector<std::string> common;  // options before the subcommand
    std::vector<std::string> options;
    std::vector<Marked> arguments;
    std::vector<std::string> command;
    bool has_command = false;
  };

  void add(std::string names, std::string placeholder, std::string help, std::function<void(const std::string&)> set);
  void add_common_options();
  const Option* find(const std::string& name, const std::string& subcommand) const;
  bool wants_value(const std::string& word, const std::string& subcommand) const;
  Words split(int argc, char** argv) const;
  void parse_options(std::vector<std::string> words, const std::string& subcommand);
  void parse(int argc, char** argv);
  Settings settings() const;
  std::string help() const;
  int guarded(const std::function<int()>& body) const;

  std::string name_;
  std::vector<std::string> usage_;
  std::string summary_, description_;
  std::vector<std::pair<std::string, std::string>> examples_, environment_, answers_;
  std::vector<Option> options_;
  std::string section_ = "Options";
  std::vector<std::string> section_subcommands_, subcommands_;
  std::string* subcommand_ = nullptr;
  std::vector<Argument> arguments_;
  std::string many_name_, command_option_;
  std::vector<Marked>* many_ = nullptr;
  std::vector<std::string> marks_;
  std::vector<std::string>* command_ = nullptr;

  bool help_ = false, version_ = false, quiet_ = false;
  int verbose_ = 0;
  std::string hosts_ = "127.0.0.1:2181";
  Duration session_timeout_ = std::chrono::seconds(10);
  Duration connect_timeout_ = std::chrono::seconds(5);
  std::string auth_file_, acl_;
};

}  // namespace zk
