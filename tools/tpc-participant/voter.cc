#include <termios.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "error.h"
#include "handler.h"
#include "input.h"
#include "text.h"
#include "tpc-participant.h"

namespace {

using zk::Opinion;
using zk::Proposal;

class Always : public Voter {
 public:
  explicit Always(Opinion opinion) : opinion_(std::move(opinion)) {}
  std::optional<Opinion> opinion(const Proposal&) override { return opinion_; }

 private:
  Opinion opinion_;
};

class Coin : public Voter {
 public:
  Coin(double probability, std::uint64_t seed) : yes_(probability), random_(seed) {}
  std::optional<Opinion> opinion(const Proposal&) override {
    const bool yes = yes_(random_);
    return Opinion{.yes = yes, .why = yes ? "" : "the coin says no"};
  }

 private:
  std::bernoulli_distribution yes_;
  std::mt19937_64 random_;
};

// Opinions that take their time. What they come from works on another thread.
class Slow : public Voter {
 public:
  explicit Slow(const VoterHooks& hooks) : wake_(hooks.wake) {}

  std::optional<Opinion> opinion(const Proposal& proposal) override {
    {
      const std::lock_guard lock(mutex_);
      const auto found = opinions_.find(proposal.id);
      if (found != opinions_.end()) return found->second;
      opinions_.emplace(proposal.id, std::nullopt);
    }
    ask(proposal);
    return std::nullopt;
  }

  void decided(const std::string& transaction) override {
    {
      const std::lock_guard lock(mutex_);
      if (opinions_.erase(transaction) == 0) return;
    }
    withdraw(transaction);
  }

 protected:
  virtual void ask(const Proposal& proposal) = 0;
  virtual void withdraw(const std::string& transaction) = 0;

  void answer(const std::string& transaction, Opinion opinion) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = opinions_.find(transaction);
      if (found == opinions_.end()) return;
      found->second = std::move(opinion);
    }
    wake_();
  }

 private:
  std::function<void()> wake_;
  std::mutex mutex_;
  std::map<std::string, std::optional<Opinion>> opinions_;  // of those asked
};

// One question at a time, in the order in which they came.
class Person : public Slow {
 public:
  explicit Person(const VoterHooks& hooks)
      : Slow(hooks), hooks_(hooks), thread_([this](const std::stop_token& stop) { work(stop); }) {}

 private:
  void ask(const Proposal& proposal) override {
    const std::lock_guard lock(mutex_);
    questions_.emplace_back(proposal.id, proposal.transaction.shown());
    changed_.notify_all();
  }

  void withdraw(const std::string& transaction) override {
    const std::lock_guard lock(mutex_);
    std::erase_if(questions_, [&](const auto& question) { return question.first == transaction; });
    if (current_ == transaction) over_.request_stop();
  }

  void work(const std::stop_token& stop) {
    for (;;) {
      std::pair<std::string, std::string> question;
      std::stop_token over;
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return !questions_.empty(); })) return;
        question = questions_.front();
        questions_.pop_front();
        current_ = question.first;
        over_ = {};
        over = over_.get_token();
      }
      const std::stop_callback end(stop, [this] { stop_question(); });
      const std::stop_callback outer(hooks_.until.stop, [this] { stop_question(); });
      if (!put(question.first, question.second, over)) return;
    }
  }

  void stop_question() {
    const std::lock_guard lock(mutex_);
    over_.request_stop();
  }

  // It was no answer to this question.
  void forget_what_was_typed() {
    if (isatty(STDIN_FILENO) != 1) return;
    tcflush(STDIN_FILENO, TCIFLUSH);
    lines_ = {};
  }

  // Answers false if nobody can be asked any more.
  bool put(const std::string& transaction, const std::string& what, const std::stop_token& over) {
    try {
      for (;;) {
        forget_what_was_typed();
        hooks_.ask(transaction, what);
        const auto line = lines_.next({zk::Time::max(), over});
        if (!line) {
          answer(transaction, {.yes = false, .why = "nobody is there to be asked"});
          return true;
        }
        if (*line == "y" || *line == "yes") return answer(transaction, {.yes = true}), true;
        if (*line == "n" || *line == "no") return answer(transaction, {.yes = false, .why = "said no"}), true;
      }
    } catch (const zk::Stopped&) {
      if (hooks_.until.stop.stop_requested()) return false;
      hooks_.ask(transaction, "");
      return true;
    }
  }

  const VoterHooks hooks_;
  zk::Lines lines_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::pair<std::string, std::string>> questions_;
  std::string current_;
  std::stop_source over_;
  std::jthread thread_;
};

class Command : public Slow {
 public:
  Command(const VoterHooks& hooks, const VotePolicy& policy, std::string id)
      : Slow(hooks),
        id_(std::move(id)),
        time_limit_(policy.time_limit),
        handler_({.argv = {"/bin/sh", "-c", policy.command},
                  .debounce = {},
                  .time_limit = policy.time_limit,
                  .ended = [this](const zk::Occasion& about, int status, const std::string& error) {
                    answer(about.key, opinion_of(status, error));
                  }}) {}

 private:
  void ask(const Proposal& proposal) override {
    handler_.offer({.key = proposal.id,
                    .about = proposal.id,
                    .environment = {{"ZK_TRANSACTION", proposal.id}},
                    .input = told(proposal, id_)});
  }
  void withdraw(const std::string& transaction) override { handler_.withdraw(transaction); }

  Opinion opinion_of(int status, const std::string& error) const {
    if (!error.empty()) return {.yes = false, .why = "the command cannot be run: " + error};
    if (status == 0) return {.yes = true};
    if (status > zk::status_signal)
      return {.yes = false,
              .why = "the command was ended by a signal or took longer than " + zk::to_string(time_limit_)};
    return {.yes = false, .why = "the command said no, with status " + std::to_string(status)};
  }

  const std::string id_;
  const zk::Duration time_limit_;
  zk::Handler handler_;
};

}  // namespace

std::string told(const Proposal& proposal, const std::string& id) {
  nlohmann::ordered_json object{{"transaction", proposal.id}, {"member", id}, {"roster", proposal.roster}};
  object.update(nlohmann::ordered_json::parse(proposal.transaction.json()));
  return object.dump() + "\n";
}

std::unique_ptr<Voter> make_voter(const VotePolicy& policy, const std::string& id, const VoterHooks& hooks) {
  switch (policy.kind) {
    case VotePolicy::Kind::commit:
      return std::make_unique<Always>(Opinion{.yes = true});
    case VotePolicy::Kind::abort:
      return std::make_unique<Always>(Opinion{.yes = false, .why = "votes abort, always"});
    case VotePolicy::Kind::random:
      return std::make_unique<Coin>(policy.probability, policy.seed);
    case VotePolicy::Kind::ask:
      return std::make_unique<Person>(hooks);
    case VotePolicy::Kind::command:
      return std::make_unique<Command>(hooks, policy, id);
  }
  return nullptr;
}
