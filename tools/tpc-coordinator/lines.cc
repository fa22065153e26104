#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "child.h"
#include "ending.h"
#include "error.h"
#include "identity.h"
#include "input.h"
#include "log.h"
#include "output.h"
#include "text.h"
#include "tpc-coordinator.h"
#include "words.h"

namespace {

using zk::Result;
using zk::Until;

// Lines are read, worked on, and answered by three threads: as many at once as there are places, and the answers in the
// order of the lines.
class Results {
 public:
  explicit Results(int places) : free_(places) {}

  /// Blocks until there is a place; answers its number.
  std::size_t take_place(const Until& until) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, until.stop, [&] { return free_ > 0; });
    if (until.stop.stop_requested()) throw zk::Stopped("stopped");
    --free_;
    return next_++;
  }

  void put(std::size_t number, std::string text) {
    const std::lock_guard lock(mutex_);
    texts_.emplace(number, std::move(text));
    changed_.notify_all();
  }

  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  /// The next in order, which frees its place; nullopt at the end.
  std::optional<std::string> next(const Until& until) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, until.stop, [&] { return texts_.contains(told_) || (ended_ && told_ == next_); });
    if (until.stop.stop_requested()) throw zk::Stopped("stopped");
    if (!texts_.contains(told_)) return std::nullopt;
    return std::move(texts_.extract(told_).mapped());
  }

  void told() {
    const std::lock_guard lock(mutex_);
    ++told_;
    ++free_;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int free_;
  std::size_t next_ = 0, told_ = 0;
  std::map<std::size_t, std::string> texts_;
  bool ended_ = false;
};

// Reads wait for replicas; so each is done by one of some threads, which are made as they are needed.
class Readers {
 public:
  explicit Readers(std::size_t most) : most_(most) {}

  void run(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < most_)
      threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    changed_.notify_one();
  }

 private:
  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      const bool some = changed_.wait(lock, stop, [&] { return !jobs_.empty(); });
      --idle_;
      if (!some) return;
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> jobs_;
  std::size_t idle_ = 0;
  std::vector<std::jthread> threads_;  // the last: they end first
};

class Lines {
 public:
  Lines(zk::Frame& frame, const Options& options)
      : frame_(frame),
        options_(options),
        fail_(options.fail),
        guard_(std::vector<std::string>{}),
        by_hand_(isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1),
        end_(frame.until.stop),
        results_(options.parallel),
        readers_(std::min<std::size_t>(static_cast<std::size_t>(options.parallel), 16)) {}

  int run();

 private:
  std::unique_ptr<zk::Coordinator> connect();
  void read_lines();
  void take(std::size_t number, const std::string& line);
  void read(std::size_t number, const std::vector<std::string>& words);
  void print();
  void work();
  void go_on(std::deque<zk::InDoubt> doubts);
  void hand_over(std::size_t number, zk::Transaction transaction);
  std::string failure(const std::string& why) const;
  void count(const Result& result);
  void follow(const zk::Milestone& milestone);
  void write(const std::string& text);

  zk::Frame& frame_;
  const Options& options_;
  zk::FailPoint fail_;
  zk::Child guard_;
  const bool by_hand_;
  zk::Ending end_;
  Results results_;
  std::mutex writing_;
  zk::Output out_;

  std::mutex mutex_;  // of these
  std::shared_ptr<zk::Session> session_;
  std::unique_ptr<zk::Coordinator> coordinator_;               // none between two sessions
  std::vector<std::pair<zk::Transaction, zk::Done>> waiting_;  // for the next one
  bool no_more_ = false;
  bool doubt_ = false;

  Readers readers_;  // uses the above
};

std::string Lines::failure(const std::string& why) const {
  if (options_.json) return nlohmann::ordered_json{{"result", "failed"}, {"why", why}}.dump();
  return "failed -: " + why;
}

void Lines::write(const std::string& text) {
  const std::lock_guard lock(writing_);
  out_.write(text, end_.until());
}

// By hand people want to see how it comes about. The result is a line of its own.
void Lines::follow(const zk::Milestone& milestone) {
  using What = zk::Milestone::What;
  if (!by_hand_ || milestone.what == What::committed || milestone.what == What::aborted || !out_.ready()) return;
  write("  " + shown(milestone) + "\n");
}

std::unique_ptr<zk::Coordinator> Lines::connect() {
  const Until until = end_.until();
  auto session = std::make_shared<zk::Session>(frame_.settings, until);
  guard_.keep(session->will());
  if (!session_) await_participants(*session, options_, until);  // later it is an outage
  auto coordinator = std::make_unique<zk::Coordinator>(
      *session,
      zk::CoordinatorRequest{.path = options_.path,
                             .about = zk::Identity::mine("").json(),
                             .quorum = options_.quorum,
                             .patience = options_.timeout,
                             .tell = [this](const auto& news) { follow(news); },
                             .reached = [this](const char* point) { fail_.reach(point); }},
      until);
  const std::lock_guard lock(mutex_);
  session_ = std::move(session);
  return coordinator;
}

void Lines::count(const Result& result) {
  if (result.kind == Result::Kind::unknown) doubt_ = true;
}

