#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "child.h"
#include "error.h"
#include "handler.h"
#include "identity.h"
#include "log.h"
#include "output.h"
#include "peer.h"
#include "random_id.h"
#include "replica.h"
#include "store.h"
#include "text.h"
#include "tpc-participant.h"
#include "wall_clock.h"

namespace {

using zk::Duration;
using zk::Progress;
using zk::Until;
using Json = nlohmann::ordered_json;
using What = Progress::What;
namespace log = zk::log;

constexpr std::size_t most_unsaid = 1 << 20;

const char* word_of(What what) {
  switch (what) {
    case What::begin:
      return "begin";
    case What::prepared:
      return "prepared";
    case What::vote:
      return "vote";
    case What::decision:
      return "decision";
    case What::applied:
      return "applied";
    case What::acknowledged:
      return "acknowledged";
    case What::caught_up:
      return "caught up";
    case What::waiting:
      return "waiting";
    case What::alive:
      return "alive";
    case What::settled:
      return "settled";
  }
  return "";
}

// Prints what happens. Nobody votes later because nobody reads it: what cannot be said is said later, or counted.
class Teller {
 public:
  Teller(const std::string& id, bool json)
      : id_(id), json_(json), out_(most_unsaid, [json](int count) {
          if (json) return Json{{"event", "left out"}, {"lines", count}}.dump() + "\n";
          return "(" + zk::counted(count, "line was", "lines were") + " left out)\n";
        }) {}

  ~Teller() {
    try {
      out_.finish(Until{}.within(std::chrono::seconds(1)));
    } catch (const std::runtime_error&) {  // it is not read
    }
  }
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;

  void tell(const Progress& progress) {
    const std::lock_guard lock(mutex_);
    // Who is being asked sees the question again after what comes in between.
    const bool between = !question_.empty() && progress.transaction != asked_;
    const bool unanswered = !question_.empty() && progress.what == What::decision;
    if (between || unanswered) out_.add("\n");
    out_.add(json_ ? as_json(progress) : as_text(progress));
    if (between) out_.add(question_);
    if (!between) question_.clear();
  }

  /// An empty question: no answer is needed any more.
  void ask(const std::string& transaction, const std::string& question) {
    const std::lock_guard lock(mutex_);
    if (question.empty()) return question_.clear();
    if (json_) return out_.add(Json{{"event", "ask"}, {"transaction", transaction}, {"what", question}}.dump() + "\n");
    asked_ = transaction;
    question_ = zk::local_time(zk::wall_clock()) + "  " + transaction + "  ask  " + question + "   commit? [y/n] ";
    out_.add(question_);
  }

 private:
  static std::string values_of(const Progress& progress) {
    switch (progress.what) {
      case What::begin:
        return progress.proposal->transaction.shown() + "  asked: " + zk::listed(progress.proposal->roster);
      case What::vote:
        return progress.yes ? "yes" : "no: " + progress.text;
      case What::decision:
        return progress.yes ? "commit, version " + std::to_string(progress.version) : "abort";
      case What::caught_up:
        return "from " + zk::printable(progress.text, 100) + ", version " + std::to_string(progress.version);
      case What::waiting:
        return "for " + progress.text;
      case What::applied:
      case What::acknowledged:
      case What::alive:
        return "version " + std::to_string(progress.version);
      case What::prepared:
      case What::settled:
        return progress.text;
    }
    return "";
  }

  std::string as_text(const Progress& progress) const {
    const std::string subject = progress.transaction.empty() ? id_ : progress.transaction;
    const auto values = values_of(progress);
    return zk::local_time(zk::wall_clock()) + "  " + subject + "  " + word_of(progress.what) +
           (values.empty() ? "" : "  " + values) + "\n";
  }

