#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <thread>

#include "barrier.h"
#include "child.h"
#include "error.h"
#include "identity.h"
#include "log.h"
#include "output.h"
#include "path.h"
#include "stay.h"
#include "text.h"
#include "zk-barrier.h"

namespace {

using zk::Duration;
using zk::Until;
namespace log = zk::log;

// Unique among the hosts, and a name that a member may have.
std::string default_id() {
  const auto me = zk::Identity::mine("");
  std::string id = me.host.substr(0, 50) + "-" + std::to_string(me.pid);
  std::ranges::replace_if(
      id, [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != '_' && c != '-'; }, '_');
  return id;
}

std::string list_of(const std::vector<std::string>& names, const std::string& separator = ", ") {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : separator) + zk::printable(name, 100);
  return list;
}

std::vector<std::string> ids_of(const zk::Barrier& barrier) {
  std::vector<std::string> ids;
  for (const auto& member : barrier.roster()) ids.push_back(member.id);
  return ids;
}

std::string died(const std::vector<std::string>& who, const std::string& path) {
  return list_of(who) + (who.size() == 1 ? " has" : " have") + " died in " + path;
}

// From the connection to the end, in which others may have died.
class Visit {
 public:
  Visit(zk::Frame& frame, const Options& options)
      : frame_(frame),
        options_(options),
        // By hand people want to see what they wait for.
        by_hand_(options.command.empty() && isatty(STDERR_FILENO) == 1),
        child_(options.command) {}

  int run();

 private:
  zk::Barrier connect_and_enter();
  zk::Barrier enter(const Until& until);
  zk::Stayed inside(zk::Barrier& barrier);
  zk::Stayed stay(zk::Barrier& barrier);
  void leave(zk::Barrier& barrier, const Until& until);
  std::vector<std::string> await_end(zk::Barrier& barrier, const Until& until);
  int rendezvous(zk::Barrier& barrier);
  int lost(const std::string& why, const zk::Stayed& stayed) const;
  int broken(const std::vector<std::string>& dead, const zk::Stayed& stayed) const;
  std::vector<std::pair<std::string, std::string>> variables(const zk::Barrier& barrier) const;
  std::string announcement(const char* what, const zk::Barrier& barrier) const;
  void tell(const std::string& news) const { by_hand_ ? log::warning(news) : log::step(news); }

  zk::Frame& frame_;
  const Options& options_;
  const bool by_hand_;
  zk::Child child_;  // without a command it keeps our will only
  std::unique_ptr<zk::Session> session_;
  std::vector<std::string> dead_;  // because of which the stay was ended
};

zk::Barrier Visit::enter(const Until& until) {
  const zk::BarrierRequest request{
      .path = options_.path,
      .members = options_.members,
      .id = options_.id.empty() ? default_id() : options_.id,
      .about =
          zk::Identity::mine(options_.label.empty() ? zk::default_label(options_.command) : options_.label).json()};
  std::string last = "waiting at " + options_.path;
  try {
    return zk::Barrier::enter(
        *session_, request, until, [&](const zk::BarrierState& state, const zk::Attendance& seen) {
          using Phase = zk::BarrierState::Phase;
          std::string news = "waiting at " + options_.path + ": " + std::to_string(seen.here.size()) + " of " +
                             std::to_string(state.members) + " are here";
          if (state.phase == Phase::open)
            news = "waiting at " + options_.path + ": generation " + std::to_string(state.generation) +
                   " is full; the next begins when it is over";
          if (news != last) tell(last = news);
        });
  } catch (const zk::TimedOut&) {
    throw zk::TimedOut("gave up " + last);
  }
}

std::vector<std::pair<std::string, std::string>> Visit::variables(const zk::Barrier& barrier) const {
  return {{"ZK_BARRIER_PATH", options_.path},
          {"ZK_BARRIER_NODE", barrier.node()},
          {"ZK_BARRIER_GENERATION", std::to_string(barrier.generation())},
          {"ZK_BARRIER_MEMBERS", list_of(ids_of(barrier), " ")},
          {"ZK_BARRIER_RANK", std::to_string(barrier.rank())}};
}

