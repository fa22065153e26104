#include "barrier.h"

#include <algorithm>

#include "error.h"
#include "identity.h"
#include "path.h"
#include "text.h"

namespace zk {

namespace {

using Phase = BarrierState::Phase;

BarrierState read_state(const std::string& path, const std::string& data) {
  auto state = BarrierState::parse(data);
  if (!state) throw Refused(path + " holds data of something else, where a barrier keeps its state");
  return *state;
}

// The end of a generation removes two nodes of each member in one transaction, and a server drops the connection of
// whoever sends more than 1 MiB. All members have to decide alike, so it goes by the longest ids and a long chroot.
void check_members(const std::string& path, int members) {
  constexpr std::size_t most = 900'000, around_a_path = 64 + 50 + 256;
  if (2 * static_cast<std::size_t>(members) * (path.size() + around_a_path) > most)
    throw Refused("the path " + printable(path, 100) + " is too long for " + std::to_string(members) + " members");
}

}  // namespace

// --- entering ---

Barrier Barrier::enter(Session& session, const BarrierRequest& request, const Until& until, const Looked& looked) {
  check_path(request.path);
  check_name("id", request.id);
  check_members(request.path, request.members);
  Barrier barrier(session, request);
  try {
    barrier.take_part(until, looked);
  } catch (const SessionLost&) {
    throw;  // and our node with it
  } catch (const std::runtime_error& why) {
    // Giving up must be possible after `until` has ended.
    bool entered = false;
    try {
      entered = barrier.withdraw(Until{}.within(session.timeout()));
    } catch (const TimedOut&) {
      throw Unknown(std::string(why.what()) + "; whether we are counted at " + request.path + " is unknown");
    } catch (const std::runtime_error&) {
      // What made us give up is what the caller should hear of; the node goes with the session.
    }
    if (!entered) throw;
  }
  barrier.generation_ = barrier.state_.generation;
  barrier.entered_folder_ = barrier.folder_;
  barrier.roster_ = barrier.state_.roster;
  return barrier;
}

void Barrier::take_part(const Until& until, const Looked& looked) {
  arrive(until);
  while (!inside()) {
    try {
      if (!current_) look(until);
      if (inside()) return;
      if (!seen_.nodes.contains(here_node(name_))) {  // somebody deleted our node, or the whole folder
        arrive(until);
        continue;
      }
      refuse_duplicate(until);
      if (!settle_members(until)) continue;
      const Step step = next_step(state_, seen_, name_, Wish::take_part);
      if (step.kind != Step::Kind::none) {
        write(step, until);
        continue;
      }
      if (looked) looked(state_, seen_);
      wait(until);
    } catch (const ConnectionLoss&) {
      look_anew(until);
    }
  }
}

// Makes our node; and if that makes N, opens the generation in the same transaction. Looks before, which costs less
// than to write twice.
void Barrier::arrive(const Until& until) {
  for (;;) {
    try {
      name_.clear();
      auto [reading, change] = session_->watch(request_.path);
      auto listing = session_->children(request_.path);
      read(reading.get(until));
      if (folder_ == 0) {
        make_folder(until);
        continue;
      }
      state_change_ = change;
      seen_ = Attendance::of(listing.get(until).value_or(std::vector<std::string>{}));
      refuse_duplicate(until);
      if (!seen_.here.empty()) refuse_other_number(seen_.here.front());
      const Member me = newcomer(state_, seen_, request_.id, request_.members);
      Step step = next_step(state_, joined_by(seen_, me), me.name, Wish::take_part);
      std::erase(step.exist, here_node(me.name));
      name_ = me.name;
      if (write(step, until, /*arriving=*/true)) return;
    } catch (const ConnectionLoss&) {
      session_->insist(until, [&] { return session_->sync(request_.path); });
      state_change_.reset();
      current_ = false;
      if (!name_.empty() && is_ours(until)) return;
    }
  }
}

// Whether the node of our name is: somebody with the same id may have been faster.
bool Barrier::is_ours(const Until& until) {
  const auto node = session_->insist(until, [&] { return session_->stat(this->node()); });
  return node && node->owner == session_->id();
}

// Persistent: a container would vanish in a moment in which nobody is here, and with it the number of the generation.
void Barrier::make_folder(const Until& until) {
  const BarrierState state{.members = request_.members};
  const auto made =
      session_->insist(until, [&] { return session_->create(request_.path, state.json(), Mode::persistent); });
  if (made.code == Code::no_node) session_->make_directory(parent_of(request_.path), "", until);
}

// Of two with the same id the one that came first counts.
void Barrier::refuse_duplicate(const Until& until) {
  const auto twin = std::ranges::find(seen_.here, request_.id, &Member::id);
  if (twin == seen_.here.end() || twin->name == name_) return;
  const auto node = member_node(twin->name, until);
  const auto who = node ? Identity::parse(node->data) : std::nullopt;
  throw Refused("the id " + request_.id + " is at " + request_.path + " already: " + (who ? who->shown() : "somebody") +
                "; say another with --id, or, if that one is dead, come again when its session has ended");
}

// The first in line says how many members there are.
void Barrier::refuse_other_number(const Member& first) const {
  if (first.members != request_.members)
    throw Refused(request_.path + " is used by " + std::to_string(first.members) + " members, not " +
                  std::to_string(request_.members) + ": all must say the same number");
}

// Answers whether the state has our number of members.
bool Barrier::settle_members(const Until& until) {
  refuse_other_number(seen_.here.front());
  if (state_.members == request_.members) return true;
  // It is of members that have gone. What they had begun comes to its end; then the number is ours.
  Step step = next_step(state_, seen_, name_, Wish::look);
  if (state_.phase == Phase::forming) {
    step = {.kind = Step::Kind::end, .state = state_};
    step.state.members = request_.members;
  }
  if (step.kind == Step::Kind::none)
    wait(until);
  else
    write(step, until);
  return false;
}

// Answers whether we had entered before.
bool Barrier::withdraw(const Until& until) {
  for (;;) {
    try {
      current_ = false;
      state_change_.reset();
      session_->sync(request_.path);  // an arrival whose answer was lost may be on its way
      look(until);
      if (name_.empty()) return false;
      if (!is_ours(until)) return false;
      if (inside()) return true;
      const Step step = next_step(state_, seen_, name_, Wish::withdraw);
      if (step.kind != Step::Kind::withdraw) return false;  // our node has gone
      if (write(step, until)) return false;
    } catch (const ConnectionLoss&) {
      session_->wait_connected(until);
    }
  }
}

bool Barrier::inside() const { return state_.phase == Phase::open && state_.has(name_); }

// --- inside and after ---

std::size_t Barrier::rank() const {
  return static_cast<std::size_t>(std::ranges::find(roster_, name_, &Member::name) - roster_.begin());
}

std::string Barrier::node() const { return join(request_.path, here_node(name_)); }

bool Barrier::over() const {
  if (folder_ != entered_folder_) throw Unknown(request_.path + " was deleted; whether all have left it is unknown");
  return state_.generation != generation_ || state_.phase != Phase::open;
}

std::vector<std::string> Barrier::await_crash(const Until& until) {
  for (;;) {
    try {
      if (!current_) look(until);
      if (over() || std::ranges::find(state_.crashed, request_.id) != state_.crashed.end())
        throw SessionLost("its node at the barrier has gone: the others count it as dead");
      if (state_.crashed.size() > crashes_told_) {
        const std::vector<std::string> who(state_.crashed.begin() + static_cast<std::ptrdiff_t>(crashes_told_),
                                           state_.crashed.end());
        crashes_told_ = state_.crashed.size();
        return who;
      }
      const Step step = next_step(state_, seen_, name_, Wish::look);
      if (step.kind != Step::Kind::none)
        write(step, until);
      else
        wait(until);
    } catch (const ConnectionLoss&) {
      look_anew(until);
    }
  }
}

void Barrier::leave(const Until& until) {
  for (;;) {
    try {
      if (!over() && !current_) look(until);
      const bool ended = over();
      const auto dead = ended ? crashed_in(state_, generation_) : state_.crashed;
      if (!dead) throw Unknown("whether we have left " + request_.path + " in good order is unknown");
      if (std::ranges::find(*dead, request_.id) != dead->end())
        throw SessionLost("its node at the barrier has gone: the others count it as dead");
      if (ended) return;
      const bool left = seen_.nodes.contains(left_node(name_));
      const Step step = next_step(state_, seen_, name_, left ? Wish::look : Wish::leave);
      // Two who left at the same time have not seen each other do it: whoever sees that all have ends it.
      if (left && step.kind != Step::Kind::end) return;
      if (step.kind == Step::Kind::none)
        current_ = false;
      else
        write(step, until);
    } catch (const ConnectionLoss&) {
      look_anew(until);
    }
  }
}

std::vector<std::string> Barrier::await_end(bool to_the_end, const Until& until, const Looked& looked) {
  for (;;) {
    try {
      if (!over() && !current_) look(until);
      if (over()) {
        if (const auto dead = crashed_in(state_, generation_)) return *dead;
        throw Unknown("generation " + std::to_string(generation_) + " of " + request_.path +
                      " ended too long ago to know whether all had left it");
      }
      if (!to_the_end && !state_.crashed.empty()) return state_.crashed;
      const Step step = next_step(state_, seen_, name_, Wish::look);
      if (step.kind != Step::Kind::none) {
        write(step, until);
        continue;
      }
      if (looked) looked(state_, seen_);
      wait(until);
    } catch (const ConnectionLoss&) {
      look_anew(until);
    }
  }
}

void Barrier::go_on_with(Session& session, const Until& until) {
  session_ = &session;
  moved_ = true;
  current_ = false;
  state_change_.reset();
  neighbour_change_.reset();
  // Its server may not have heard yet of what the last one told us.
  session.insist(until, [&] { return session.sync(request_.path); });
}

// --- looking, writing, waiting ---

void Barrier::read(const std::optional<Node>& folder) {
  if (folder && folder->stat.owner != 0)
    throw Refused(request_.path + " is an ephemeral node, and can have no members");
  folder_ = folder ? folder->stat.czxid + 1 : 0;
  version_ = folder ? folder->stat.version : 0;
  const BarrierState empty{.members = request_.members};
  state_ = folder && !folder->data.empty() ? read_state(request_.path, folder->data) : empty;
}

// After a lost connection nothing that was seen counts.
void Barrier::look_anew(const Until& until) {
  session_->wait_connected(until);
  current_ = false;
  state_change_.reset();
}

// The state first, then the children; these only if the state does not say already that the waiting is over.
void Barrier::look(const Until& until) {
  if (!state_change_ || state_change_->fired()) {
    auto [reading, change] = session_->watch(request_.path);
    read(reading.get(until));
    state_change_ = change;
    if (generation_ == 0 ? inside() : over()) return;
  }
  seen_ = Attendance::of(session_->children(request_.path).get(until).value_or(std::vector<std::string>{}));
  current_ = true;
}

// Answers whether it was done. If not, somebody was faster. Looks in the same round trip.
bool Barrier::write(const Step& step, const Until& until, bool arriving) {
  const auto path = [&](const std::string& name) { return join(request_.path, name); };
  const bool changes = step.state != state_;
  std::vector<Operation> operations;
  operations.push_back(
      changes ? Operation{Operation::Kind::set, request_.path, step.state.json(), Mode::persistent, version_}
              : Operation{Operation::Kind::check, request_.path, "", Mode::persistent, version_});
  if (arriving) operations.push_back({Operation::Kind::create, node(), request_.about, Mode::ephemeral});
  for (const auto& name : step.exist) operations.push_back({Operation::Kind::check, path(name)});
  for (const auto& name : step.create) operations.push_back({Operation::Kind::create, path(name)});
  for (const auto& name : step.remove) operations.push_back({Operation::Kind::remove, path(name)});
  auto writing = session_->transact(operations);
  std::optional<Reply<std::optional<std::vector<std::string>>>> listing;
  if (step.kind == Step::Kind::none || step.kind == Step::Kind::leave || step.kind == Step::Kind::crash)
    listing = session_->children(request_.path);
  current_ = false;
  const Outcome outcome = writing.get(until);
  const bool done = outcome.code == Code::ok;
  if (!done && outcome.code != Code::bad_version && outcome.code != Code::no_node && outcome.code != Code::node_exists)
    throw Error(outcome.code, "write to", request_.path);
  if (!done) {
    state_change_.reset();
    return false;
  }
  state_ = step.state;
  if (changes) ++version_;
  if (!listing) return true;
  seen_ = Attendance::of(listing->get(until).value_or(std::vector<std::string>{}));
  current_ = true;
  return true;
}

void Barrier::wait(const Until& until) {
  current_ = false;
  if (!state_change_ || state_change_->fired()) return;
  // What is there under our name may be the node of a session that we have lost: then it is one of the others.
  std::string neighbour = neighbour_of(seen_, moved_ ? "" : name_);
  if (neighbour.empty()) neighbour = name_;  // alone: should somebody delete our node, nobody else sees it
  if (neighbour != neighbour_ || !neighbour_change_ || neighbour_change_->fired()) {
    neighbour_change_.reset();
    neighbour_ = neighbour;
    if (!neighbour.empty()) {
      auto [reading, change] = session_->watch(join(request_.path, here_node(neighbour)));
      if (!reading.get(until)) return;
      neighbour_change_ = change;
    }
  }
  std::vector<const Watch*> watches{&*state_change_};
  if (neighbour_change_) watches.push_back(&*neighbour_change_);
  Watch::wait_any(watches, until, request_.path);
}

std::optional<Node> Barrier::member_node(const std::string& name, const Until& until) {
  return session_->get(join(request_.path, here_node(name))).get(until);
}

// --- seen from outside ---

std::optional<BarrierPicture> picture_of_barrier(Session& session, const std::string& path, const Until& until) {
  auto reading = session.get(path);
  auto listing = session.children(path);
  const auto folder = reading.get(until);
  const auto children = listing.get(until);
  if (!folder || !children || folder->data.empty()) return std::nullopt;
  BarrierPicture picture{.state = read_state(path, folder->data), .places = {}};
  const auto& state = picture.state;
  const auto seen = Attendance::of(*children);

  using Where = BarrierPicture::Place::Where;
  for (const auto& member : state.roster) {
    const Where where = seen.nodes.contains(left_node(member.name))   ? Where::left
                        : seen.nodes.contains(here_node(member.name)) ? Where::inside
                                                                      : Where::crashed;
    picture.places.push_back({member, {}, where});
  }
  for (const auto& member : seen.here)
    if (!state.has(member.name)) picture.places.push_back({member, {}, Where::waiting});
  std::vector<Reply<std::optional<Node>>> nodes;
  for (const auto& place : picture.places) nodes.push_back(session.get(join(path, here_node(place.member.name))));
  for (std::size_t i = 0; i < nodes.size(); ++i) picture.places[i].node = nodes[i].get(until).value_or(Node{});
  return picture;
}

}  // namespace zk