  std::string as_json(const Progress& progress) const {
    Json object{{"time", zk::iso_time(zk::wall_clock(), true)}, {"member", id_}, {"event", word_of(progress.what)}};
    if (!progress.transaction.empty()) object["transaction"] = progress.transaction;
    if (progress.what == What::begin) {
      object["roster"] = progress.proposal->roster;
      object.update(Json::parse(progress.proposal->transaction.json()));
    }
    if (progress.what == What::vote) object["vote"] = progress.yes ? "yes" : "no";
    if (progress.what == What::decision) object["decision"] = progress.yes ? "commit" : "abort";
    if (progress.version > 0) object["version"] = progress.version;
    if (!progress.text.empty()) object["text"] = progress.text;
    return object.dump() + "\n";
  }

  const std::string id_;
  const bool json_;
  std::mutex mutex_;
  zk::Backlog out_;
  std::string asked_, question_;  // that is on the screen
};

// How long we have been without ZooKeeper.
class Contact {
 public:
  void now(bool connected) {
    if (connected || since_ == never) since_ = connected ? never : zk::Clock::now().time_since_epoch().count();
  }
  std::optional<Duration> cut_off() const {
    const auto since = since_.load();
    if (since == never) return std::nullopt;
    return zk::Clock::now().time_since_epoch() - Duration(since);
  }

 private:
  static constexpr Duration::rep never = -1;
  std::atomic<Duration::rep> since_ = never;
};

class Replica {
 public:
  Replica(zk::Frame& frame, const Options& options)
      : frame_(frame),
        options_(options),
        fail_(options.fail),
        guard_(std::vector<std::string>{}),
        teller_(options.id, options.json) {
    auto told = frame_.settings.connection_changed;
    frame_.settings.connection_changed = [this, told](bool connected) {
      contact_.now(connected);
      if (told) told(connected);
    };
  }

  int run();

 private:
  void connect();
  void open();
  void serve();
  void take_part();
  void tell(const Progress& progress);
  void run_on_commit(const Progress& progress);

  zk::Frame& frame_;
  const Options& options_;
  zk::FailPoint fail_;
  zk::Child guard_;  // without a command: closes our session should we be killed
  Teller teller_;
  Contact contact_;
  std::unique_ptr<zk::Session> session_;
  std::string register_id_;
  std::unique_ptr<zk::Store> store_;
  std::unique_ptr<zk::Handler> on_commit_;
  std::unique_ptr<zk::PeerServer> server_;
  zk::Presence presence_;

