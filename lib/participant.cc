#include "participant.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "error.h"
#include "path.h"
#include "random_id.h"
#include "replica.h"
#include "settle.h"
#include "text.h"

namespace zk {

namespace {

using What = Progress::What;
using Names = std::vector<std::string>;

constexpr int most_attempts = 5;

bool has(const Names& sorted, const std::string& name) { return std::ranges::binary_search(sorted, name); }

Names in_order(std::optional<Names> names, const std::string& path) {
  if (!names) throw Refused(path + " has vanished: somebody has removed the register");
  std::ranges::sort(*names);
  return *std::move(names);
}

}  // namespace

// --- the register ---

std::string register_id(Session& session, const std::string& path, bool make, const Until& until) {
  check_path(path);
  const RegisterPaths paths{path};
  for (;;) {
    const auto node = session.insist(until, [&] { return session.get(path); });
    if (node) {
      const auto object = nlohmann::json::parse(node->data, nullptr, /*allow_exceptions=*/false);
      if (object.is_object() && object.contains("register") && object["register"].is_string())
        return object["register"];
      throw Refused(path + " is there, but is not a register: " + printable(node->data, 60));
    }
    if (!make) throw Refused("there is no register at " + path + "; a tpc-participant makes it");
    std::vector<Operation> operations{
        {Operation::Kind::create, path, nlohmann::json{{"register", random_id(16)}}.dump()}};
    for (const auto& folder :
         {paths.members(), paths.all_alive(), paths.coordinators(), paths.proposals(), paths.log()})
      operations.push_back({Operation::Kind::create, folder});
    try {
      const auto made = session.transact(operations).get(until);
      if (made.code == Code::no_node) session.make_directory(parent_of(path), "", until);
      if (made.code == Code::no_auth) throw Error(Code::no_auth, "create", path);
    } catch (const ConnectionLoss&) {
      session.wait_connected(until);
    }
  }
}

Participant::Participant(Session& session, Store& store, const ParticipantRequest& request)
    : session_(&session), store_(&store), request_(request), paths_{request.path}, bell_(session.own_watch()) {}

void Participant::reached(const char* point) {
  if (!request_.reached) return;
  say();
  request_.reached(point);
}

// Told when there is nothing more urgent to do: while we wait for a server.
void Participant::tell(const Progress& progress) { untold_.push_back(progress); }

void Participant::say() {
  for (const auto& progress : std::exchange(untold_, {})) request_.tell(progress);
}

// --- joining ---

void Participant::register_member(const Until& until) {
  const auto path = paths_.member(request_.id);
  const Membership mine{store_->id(), store_->version()};
  for (;;) {
    const auto node = session_->insist(until, [&] { return session_->get(path); });
    if (!node) {
      session_->insist(until, [&] { return session_->create(path, mine.json(), Mode::persistent); });
      continue;
    }
    const auto found = Membership::parse(node->data);
    if (!found || found->store != mine.store)
      throw Refused(request_.id + " is registered at " + request_.path +
                    " with another directory; go on with that one, or, if it is lost, say tpc-coordinator " +
                    request_.path + " forget " + request_.id + " and start again");
    if (found->version > mine.version)
      throw Refused(request_.id + " has acknowledged version " + std::to_string(found->version) +
                    ", but its directory holds version " + std::to_string(mine.version) +
                    " only: it is an old copy, or the disk has lost writes. Remove it, say tpc-coordinator " +
                    request_.path + " forget " + request_.id + ", and start again: it will catch up from the others");
    membership_version_ = node->stat.version;
    acknowledged_ = found->version;
    return;
  }
}

// What a process of ours that was killed, or a session that we have lost, had sent must not arrive after we have
// looked: it could be a vote. It cannot once that session has ended, and with it its node.
void Participant::await_end_of_earlier(const Until& until) {
  const auto path = paths_.alive(request_.id);
  session_->insist(until, [&] { return session_->sync(path); });
  for (;;) {
    auto [looking, gone] = session_->watch_stat(path);
    const auto found = looking.get(until);
    if (!found || found->owner == session_->id()) return;
    tell({.what = What::waiting, .text = "the end of an earlier session of " + request_.id});
    say();
    gone.wait(until, path);
  }
}

// From now on we are asked.
void Participant::appear(const Until& until) {
  const auto path = paths_.alive(request_.id);
  for (;;) {
    const auto made =
        session_->insist(until, [&] { return session_->create(path, request_.presence.json(), Mode::ephemeral); });
    if (made.code == Code::no_node) in_order(std::nullopt, paths_.all_alive());
    if (made.code == Code::ok) break;
    const auto found = session_->insist(until, [&] { return session_->stat(path); });
    if (found && found->owner == session_->id()) break;
    await_end_of_earlier(until);
  }
  tell({.what = What::alive, .version = store_->version()});
}

// We are behind, and nobody is there to tell us what we have missed: so nobody should wait for us.
void Participant::disappear(const Until& until) {
  session_->insist(until, [&] { return session_->remove(paths_.alive(request_.id)); });
}

void Participant::join(const Until& until) {
  register_member(until);  // who is refused should not have to wait for it
  await_end_of_earlier(until);
  register_member(until);  // it may have acknowledged more
  look(until);
  if (store_->version() > newest())
    throw Refused("the directory of " + request_.id + " holds version " + std::to_string(store_->version()) +
                  ", but ZooKeeper knows only of version " + std::to_string(newest()) + " at " + request_.path +
                  ": it was restored from an older copy, or somebody has removed nodes");
  catch_up(until);
  appear(until);
}

// Until we have what was committed when we looked. If that is in ZooKeeper no longer, it is with the others.
void Participant::catch_up(const Until& until) {
  for (;;) {
    look(until);
    Plan committed;
    plan_commits(committed);
    if (!committed.batch.empty()) {
      write(committed);
      send(committed, until);
    }
    if (store_->version() >= newest()) return;
    if (proposals_change_->fired()) continue;  // what we have not got may just have come
    auto [looking, others_change] = session_->watch_children(paths_.all_alive());
    looking.get(until);
    if (catch_up_from_others(newest(), until)) continue;
    tell({.what = What::waiting,
          .text = "a replica with version " + std::to_string(newest()) + "; this one has " +
                  std::to_string(store_->version())});
    say();
    Watch::wait_any({&others_change, &*proposals_change_, &*log_change_}, until, paths_.all_alive());
  }
}

bool Participant::catch_up_from_others(std::int64_t version, const Until& until) {
  for (const auto& [id, presence] : present(*session_, paths_, until)) {
    if (id == request_.id) continue;
    try {
      const auto missed = missed_since(presence, store_->version(), version, until);
      if (missed.image.empty())
        store_->write({.commits = missed.commits, .aborted = {}, .prepared = {}});
      else
        store_->replace(missed.image);
      tell({.what = What::caught_up, .text = id, .version = store_->version()});
      return true;
    } catch (const PeerGone& why) {
      tell({.what = What::waiting, .text = id + ": " + why.what()});
    } catch (const Refused& why) {  // it does not fit
      tell({.what = What::waiting, .text = id + ": " + why.what()});
    } catch (const TimedOut&) {
      if (until.expired()) throw;
    }
  }
  return false;
}

// --- looking ---

void Participant::forget_what_was_seen() {
  proposals_change_.reset();
  log_change_.reset();
  coordinators_change_.reset();
}

// Reads what has changed; answers whether anything had. A watch fires before anything newer is read: so a log whose
// watch has not fired has all that was decided before the transactions were listed.
bool Participant::look(const Until& until) {
  const auto stale = [](const std::optional<Watch>& change) { return !change || change->fired(); };
  const bool proposals = stale(proposals_change_), log = stale(log_change_), others = stale(coordinators_change_);
  std::optional<Reply<std::optional<Names>>> listing, entries, coordinators;
  const auto read = [&](const std::string& path, std::optional<Watch>& change, auto& reply) {
    auto [asked, watch] = session_->watch_children(path);
    reply = asked;
    change = watch;
  };
  std::optional<Reply<std::optional<Node>>> expected;
  if (proposals) read(paths_.proposals(), proposals_change_, listing);
  if (proposals && !expected_.empty()) expected = session_->get(paths_.proposal(expected_));
  if (log) read(paths_.log(), log_change_, entries);
  if (others) read(paths_.coordinators(), coordinators_change_, coordinators);

  std::optional<Names> names;
  if (listing) incomplete_ = false;
  if (listing) names = in_order(listing->get(until), paths_.proposals());
  if (listing && !entries && stale(log_change_)) read(paths_.log(), log_change_, entries);
  if (entries) log_ = log_entries(in_order(entries->get(until), paths_.log()));
  if (coordinators) {
    coordinators_.clear();
    for (const auto& name : in_order(coordinators->get(until), paths_.coordinators()))
      if (const auto number = coordinator_number(name)) coordinators_.insert(*number);
    clean_up_ = true;
  }
  if (names) {
    meet(*names, expected ? expected->get(until) : std::nullopt, until);
    part(*names);
  }
  for (auto& [id, known] : known_)
    if (const auto version = version_of(id); version > 0 && version <= store_->version()) known.applied = true;
  return proposals || log || others;
}

// Transactions that are new to us. In our first look they may have a vote of ours from an earlier life.
void Participant::meet(const Names& names, const std::optional<Node>& expected, const Until& until) {
  std::vector<std::pair<std::string, std::optional<Reply<std::optional<Node>>>>> nodes;
  std::map<std::string, Reply<std::optional<Names>>> votes;
  for (const auto& id : names) {
    if (known_.contains(id) || !coordinator_of(id)) continue;
    const bool there = expected && id == expected_;
    nodes.emplace_back(id, there ? std::nullopt : std::optional(session_->get(paths_.proposal(id))));
    if (first_look_) votes.emplace(id, session_->children(paths_.proposal(id)));
  }
  for (auto& [id, reply] : nodes) {
    const auto node = reply ? reply->get(until) : expected;
    auto proposal = node ? Proposal::parse(id, *node) : std::nullopt;
    if (!node) incomplete_ = true;
    if (!proposal) continue;
    Known known{.proposal = *std::move(proposal), .asked = false};
    known.asked = known.proposal.asks(request_.id);
    if (first_look_) known.voted = voted_before(known.proposal, Votes::of(votes.at(id).get(until).value_or(Names{})));
    const auto& kept = known_.emplace(id, std::move(known)).first->second;
    if (kept.asked && version_of(id) == 0 && !kept.voted)
      tell({.what = What::begin, .transaction = id, .proposal = &kept.proposal});
  }
  first_look_ = false;
  if (!nodes.empty())
    expected_ =
        next_of(std::ranges::max_element(nodes, InOrder(), [](const auto& entry) { return entry.first; })->first);
}

bool Participant::voted_before(const Proposal& proposal, const Votes& votes) const {
  // What is committed is in ZooKeeper, or with the others, whatever was promised.
  if (votes.yes.contains(request_.id) && !votes.committed && !store_->prepared().contains(proposal.id))
    throw Refused(
        request_.id + " has voted yes on " + proposal.id +
        ", but its directory has no such promise: it is an old copy, or the disk has lost writes. Remove it, say "
        "tpc-coordinator " +
        request_.path + " forget " + request_.id + ", and start again: it will catch up from the others");
  return votes.from(request_.id);
}

// Transactions that are there no longer. Of those we were asked about, only what is aborted goes before we have it.
void Participant::part(const Names& names) {
  say();  // of those that go now
  std::erase_if(known_, [&](const auto& entry) {
    const auto& [id, known] = entry;
    if (has(names, id)) return false;
    if (known.asked && !known.applied && version_of(id) == 0)
      tell({.what = What::decision, .transaction = id, .yes = false});
    if (request_.decided) request_.decided(id);
    return true;
  });
}

std::int64_t Participant::version_of(const std::string& transaction) const {
  const auto entry = std::ranges::find(log_, transaction, &LogEntry::transaction);
  return entry == log_.end() ? 0 : entry->version;
}

bool Participant::orphaned(const std::string& transaction) const {
  return !coordinators_.contains(*coordinator_of(transaction));
}

// --- a round ---

void Participant::plan_commits(Plan& plan) {
  std::int64_t version = store_->version();
  for (const auto& entry : log_) {
    if (entry.version <= version) continue;
    const auto known = known_.find(entry.transaction);
    if (entry.version != version + 1 || known == known_.end()) return;
    plan.batch.commits.push_back({++version, entry.transaction, known->second.proposal.transaction.changes});
  }
}

// What may be voted on is: everything committed is ours, and so nothing undecided that we do not see stands before it.
void Participant::plan_votes(Plan& plan) {
  const auto prepared = store_->prepared();
  for (const auto& [id, transaction] : prepared)
    if (!known_.contains(id) && version_of(id) == 0) plan.batch.aborted.push_back(id);

  std::vector<const Proposal*> undecided;
  for (const auto& [id, known] : known_)
    if (version_of(id) == 0) undecided.push_back(&known.proposal);
  std::ranges::sort(undecided, [](const auto* one, const auto* two) { return one->before(*two); });

  const auto value_of = [&](const std::string& key) {
    for (auto commit = plan.batch.commits.rbegin(); commit != plan.batch.commits.rend(); ++commit)
      for (const auto& change : commit->changes)
        if (change.key == key) return change.value;
    return store_->value(key);
  };
  const auto free = free_to_vote(undecided);
  for (const auto* proposal : undecided) {
    const auto& known = known_.at(proposal->id);
    if (!known.asked || known.voted) continue;
    if (prepared.contains(proposal->id)) {
      plan.votes.push_back({proposal->id, {.yes = true}});  // a promise that was not told any more
      continue;
    }
    if (std::ranges::find(free, proposal) == free.end()) continue;
    std::optional<Opinion> opinion = known.vote;
    if (opinion) {
      plan.votes.push_back({proposal->id, *opinion});  // the answer was lost; there is no second opinion
      continue;
    }
    if (const auto objection = proposal->transaction.objection(value_of))
      opinion = Opinion{.yes = false, .why = *objection};
    else
      opinion = request_.opinion(*proposal);
    if (!opinion) continue;
    reached("before-vote");
    if (opinion->yes) plan.batch.prepared.emplace_back(proposal->id, proposal->transaction);
    plan.votes.push_back({proposal->id, *opinion});
  }
}

Participant::Plan Participant::plan() {
  Plan plan;
  plan_commits(plan);
  const bool up_to_date = store_->version() + static_cast<std::int64_t>(plan.batch.commits.size()) >= newest();
  if (up_to_date && !incomplete_) plan_votes(plan);
  return plan;
}

// One write to the disk. If that is full, we promise nothing; but what is committed must be written.
void Participant::write(Plan& plan) {
  auto& batch = plan.batch;
  for (const auto& commit : batch.commits) {
    const auto known = known_.find(commit.transaction);
    tell({.what = What::decision,
          .transaction = commit.transaction,
          .version = commit.version,
          .yes = true,
          .proposal = known == known_.end() ? nullptr : &known->second.proposal});
    if (request_.decided) request_.decided(commit.transaction);
  }
  if (!batch.commits.empty()) reached("before-apply");
  try {
    store_->write(batch);
  } catch (const OutOfSpace& full) {
    if (batch.prepared.empty()) throw;
    batch.prepared.clear();
    for (auto& vote : plan.votes)
      if (vote.opinion.yes && !store_->prepared().contains(vote.id)) vote.opinion = {.yes = false, .why = full.what()};
    store_->write(batch);
  }
  for (const auto& vote : plan.votes) known_.at(vote.id).vote = vote.opinion;
  for (const auto& commit : batch.commits) {
    tell({.what = What::applied, .transaction = commit.transaction, .version = commit.version});
    unacknowledged_.push_back({commit.version, commit.transaction, {}});
    if (const auto known = known_.find(commit.transaction); known != known_.end()) known->second.applied = true;
  }
  if (!batch.commits.empty()) reached("after-apply");
  for (const auto& [id, transaction] : batch.prepared) tell({.what = What::prepared, .transaction = id});
  if (!batch.prepared.empty()) reached("after-prepare");
}

// Votes, and what we have on the disk, in one transaction.
void Participant::send(const Plan& plan, const Until& until) {
  const bool news = store_->version() != acknowledged_;
  if (plan.votes.empty() && !news) return;
  if (plan.votes.size() + (news ? 1 : 0) == 1) {
    if (!send_single(plan, until)) send_one_by_one(plan, until);
    return;
  }
  std::vector<Operation> operations;
  for (const auto& [id, opinion] : plan.votes)
    operations.push_back({Operation::Kind::create, paths_.vote(id, opinion.yes, request_.id), opinion.why});
  if (news) {
    reached("before-ack");
    operations.push_back({Operation::Kind::set, paths_.member(request_.id),
                          Membership{store_->id(), store_->version()}.json(), Mode::persistent, membership_version_});
  }
  auto sent = session_->transact(operations);
  say();
  const auto outcome = sent.get(until);
  if (outcome.code != Code::ok) return send_one_by_one(plan, until);
  if (news) ++membership_version_;
  acknowledged(plan.votes);
}

// The same, if there is just one thing to say: that costs the server less than a transaction.
bool Participant::send_single(const Plan& plan, const Until& until) {
  if (!plan.votes.empty()) {
    const auto& [id, opinion] = plan.votes[0];
    auto sent = session_->create(paths_.vote(id, opinion.yes, request_.id), opinion.why, Mode::persistent);
    say();
    if (sent.get(until).code != Code::ok) return false;
  } else {
    reached("before-ack");
    const Membership mine{store_->id(), store_->version()};
    auto sent = session_->set(paths_.member(request_.id), mine.json(), membership_version_);
    say();
    if (!sent.get(until)) return false;
    ++membership_version_;
  }
  acknowledged(plan.votes);
  return true;
}

// One of them cannot be done any more.
void Participant::send_one_by_one(const Plan& plan, const Until& until) {
  std::vector<Vote> made;
  for (const auto& vote : plan.votes) {
    const auto path = paths_.vote(vote.id, vote.opinion.yes, request_.id);
    const auto done = session_->create(path, vote.opinion.why, Mode::persistent).get(until);
    if (done.code != Code::no_node) made.push_back(vote);  // else it was aborted meanwhile, as we shall see
  }
  if (store_->version() != acknowledged_) {
    register_member(until);  // whatever somebody has made of it; for us it must be as we have left it
    const Membership mine{store_->id(), store_->version()};
    const auto set = session_->set(paths_.member(request_.id), mine.json(), membership_version_).get(until);
    if (!set) return;  // again in the next round
    membership_version_ = set->version;
  }
  acknowledged(made);
}

void Participant::acknowledged(const std::vector<Vote>& votes) {
  for (const auto& [id, opinion] : votes) {
    if (const auto known = known_.find(id); known != known_.end()) known->second.voted = true;
    tell({.what = What::vote, .transaction = id, .text = opinion.why, .yes = opinion.yes});
  }
  if (!votes.empty()) reached("after-vote");
  clean_up_ = clean_up_ || acknowledged_ != store_->version();
  acknowledged_ = store_->version();
  for (const auto& commit : std::exchange(unacknowledged_, {}))
    tell({.what = What::acknowledged, .transaction = commit.transaction, .version = commit.version});
}

void Participant::take_part(const Until& until) {
  bool joined = false;
  for (;;) {
    try {
      if (!joined) join(until);
      joined = true;
      bell_.take();
      const bool news = look(until);
      Plan next = plan();
      const bool something = !next.batch.empty() || !next.votes.empty() || store_->version() != acknowledged_;
      if (something) {
        write(next);
        send(next, until);
      } else if (store_->version() < newest()) {
        joined = proposals_change_->fired() || catch_up_from_others(newest(), until);
        if (!joined) disappear(until);
        continue;
      }
      settle_orphans(until);
      say();
      if (!news && !something)
        Watch::wait_any({&*proposals_change_, &*log_change_, &*coordinators_change_, &bell_}, until, request_.path);
    } catch (const ConnectionLoss&) {
      session_->wait_connected(until);
      forget_what_was_seen();
    } catch (...) {
      say();
      throw;
    }
  }
}

// --- after the death of a coordinator ---

// A decision; and, when everybody has it, the end of what is kept.
void Participant::settle_orphans(const Until& until) {
  if (coordinators_change_->fired()) return;  // one that has just come may have begun something that we see already
  std::vector<Known*> orphans;
  for (auto& [id, known] : known_)
    if (orphaned(id) && (version_of(id) == 0 || clean_up_)) orphans.push_back(&known);
  clean_up_ = false;
  for (auto* known : orphans) {
    const auto& id = known->proposal.id;
    const auto settled = settle(*session_, paths_, known->proposal, version_of(id), until);
    const bool commits = settled.what == Settled::What::committed;
    // Somebody was faster, most likely. If it goes on like that, somebody has put something there that is none of ours.
    if (settled.what == Settled::What::changed && ++known->attempts < most_attempts) {
      clean_up_ = true;
      bell_.fire();
    }
    if (commits || settled.what == Settled::What::aborted)
      tell({.what = What::settled, .transaction = id, .text = commits ? "commit" : "abort: " + settled.text});
  }
}

}  // namespace zk