std::string Visit::announcement(const char* what, const zk::Barrier& barrier) const {
  return std::string(what) + " generation " + std::to_string(barrier.generation()) + " rank " +
         std::to_string(barrier.rank()) + " members " + list_of(ids_of(barrier), " ") + "\n";
}

zk::Stayed Visit::stay(zk::Barrier& barrier) {
  const std::string hint = "inside " + options_.path + "; Ctrl-D or Ctrl-C leaves";
  std::stop_source crash;
  const zk::Stay how{.path = options_.path,
                     .doing = "is inside " + options_.path,
                     .grace = zk::grace_within(options_.grace, session_->timeout()),
                     .end = crash.get_token()};
  // Beside the command: who has died?
  std::jthread watcher([&](std::stop_token stop) {
    try {
      for (;;) {
        const auto who = barrier.await_crash({zk::Time::max(), stop});
        if (!options_.ignore_crashes) {
          dead_ = who;
          crash.request_stop();
          return;
        }
        log::warning(died(who, options_.path) + "; going on without");
      }
    } catch (const zk::Stopped&) {
    } catch (const zk::SessionLost&) {
      // The lease says so as well.
    } catch (const std::runtime_error& error) {
      log::warning("whether others die in " + options_.path + " cannot be seen any more: " + error.what());
    }
  });
  if (options_.command.empty()) return zk::hold(frame_, *session_, announcement("begin", barrier), hint, how);
  return zk::run_command(frame_, session_.get(), child_, options_.command[0], variables(barrier), how);
}

// Waits until all have left, with another session if this one ends.
std::vector<std::string> Visit::await_end(zk::Barrier& barrier, const Until& until) {
  std::string last;
  const auto looked = [&](const zk::BarrierState& state, const zk::Attendance& seen) {
    std::vector<std::string> inside;
    for (const auto& member : state.roster)
      if (seen.nodes.contains(zk::here_node(member.name)) && !seen.nodes.contains(zk::left_node(member.name)))
        inside.push_back(member.id);
    const std::string news = "left " + options_.path + "; waiting for " + list_of(inside);
    if (news != last) tell(last = news);
  };
  for (;;) {
    try {
      if (!session_) {
        session_ = std::make_unique<zk::Session>(frame_.settings, until);
        barrier.go_on_with(*session_, until);
      }
      return barrier.await_end(options_.ignore_crashes, until, looked);
    } catch (const zk::SessionLost&) {
      session_.reset();  // we have left: nothing of ours can be lost any more
    } catch (const zk::CannotConnect& error) {
      log::warning(std::string(error.what()) + "; trying again");
      zk::pause(std::chrono::seconds(1), until);
    } catch (const zk::TimedOut&) {
      throw zk::TimedOut("left " + options_.path + ", but gave up waiting for the others: " + last);
    }
  }
}

// Connects and enters. Through the ends of sessions, as long as we are only waiting.
zk::Barrier Visit::connect_and_enter() {
  const Until until = options_.wait ? frame_.until.within(*options_.wait) : frame_.until;
  Duration patience = std::chrono::milliseconds(500);
  for (bool was_in_line = false;;) {
    try {
      session_.reset();
      session_ = std::make_unique<zk::Session>(frame_.settings, until);
      child_.keep(session_->will());  // if we are killed, the others need not wait for the session to time out
      zk::Barrier barrier = enter(until);
      if (until.expired()) log::warning("entered " + options_.path + " just when the time to wait was over");
      return barrier;
    } catch (const zk::SessionLost& lost) {
      log::warning(std::string(lost.what()) + "; getting in line again");
      was_in_line = true;
    } catch (const zk::CannotConnect& error) {
      // The first time it is a mistake somebody should hear of. Later it is an outage, and waiting is what was asked
      // for.
      if (!was_in_line) throw;
      patience = std::min<Duration>(patience * 2, std::chrono::seconds(30));
      log::warning(std::string(error.what()) + "; trying again in " + zk::to_string(patience));
      zk::pause(patience, until);
    }
  }
}

