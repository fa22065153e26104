#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "child.h"
#include "error.h"
#include "identity.h"
#include "log.h"
#include "observe.h"
#include "output.h"
#include "path.h"
#include "referee.h"
#include "table.h"
#include "wall_clock.h"

namespace {

using zk::Until;
namespace log = zk::log;

constexpr zk::Duration shortest_look = std::chrono::milliseconds(100);

class Referee {
 public:
  Referee(zk::Frame& frame, const Options& options)
      : frame_(frame),
        options_(options),
        session_(frame.settings, frame.until),
        alive_(!options.json && zk::Output().is_terminal()) {}

  int run();

 private:
  void be_present();
  void follow();
  void take(const zk::Change& change);
  void take_table(const std::string& data);
  void read_records();
  void look_for_deadlock();
  bool confirmed(const std::vector<int>& ring);
  void paint();
  void report();
  void leave();
  std::string node(const std::string& name) const { return zk::join(options_.table, name); }

  zk::Frame& frame_;
  const Options& options_;
  zk::Child guard_{{}};  // so that nobody takes us for present when we have been killed
  zk::Session session_;
  const bool alive_;
  zk::Output out_;
  std::string mine_;  // our node
  std::optional<zk::TableState> table_;
  std::optional<zk::Dinner> dinner_;
  std::vector<Deadlock> deadlocks_;
  std::vector<int> ring_;     // the one that there is now
  std::optional<int> asked_;  // the seat that is to put its fork down
  bool dirty_ = true;
  zk::Time painted_{};
};

// Whoever leaves the table writes its last state for us, if it sees that we are here.
void Referee::be_present() {
  const std::string about = zk::Identity::mine("referee").json();
  mine_ = node(zk::referee_node(session_.id()));
  guard_.keep(session_.will());
  const auto made = [&] {
    const auto create = [&] { return session_.create(mine_, about, zk::Mode::ephemeral); };
    return session_.insist(frame_.until, create).code != zk::Code::no_node;
  };
  while (!made()) session_.make_directory(options_.table, "", frame_.until);
}

void Referee::take_table(const std::string& data) {
  const auto now = zk::TableState::parse(data);
  if (!now) return;
  if (!dinner_ || (table_ && table_->seats != now->seats)) {
    dinner_.emplace(now->seats);
    deadlocks_.clear();
  }
  table_ = now;
}

void Referee::take(const zk::Change& change) {
  using Event = zk::Change::Event;
  if (change.path == options_.table) {
    if (change.node) take_table(change.node->data);
    return;
  }
  if (!dinner_ || change.path.empty() || zk::parent_of(change.path) != options_.table) return;
  const auto seat = zk::parse_seat(zk::name_of(change.path));
  if (!seat) return;
  dirty_ = true;
  if (change.event == Event::deleted) {
    dinner_->gone(*seat, change.last.czxid, zk::wall_clock());
    read_records();
  } else if (change.node && change.aspect == zk::Aspect::data) {
    if (const auto state = zk::SeatState::parse(change.node->data))
      dinner_->note(*seat, *state, change.node->stat.czxid, change.node->stat.mzxid);
  }
  look_for_deadlock();
}

void Referee::read_records() {
  const auto children = session_.insist(frame_.until, [&] { return session_.children(options_.table); });
  for (const auto& name : children.value_or(std::vector<std::string>{})) {
    const auto record = zk::parse_record(name);
    if (!record) continue;
    const auto there = session_.insist(frame_.until, [&] { return session_.get(node(name)); });
    if (const auto state = there ? zk::SeatState::parse(there->data) : std::nullopt) {
      dinner_->note(record->first, *state, record->second, there->stat.czxid);
      dinner_->gone(record->first, record->second, zk::wall_clock());
    }
  }  // it stays for other referees; who is the last at the table deletes it
}

// What we follow may be of different moments. If nothing has changed between two looks, all of the first held when the
// second began.
bool Referee::confirmed(const std::vector<int>& ring) {
  const auto look = [&] {
    std::vector<std::optional<zk::Node>> nodes;
    for (const int seat : ring)
      nodes.push_back(session_.insist(frame_.until, [&] { return session_.get(node(zk::seat_node(seat))); }));
    return nodes;
  };
  const auto first = look(), second = look();
  std::vector<zk::SeatState> states(static_cast<std::size_t>(table_->seats));
  std::vector<const zk::SeatState*> seats(states.size(), nullptr);
  for (std::size_t i = 0; i < ring.size(); ++i) {
    if (!first[i] || !second[i] || first[i]->stat.mzxid != second[i]->stat.mzxid) return false;
    const auto state = zk::SeatState::parse(first[i]->data);
    if (!state) return false;
    const auto at = static_cast<std::size_t>(ring[i]);
    states[at] = *state;
    seats[at] = &states[at];
  }
  return zk::deadlock(seats).size() == ring.size();
}

void Referee::look_for_deadlock() {
  std::vector<const zk::SeatState*> seats;
  for (const auto* const sitting : dinner_->present()) seats.push_back(sitting == nullptr ? nullptr : &sitting->state);
  const auto ring = zk::deadlock(seats);
  if (ring == ring_) return;
  ring_.clear();
  if (const auto asked = std::exchange(asked_, std::nullopt))  // it has done so
    session_.insist(frame_.until, [&] { return session_.remove(node(zk::request_node(*asked))); });
  if (ring.empty() || !confirmed(ring)) return;
  ring_ = ring;
  deadlocks_.push_back({zk::wall_clock(), ring});
  const std::string words = in_words(deadlocks_.back(), table_->seats);
  if (options_.json)
    out_.write(
        nlohmann::ordered_json{
            {"time", zk::iso_time(deadlocks_.back().seen, true)}, {"event", "deadlock"}, {"seats", ring}}
                .dump() +
            "\n",
        frame_.until);
  else if (!alive_)
    out_.write(zk::local_time(deadlocks_.back().seen) + "  deadlock: " + words + "\n", frame_.until);
  if (!options_.break_deadlock) return;
  // Who has eaten most waits most easily.
  asked_ = *std::ranges::max_element(ring, {}, [&](int seat) { return seats[static_cast<std::size_t>(seat)]->meals; });
  log::warning("deadlock: asking seat " + std::to_string(*asked_) + " to put its fork down");
  session_.insist(frame_.until, [&] {
    return session_.create(node(zk::request_node(*asked_)), zk::Identity::mine("referee").json(), zk::Mode::ephemeral);
  });
}

void Referee::paint() {
  dirty_ = false;
  painted_ = zk::Clock::now();
  if (!alive_ || !dinner_) return;
  std::string picture = "\033[H\033[J" + board(options_.table, *dinner_, zk::wall_clock());
  if (!ring_.empty()) picture += "DEADLOCK: " + in_words(deadlocks_.back(), table_->seats) + "\n";
  picture.pop_back();  // or a pane that is just high enough would lose its first line
  out_.write(picture, frame_.until);
}

void Referee::follow() {
  zk::Observer observer(frame_.settings,
                        {.targets = {{zk::Target::Kind::tree, options_.table}}, .trouble = log::warning}, frame_.until);
  for (;;) {
    try {
      take(observer.next(dirty_ ? Until{painted_ + shortest_look, frame_.until.stop} : frame_.until));
    } catch (const zk::TimedOut&) {
      paint();
    }
    if (dinner_ && table_ && table_->begun && !dinner_->sittings().empty() && dinner_->empty()) return;
  }
}

void Referee::leave() {
  const Until until = Until{}.within(session_.timeout());
  try {
    session_.insist(until, [&] { return session_.remove(mine_); });
    zk::clear_table(session_, options_.table, until);
  } catch (const std::runtime_error& error) {
    log::step(std::string("the table is not cleared: ") + error.what());
  }
}

void Referee::report() {
  if (!dinner_) {
    log::warning("nobody has sat at " + options_.table);
    return;
  }
  const Until until = Until{}.within(std::chrono::seconds(1));
  out_.write(options_.json ? json_report(*dinner_, deadlocks_)
                           : (alive_ ? "\033[H\033[J" : "") + text_report(*dinner_, deadlocks_),
             until);
  if (!options_.svg) return;
  std::ofstream file(*options_.svg);
  file << timeline(*dinner_, deadlocks_, options_.table);
  file.close();
  if (!file) throw zk::Refused("cannot write the timeline to " + *options_.svg);
}

int Referee::run() {
  be_present();
  int status = zk::status_done;
  try {
    follow();
  } catch (const zk::Stopped&) {
  } catch (const zk::SessionLost&) {
    report();  // what was seen until then
    throw;
  }
  try {
    report();
  } catch (...) {
    leave();
    throw;
  }
  leave();
  if (dinner_ && !zk::judge(*dinner_).overlaps.empty()) status = 1;
  return status;
}

}  // namespace

int watch_table(zk::Frame& frame, const Options& options) {
  zk::check_path(options.table);
  return Referee(frame, options).run();
}