  std::mutex mutex_;
  zk::Participant* participant_ = nullptr;  // that has to be woken
  std::unique_ptr<Voter> voter_;
  std::map<std::string, std::string> told_;  // what a command is to get, of what we are asked about
};

void Replica::run_on_commit(const Progress& progress) {
  const auto found = told_.find(progress.transaction);
  if (found == told_.end()) return;
  auto object = Json::parse(found->second);
  object["version"] = progress.version;
  on_commit_->offer({.key = progress.transaction,
                     .about = progress.transaction,
                     .environment = {{"ZK_TRANSACTION", progress.transaction}},
                     .input = object.dump() + "\n"});
}

void Replica::tell(const Progress& progress) {
  if (on_commit_ && progress.proposal != nullptr) told_[progress.transaction] = told(*progress.proposal, options_.id);
  if (on_commit_ && progress.what == What::applied) run_on_commit(progress);
  const bool over = progress.what == What::acknowledged || (progress.what == What::decision && !progress.yes);
  if (over) told_.erase(progress.transaction);
  if (progress.what == What::applied || progress.what == What::caught_up) server_->changed();
  teller_.tell(progress);
}

void Replica::connect() {
  session_ = std::make_unique<zk::Session>(frame_.settings, frame_.until);
  guard_.keep(session_->will());
  contact_.now(true);
}

void Replica::open() {
  register_id_ = zk::register_id(*session_, options_.path, /*make=*/true, frame_.until);
  store_ = std::make_unique<zk::Store>(zk::StoreOptions{.directory = options_.directory,
                                                        .register_id = register_id_,
                                                        .member = options_.id,
                                                        .trouble = [](const std::string& why) { log::warning(why); }});
  if (store_->dropped() > 0)
    log::warning(options_.directory + ": the last record was not written to its end, and promised nothing; dropped " +
                 zk::counted(static_cast<std::int64_t>(store_->dropped()), "byte", "bytes"));
}

void Replica::serve() {
  presence_ = {.about = zk::Identity::mine("").json(), .endpoint = "", .key = zk::random_id(16)};
  server_ = std::make_unique<zk::PeerServer>(options_.listen, presence_.key, [this](const std::string& request) {
    return zk::answer_as_replica(*store_, options_.id, request, [this] { return contact_.cut_off(); });
  });
  presence_.endpoint = server_->endpoint().text();
  if (!options_.on_commit.empty())
    on_commit_ = std::make_unique<zk::Handler>(
        zk::Handling{.argv = {"/bin/sh", "-c", options_.on_commit},
                     .debounce = {},
                     .ended = [](const zk::Occasion& about, int status, const std::string& error) {
                       if (!error.empty()) log::warning(about.key + ": --on-commit: " + error);
                       if (status != 0)
                         log::warning(about.key + ": --on-commit ended with status " + std::to_string(status));
                     }});
  const auto wake = [this] {
    const std::lock_guard lock(mutex_);
    if (participant_ != nullptr) participant_->wake();
  };
  voter_ = make_voter(options_.vote, options_.id,
                      {.wake = wake,
                       .ask = [this](const auto& transaction, const auto& what) { teller_.ask(transaction, what); },
                       .until = frame_.until});
}

void Replica::take_part() {
  if (zk::register_id(*session_, options_.path, /*make=*/false, frame_.until) != register_id_)
    throw zk::Refused(options_.path + " is another register now than when this replica started");
  zk::Participant participant(*session_, *store_,
                              {.path = options_.path,
                               .id = options_.id,
                               .presence = presence_,
                               .opinion = [this](const zk::Proposal& proposal) { return voter_->opinion(proposal); },
                               .decided = [this](const std::string& transaction) { voter_->decided(transaction); },
                               .tell = [this](const Progress& progress) { tell(progress); },
                               .reached = [this](const char* point) { fail_.reach(point); }});
  const auto set = [&](zk::Participant* now) {
    const std::lock_guard lock(mutex_);
    participant_ = now;
  };
  set(&participant);
  try {
    participant.take_part(frame_.until);
  } catch (...) {
    set(nullptr);
    throw;
  }
}

int Replica::run() {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit of files' size is told by write()
  connect();
  open();
  serve();
  log::step("replica " + options_.id + " of " + options_.path + ", version " + std::to_string(store_->version()) +
            ", listens on " + presence_.endpoint);
  Duration patience = std::chrono::milliseconds(250);
  for (;;) {
    try {
      if (!session_) connect();
      patience = std::chrono::milliseconds(250);
      take_part();
    } catch (const zk::SessionLost& lost) {
      log::warning(std::string(lost.what()) + "; coming back");
      contact_.now(false);
      session_.reset();
    } catch (const zk::CannotConnect& error) {
      patience = std::min<Duration>(patience * 2, std::chrono::seconds(10));
      log::warning(std::string(error.what()) + "; trying again in " + zk::to_string(patience));
      try {
        zk::pause(patience, frame_.until);
      } catch (const zk::Stopped&) {
        return zk::status_done;
      }
    } catch (const zk::Stopped&) {
      return zk::status_done;  // it was to go on until somebody says so
    } catch (const zk::OutOfSpace& full) {
      throw zk::Refused(std::string(full.what()) +
                        "; what was committed cannot be written. Its promises stand: make room, and start it again");
    }
  }
}

}  // namespace

int participate(zk::Frame& frame, const Options& options) { return Replica(frame, options).run(); }