// What is done inside. Whatever happens we leave in good order, unless the right to be there was lost.
zk::Stayed Visit::inside(zk::Barrier& barrier) {
  try {
    session_->guard({barrier.node()}, frame_.until);
    auto stayed = stay(barrier);
    session_->unguard();
    return stayed;
  } catch (const zk::SessionLost& lost) {
    return {.lost = lost.what()};
  } catch (...) {
    session_->unguard();
    leave(barrier, Until{}.within(session_->timeout()));
    throw;
  }
}

void Visit::leave(zk::Barrier& barrier, const Until& until) {
  const auto leave_by = [&](const Until& limit) {
    try {
      barrier.leave(limit);
    } catch (const zk::TimedOut&) {
      throw zk::Unknown("gave up waiting for ZooKeeper; whether we count as one who has left " + options_.path +
                        " is unknown");
    }
  };
  try {
    leave_by(until);
  } catch (const zk::Stopped&) {
    leave_by(Until{}.within(session_->timeout()));  // whoever is in a hurry leaves all the same
    throw;
  }
}

int Visit::lost(const std::string& why, const zk::Stayed& stayed) const {
  log::error("lost " + options_.path + ": " + why +
             (stayed.stopped              ? "; the command was stopped"
              : !options_.command.empty() ? "; the command ended with status " + std::to_string(stayed.status)
                                          : ""));
  return zk::status_lost;
}

int Visit::broken(const std::vector<std::string>& dead, const zk::Stayed& stayed) const {
  log::error(died(dead, options_.path) + (stayed.stopped ? "; the command was stopped" : ""));
  return zk::status_broken;
}

int Visit::run() {
  zk::Barrier barrier = connect_and_enter();
  log::step("inside " + options_.path + ", generation " + std::to_string(barrier.generation()) + ": " +
            list_of(ids_of(barrier)));
  if (frame_.until.stop.stop_requested()) {  // a signal came just when we entered
    leave(barrier, Until{}.within(session_->timeout()));
    throw zk::Stopped("stopped");
  }
  if (options_.enter_only) return rendezvous(barrier);

  const zk::Stayed stayed = inside(barrier);
  if (stayed.lost) return lost(*stayed.lost, stayed);
  const Until patient = options_.leave_wait ? frame_.until.within(*options_.leave_wait) : frame_.until;
  // Our terminal is gone, and the stay ended of it: nobody waits for what comes after. To a command that lives on, HUP
  // meant something else.
  const bool hung_up = stayed.signal == SIGHUP && stayed.status == zk::status_signal + SIGHUP;
  const Until until = hung_up ? patient.within(session_->timeout()) : patient;
  try {
    leave(barrier, until);
  } catch (const zk::SessionLost& loss) {
    return lost(loss.what(), stayed);
  }
  log::step("left " + options_.path);
  if (hung_up) return zk::status_signal + SIGHUP;
  if (dead_.empty()) {
    dead_ = await_end(barrier, until);
    if (!dead_.empty() && options_.ignore_crashes) log::warning(died(dead_, options_.path));
  }
  if (!dead_.empty() && !options_.ignore_crashes) return broken(dead_, stayed);
  if (!options_.command.empty()) return stayed.status;
  zk::Output().write(announcement("end", barrier), frame_.until);
  return zk::status_done;
}

// Only to start together: nothing holds the command to the barrier any more.
int Visit::rendezvous(zk::Barrier& barrier) {
  leave(barrier, frame_.until);
  child_.keep({});
  session_.reset();
  if (options_.command.empty()) {
    zk::Output().write(announcement("begin", barrier), frame_.until);
    return zk::status_done;
  }
  return zk::run_command(
             frame_, nullptr, child_, options_.command[0], variables(barrier),
             {.path = options_.path, .doing = "runs after " + options_.path, .grace = std::chrono::seconds(3)})
      .status;
}

}  // namespace

int run_in_barrier(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  if (!options.id.empty()) zk::check_name("--id", options.id);
  return Visit(frame, options).run();
}