void Lines::hand_over(std::size_t number, zk::Transaction transaction) {
  const auto done = [this, number](const Result& result) {
    count(result);
    results_.put(number, options_.json ? as_json(result) : shown(result));
  };
  const std::lock_guard lock(mutex_);
  if (coordinator_)
    coordinator_->submit(std::move(transaction), done);
  else
    waiting_.emplace_back(std::move(transaction), done);
}

void Lines::read(std::size_t number, const std::vector<std::string>& words) {
  const auto keys = keys_of(words);
  readers_.run([this, number, keys] {
    std::shared_ptr<zk::Session> session;
    {
      const std::lock_guard lock(mutex_);
      session = session_;
    }
    try {
      const auto reading =
          zk::read_register(*session, {options_.path}, keys, options_.stale, end_.until().within(options_.timeout));
      const auto& from = reading.from;
      std::string text = shown(reading, keys, " ");
      for (const auto& key : missing(reading, keys)) text += (text.empty() ? "" : " ") + key + " does not exist";
      text += " (version " + std::to_string(from.view.version) + ", " + zk::printable(from.replica, 100) + ")";
      results_.put(number, options_.json ? as_json(reading, keys) : text);
    } catch (const std::runtime_error& why) {
      results_.put(number, failure(why.what()));
    }
  });
}

void Lines::take(std::size_t number, const std::string& line) {
  try {
    const auto words = zk::words(line);
    if (words.empty()) return results_.put(number, "");
    if (words[0] == "get" || words[0] == "dump") return read(number, words);
    auto transaction = zk::Transaction::of(words);
    zk::Coordinator::check(transaction, options_.path);
    hand_over(number, std::move(transaction));
  } catch (const zk::Refused& why) {
    results_.put(number, failure(why.what()));
  }
}

void Lines::read_lines() {
  try {
    zk::Lines lines;
    for (;;) {
      const auto number = results_.take_place(end_.until());
      if (by_hand_) write("> ");
      const auto line = lines.next(end_.until());
      if (!line) {
        results_.put(number, "");
        break;
      }
      take(number, *line);
    }
  } catch (const zk::Stopped&) {
  } catch (const std::runtime_error& why) {
    zk::log::error(why.what());
    end_.with(zk::status_failed);
  }
  const std::lock_guard lock(mutex_);
  no_more_ = true;
  results_.end();
  if (coordinator_) coordinator_->finish();
}

void Lines::print() {
  try {
    while (auto text = results_.next(end_.until())) {
      if (!text->empty()) write(*text + "\n");
      results_.told();
    }
  } catch (const zk::Stopped&) {
  } catch (const zk::ReaderGone&) {
    end_.with(zk::status_signal + SIGPIPE);
  } catch (const std::runtime_error& why) {
    zk::log::error(why.what());
    end_.with(zk::status_failed);
  }
}

// With another session; what was in flight in the old one is looked up in it.
void Lines::go_on(std::deque<zk::InDoubt> doubts) {
  for (zk::Duration patience = std::chrono::milliseconds(250);;) {
    try {
      auto next = connect();
      for (; !doubts.empty(); doubts.pop_front()) {
        const auto& doubt = doubts.front();
        doubt.done(zk::find_out(*session_, options_.path, doubt, end_.until().within(options_.timeout)));
      }
      const std::lock_guard lock(mutex_);
      coordinator_ = std::move(next);
      for (auto& [transaction, done] : waiting_) coordinator_->submit(std::move(transaction), std::move(done));
      waiting_.clear();
      if (no_more_) coordinator_->finish();
      return;
    } catch (const zk::SessionLost&) {
    } catch (const zk::CannotConnect& error) {
      patience = std::min<zk::Duration>(patience * 2, std::chrono::seconds(10));
      zk::log::warning(std::string(error.what()) + "; trying again in " + zk::to_string(patience));
      zk::pause(patience, end_.until());
    }
  }
}

void Lines::work() {
  for (;;) {
    try {
      return coordinator_->work(end_.until());
    } catch (const zk::SessionLost& lost) {
      zk::log::warning(std::string(lost.what()) + "; coming back");
      std::vector<zk::InDoubt> doubts;
      {
        const std::lock_guard lock(mutex_);
        doubts = coordinator_->in_doubt();
        coordinator_.reset();
      }
      go_on({std::make_move_iterator(doubts.begin()), std::make_move_iterator(doubts.end())});
    }
  }
}

int Lines::run() {
  coordinator_ = connect();
  std::jthread printer([this] { print(); });
  std::jthread reader([this] { read_lines(); });
  try {
    work();
  } catch (const zk::Stopped&) {
    try {
      if (coordinator_) coordinator_->give_up("its coordinator was told to stop", Until{}.within(session_->timeout()));
    } catch (const std::runtime_error& why) {
      zk::log::warning(std::string(why.what()) + "; what was in flight is in doubt");
      doubt_ = true;
    }
    if (doubt_) return zk::status_unknown;
  } catch (...) {
    end_.with(zk::status_failed);
    throw;
  }
  reader.join();
  printer.join();
  if (end_.status() >= 0) return end_.status();
  if (frame_.until.stop.stop_requested()) throw zk::Stopped("stopped");
  return doubt_ ? zk::status_unknown : zk::status_done;
}

}  // namespace

int run_lines(zk::Frame& frame, const Options& options) { return Lines(frame, options).run(); }
