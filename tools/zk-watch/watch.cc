#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "ending.h"
#include "error.h"
#include "handler.h"
#include "log.h"
#include "observe.h"
#include "output.h"
#include "record.h"
#include "zk-watch.h"

namespace {

using Event = zk::Change::Event;

// Whether the condition holds for all of the paths.
class Progress {
 public:
  explicit Progress(const Options& options) : condition_(options.until) {
    for (const auto& target : options.targets) holds_[target.path] = false;
  }
  void note(const zk::Change& change) {
    const auto found = holds_.find(change.path);
    const bool of_state = change.event != Event::unreadable && change.event != Event::left_out;
    const bool of_data = condition_ && condition_->subject() == Condition::Subject::data;
    // In a tree children are told, too, without data.
    if (!condition_ || found == holds_.end() || !of_state || (of_data && change.aspect == zk::Aspect::children)) return;
    found->second = condition_->holds(change);
  }
  bool complete() const {
    return condition_ && std::ranges::all_of(holds_, [](const auto& path) { return path.second; });
  }

 private:
  const std::optional<Condition>& condition_;
  std::map<std::string, bool> holds_;
};

zk::Handling handling(const Options& options, zk::Ending& end) {
  zk::Handling how{.argv = options.command, .debounce = options.debounce};
  if (options.command_timeout) how.time_limit = *options.command_timeout;
  how.most_runs = options.count.value_or(0);
  how.ended = [&options, &end, runs = 0](const zk::Occasion& occasion, int status, const std::string& error) mutable {
    const std::string about = options.command[0] + " for " + occasion.about;
    if (!error.empty())
      zk::log::warning("cannot execute " + about + ": " + error);
    else if (status != 0)
      zk::log::warning(about + " ended with status " + std::to_string(status));
    else
      zk::log::step(about + " ended");
    if (status != 0 && options.fail_fast) end.with(status);
    if (++runs == options.count) end.with(zk::status_done);
  };
  return how;
}

class Watching {
 public:
  Watching(zk::Frame& frame, const Options& options)
      : hosts_(frame.hosts),
        options_(options),
        end_(frame.until.stop),
        until_(options.timeout ? end_.until().within(*options.timeout) : end_.until()),
        observer_(frame.settings, {.targets = options.targets, .trouble = zk::log::warning}, until_),
        progress_(options) {
    if (!options.command.empty())
      handler_ = std::make_unique<zk::Handler>(handling(options, end_));
    else
      out_.when_reader_goes([this] { end_.with(zk::status_signal + SIGPIPE); });
  }

  int run() {
    try {
      while (!tell(observer_.next(until_)))
        ;
      if (handler_) handler_->finish(until_);
      return std::max<int>(end_.status(), zk::status_done);  // of the last run, too
    } catch (const zk::TimedOut&) {
      if (!options_.until) throw;
      throw zk::TimedOut("--until does not hold after " + zk::to_string(*options_.timeout));
    } catch (const zk::Stopped&) {
      if (end_.status() < 0) throw;  // a signal
      return end_.status();
    }
  }

 private:
  // Answers whether that was all.
  bool tell(const zk::Change& change) {
    check(change);
    progress_.note(change);
    const bool of_nodes = change.event != Event::unreadable && change.event != Event::readable &&
                          change.event != Event::left_out && change.event != Event::complete;
    const bool worth_telling = of_nodes && (options_.initial || change.event != Event::initial);
    if (worth_telling && handler_)
      handle(change);
    else if (worth_telling)
      print(change);
    return progress_.complete() || (!handler_ && told_ == options_.count);
  }

  // What somebody has to know who relies on seeing everything.
  void check(const zk::Change& change) {
    if (change.event == Event::initial) begun_.insert(change.path);
    if (change.event == Event::left_out && change.missed > 0)
      throw zk::Refused("there are too many nodes at and below " + change.path +
                        " to watch them all with one session, or their paths are too long");
    if (change.event == Event::readable) zk::log::warning(change.path + " can be read again");
    if (change.event != Event::unreadable) return;
    const auto named = [&](const zk::Target& target) { return target.path == change.path; };
    if (std::ranges::any_of(options_.targets, named) && !begun_.contains(change.path))
      throw zk::Error(zk::Code::no_auth, "read", change.path);
    zk::log::warning("what happens to " + change.path + " cannot be seen: not authorised to read it");
  }

  void print(const zk::Change& change) {
    out_.write(options_.json ? json_record(change) : text_record(change), until_);
    if (change.event != Event::gap) ++told_;
  }

  void handle(const zk::Change& change) {
    if (change.event == Event::gap) return;
    auto environment = variables(change);
    environment.emplace_back("ZK_HOSTS", hosts_);
    const bool of_children = change.aspect == zk::Aspect::children;
    const bool named =
        std::ranges::any_of(options_.targets, [&](const auto& target) { return target.path == change.path; });
    handler_->offer({.key = (of_children ? "children " : "data ") + change.path,
                     .about = change.path,
                     .environment = std::move(environment),
                     .input = contents(change),
                     .begins = !named && change.event == Event::created,
                     .ends = change.event == Event::deleted});
  }

  const std::string hosts_;
  const Options& options_;
  zk::Ending end_;
  const zk::Until until_;
  zk::Observer observer_;
  Progress progress_;
  std::set<std::string> begun_;  // whose state has been told
  zk::Output out_;
  std::unique_ptr<zk::Handler> handler_;
  int told_ = 0;
};

}  // namespace

int watch(zk::Frame& frame, const Options& options) { return Watching(frame, options).run(); }
