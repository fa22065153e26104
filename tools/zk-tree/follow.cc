#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "ending.h"
#include "error.h"
#include "log.h"
#include "observe.h"
#include "path.h"
#include "picture.h"
#include "screen.h"
#include "text.h"
#include "wall_clock.h"
#include "zk-tree.h"

namespace {

using Event = zk::Change::Event;
using zk::Time;

// Nobody reads faster.
constexpr zk::Duration shortest_look = std::chrono::milliseconds(40);
constexpr zk::Duration longest_wait = std::chrono::seconds(1);
constexpr zk::Duration glance = std::chrono::milliseconds(250);  // nobody tells us that the terminal is ours again
constexpr zk::Duration remark_time = std::chrono::minutes(1);

std::string o_clock() { return zk::local_time(zk::wall_clock()).substr(0, 8); }

// Paints from a thread of its own, so that neither a slow terminal keeps us from seeing changes, nor an outage from
// painting.
class Painter {
 public:
  Painter(std::string path, zk::Signals& signals, zk::Ending& end)
      : path_(path), picture_(std::move(path)), signals_(signals), end_(end) {
    screen_.when_reader_goes([this] { end_.with(zk::status_signal + SIGPIPE); });
    signals_.on_terminal([this](int signal) { terminal_changed(signal); });
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }

  ~Painter() {
    signals_.on_terminal({});
    thread_.request_stop();
    thread_.join();
    screen_.leave();
  }

  void take(const zk::Change& change) {
    const std::lock_guard lock(mutex_);
    if (change.event == Event::gap) {
      trouble_.clear();
      remark_ = (change.new_session ? "new session at " : "connected again at ") + o_clock();
      remark_end_ = zk::Clock::now() + remark_time;
    }
    picture_.take(change, zk::Clock::now());
    complete_ = complete_ || change.event == Event::complete;
    dirty();
  }

  void trouble(const std::string& what) {
    const std::lock_guard lock(mutex_);
    trouble_ = what;
    dirty();
  }

 private:
  void dirty() {
    dirty_ = true;
    changed_.notify_all();
  }

  void terminal_changed(int signal) {
    const std::lock_guard lock(mutex_);
    suspended_ = signal == SIGTSTP;
    dirty();
    // Not for long: the terminal may take nothing, and then nobody misses it.
    const std::unique_lock painting(painting_, std::chrono::milliseconds(200));
    if (suspended_ && painting) screen_.leave();
  }

  std::string title() const {
    // In a narrow pane the end is cut off, so news come first.
    const std::string text = "zk-tree " + zk::printable(path_, 200) + "  " + picture_.summary();
    const std::string& news = trouble_.empty() ? remark_ : trouble_;
    return news.empty() ? text : "(" + news + ")  " + text;
  }

  // The first look is worth a moment's waiting for all of it.
  Time first_look() const { return painted_ || complete_ ? begin_ : begin_ + longest_wait; }

  // When there will be something else to show although nothing has happened.
  Time next_fading() const { return std::min(picture_.next_fading(), remark_.empty() ? Time::max() : remark_end_); }

  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    try {
      while (!stop.stop_requested()) {
        const bool away = suspended_ || screen_.in_background();
        const Time due = away ? zk::Clock::now() + glance : dirty_ ? first_look() : next_fading();
        const bool was_dirty = dirty_;
        changed_.wait_until(lock, stop, std::min<Time>(due, zk::Clock::now() + std::chrono::hours(1)),
                            [&] { return !away && dirty_ && (!was_dirty || complete_ || painted_); });
        if (stop.stop_requested() || away || zk::Clock::now() < (dirty_ ? first_look() : due)) continue;
        paint(lock, {Time::max(), stop});
        changed_.wait_until(lock, stop, zk::Clock::now() + shortest_look, [] { return false; });
      }
      if (painted_) paint(lock, zk::Until{}.within(std::chrono::milliseconds(200)));
    } catch (const zk::ReaderGone&) {
      end_.with(zk::status_signal + SIGPIPE);
    } catch (const zk::Stopped&) {
    } catch (const zk::TimedOut&) {
    } catch (const std::exception& error) {
      zk::log::error(error.what());
      end_.with(zk::status_failed);
    }
  }

  void paint(std::unique_lock<std::mutex>& lock, const zk::Until& until) {
    dirty_ = false;
    painted_ = true;
    picture_.fade(zk::Clock::now());
    if (zk::Clock::now() >= remark_end_) remark_.clear();
    const auto rows = picture_.rows(screen_.height());
    const std::string head = title();
    lock.unlock();
    {
      const std::lock_guard painting(painting_);
      screen_.paint(head, rows, until);
    }
    lock.lock();
  }

  const std::string path_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Picture picture_;
  Screen screen_;
  std::string trouble_, remark_;
  Time remark_end_{};
  const Time begin_ = zk::Clock::now();
  bool complete_ = false;
  bool dirty_ = false, suspended_ = false, painted_ = false;
  std::timed_mutex painting_;
  zk::Signals& signals_;
  zk::Ending& end_;
  std::jthread thread_;
};

}  // namespace

int follow_tree(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  zk::Ending end(frame.until.stop);
  Painter painter(options.path, frame.signals, end);
  zk::Settings settings = frame.settings;
  settings.connection_changed = [&](bool connected) {
    painter.trouble(connected ? "" : "no connection since " + o_clock());
  };
  zk::Observation what{.targets = {{zk::Target::Kind::tree, options.path}},
                       .most_nodes = options.bounds.most_nodes,
                       .deepest = options.bounds.deepest,
                       .trouble = [&](const std::string& why) { painter.trouble(why); }};
  try {
    zk::Observer observer(settings, std::move(what), end.until());
    for (;;) painter.take(observer.next(end.until()));
  } catch (const zk::Stopped&) {
    if (end.status() < 0) throw;  // a signal
    return end.status();
  }
}
