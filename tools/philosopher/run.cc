#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <utility>

#include "child.h"
#include "ending.h"
#include "error.h"
#include "identity.h"
#include "log.h"
#include "output.h"
#include "path.h"
#include "philosopher.h"
#include "stay.h"
#include "table.h"
#include "text.h"
#include "wall_clock.h"

namespace {

using zk::Duration;
using zk::Until;
namespace log = zk::log;

constexpr int not_ended = -1;

class Philosopher {
 public:
  Philosopher(zk::Frame& frame, const Options& options)
      : frame_(frame), options_(options), random_(options.seed * 1000 + static_cast<std::uint64_t>(options.seat)) {}

  int run();

 private:
  void live(zk::Diner& diner, const Until& until);
  void eat(zk::Diner& diner, std::int64_t token, const Until& until);
  void run_meal(zk::Diner& diner, std::int64_t token);
  void sleep_meal(Duration time, const Until& until);
  Duration some(const Span& span);
  void tell(const char* event, const zk::Diner& diner, std::int64_t token = 0);
  void print_tally();
  bool sated() const { return options_.meals && eaten_ >= *options_.meals; }

  zk::Frame& frame_;
  const Options& options_;
  std::mt19937_64 random_;
  zk::Output out_;
  std::string unsaid_;
  std::unique_ptr<zk::Session> session_;
  int eaten_ = 0;
  int signal_ = 0;                                      // that ended a command
  std::int64_t longest_hunger_ = 0, whole_hunger_ = 0;  // milliseconds
};

Duration Philosopher::some(const Span& span) {
  return Duration(std::uniform_int_distribution<Duration::rep>(span.least.count(), span.most.count())(random_));
}

void Philosopher::tell(const char* event, const zk::Diner& diner, std::int64_t token) {
  // A meal ended before its forks were put down; others may have taken them up since.
  const std::int64_t now = std::string_view(event) == "done" ? diner.meal().done : zk::wall_clock();
  const auto hunger = diner.meal().eating - diner.meal().hungry;
  const bool eating = token != 0;
  std::string line;
  if (options_.json) {
    nlohmann::ordered_json object{{"time", zk::iso_time(now, true)}, {"event", event}, {"seat", options_.seat}};
    if (eating) object.update({{"meal", diner.meal().number}, {"token", token}, {"hungry_ms", hunger}});
    line = object.dump() + "\n";
  } else {
    line = zk::local_time(now) + "  seat " + std::to_string(options_.seat) + "  " + event;
    if (eating) line += "  meal " + std::to_string(diner.meal().number) + "  token " + std::to_string(token);
    if (eating && std::string_view(event) == "eating") line += "  hungry for " + std::to_string(hunger) + "ms";
    line += "\n";
  }
  // Nobody waits for a fork because nobody reads what we say: then it is said later.
  unsaid_ += line;
  const bool holds_forks = std::string_view(event) == "eating";
  if (holds_forks && !out_.ready()) return;
  out_.write(std::exchange(unsaid_, {}), frame_.until);
}

void Philosopher::print_tally() {
  const std::int64_t mean = eaten_ == 0 ? 0 : whole_hunger_ / eaten_;
  std::string line;
  if (options_.json) {
    line = nlohmann::ordered_json{{"time", zk::iso_time(zk::wall_clock(), true)},
                                  {"event", "left"},
                                  {"seat", options_.seat},
                                  {"meals", eaten_},
                                  {"longest_hunger_ms", longest_hunger_},
                                  {"mean_hunger_ms", mean}}
               .dump() +
           "\n";
  } else {
    line = zk::local_time(zk::wall_clock()) + "  seat " + std::to_string(options_.seat) + "  left after " +
           zk::counted(eaten_, "meal", "meals") + ", hungry for " + std::to_string(mean) + "ms on average and " +
           std::to_string(longest_hunger_) + "ms at most\n";
  }
  out_.write(line, Until{}.within(std::chrono::seconds(1)));  // we are done, and nobody waits for us
}

// Until the meal is over, or we may not go on eating.
void Philosopher::sleep_meal(Duration time, const Until& until) {
  if (time == Duration::zero()) return;
  zk::Ending end(until.stop);
  session_->follow({[](zk::Time) {}, [&](const std::string&) { end.with(zk::status_lost); }});
  try {
    zk::pause(time, {until.deadline, end.until().stop});
  } catch (const zk::TimedOut&) {
  } catch (const zk::Stopped&) {
  }
  session_->unguard();
  if (end.status() == zk::status_lost) throw zk::SessionLost("the session ended while eating; stopped at once");
}

void Philosopher::run_meal(zk::Diner& diner, std::int64_t token) {
  zk::Child child(options_.command);
  const auto ended = zk::run_command(frame_, session_.get(), child, options_.command[0],
                                     {{"ZK_TABLE_PATH", options_.table},
                                      {"ZK_TABLE_SEAT", std::to_string(options_.seat)},
                                      {"ZK_TABLE_MEAL", std::to_string(diner.meal().number)},
                                      {"ZK_TABLE_TOKEN", std::to_string(token)}},
                                     {.path = options_.table,
                                      .doing = "holds its forks at " + options_.table,
                                      .grace = zk::grace_within(options_.grace, session_->timeout())});
  if (ended.lost) throw zk::SessionLost(*ended.lost + (ended.stopped ? "; the meal was stopped" : ""));
  if (ended.status != 0) log::warning("the meal ended with status " + std::to_string(ended.status));
  // What was meant for us as well, and has ended it.
  signal_ = frame_.interrupt != 0 ? frame_.interrupt : ended.signal;
  if (signal_ != 0 && ended.status > zk::status_signal) throw zk::Stopped("interrupted");
}

void Philosopher::eat(zk::Diner& diner, std::int64_t token, const Until& until) {
  session_->guard(diner.forks(), until);
  tell("eating", diner, token);
  if (options_.command.empty())
    sleep_meal(some(options_.eat), until);
  else
    run_meal(diner, token);
  session_->unguard();
}

void Philosopher::live(zk::Diner& diner, const Until& until) {
  const bool thinks = options_.think.most > Duration::zero();
  while (!sated()) {
    zk::pause(Duration::zero(), until);  // it may be over
    if (thinks) {
      tell("thinking", diner);
      zk::pause(some(options_.think), until);
    }
    tell("hungry", diner);
    const auto token = diner.take_forks(until);
    const auto hunger = diner.meal().eating - diner.meal().hungry;
    longest_hunger_ = std::max(longest_hunger_, hunger);
    whole_hunger_ += hunger;
    // Whatever becomes of the meal, the forks are put down, unless they are lost.
    std::exception_ptr interrupted;
    try {
      eat(diner, token, until);
    } catch (const zk::SessionLost&) {
      throw;
    } catch (...) {
      interrupted = std::current_exception();
      session_->unguard();
    }
    ++eaten_;
    const bool last = interrupted || sated() || until.stop.stop_requested() || until.expired();
    diner.put_forks(!thinks && !last, Until{}.within(session_->timeout()));
    tell("done", diner, token);
    if (interrupted) std::rethrow_exception(interrupted);
  }
}

int Philosopher::run() {
  const Until waiting = options_.wait ? frame_.until.within(*options_.wait) : frame_.until;
  session_ = std::make_unique<zk::Session>(frame_.settings, waiting);
  const zk::TableRequest request{
      .path = options_.table,
      .seat = options_.seat,
      .seats = options_.seats,
      .rule = options_.rule,
      .about =
          zk::Identity::mine(options_.label.empty() ? zk::default_label(options_.command) : options_.label).json()};
  zk::Diner diner = zk::Diner::sit(*session_, request, waiting);
  int status = zk::status_done;
  const auto leave = [&] { diner.leave(Until{}.within(session_->timeout())); };
  try {
    log::step("sits down at " + options_.table + ", seat " + std::to_string(options_.seat));
    diner.await_all(waiting);
    const Until until = options_.at_most ? frame_.until.within(*options_.at_most) : frame_.until;
    try {
      live(diner, until);
    } catch (const zk::TimedOut&) {
      if (!until.expired()) throw;  // that was all the time it had
    } catch (const zk::Stopped&) {
      // It was to go on until somebody says so, or it has not had its fill.
      const bool meant = !options_.meals && !options_.at_most;
      status = meant ? zk::status_done : zk::status_signal + (signal_ != 0 ? signal_ : frame_.signals.received());
    }
  } catch (const zk::SessionLost&) {
    throw;
  } catch (...) {
    leave();
    throw;
  }
  leave();
  print_tally();
  return status;
}

}  // namespace

int dine(zk::Frame& frame, const Options& options) { return Philosopher(frame, options).run(); }
