#include "subscriptions.h"

#include <utility>

namespace zk {

namespace {

// Whether the server will tell of the next change after this answer to a question with a watch.
bool watched(const Subscriptions::Question& question, Subscriptions::Answer answer) {
  // Who asks for a creation is told of it; who asks for data of no node is told of nothing.
  return answer == Subscriptions::Answer::ok ||
         (question.kind == Subscriptions::Question::Kind::creation && answer == Subscriptions::Answer::no_node);
}

}  // namespace

void Subscriptions::ask(std::uint64_t number, Subscription& subscription) {
  if (!std::exchange(subscription.due, true)) due_.push_back(number);
}

std::uint64_t Subscriptions::add(const std::string& path, Aspect aspect, bool await_creation) {
  const std::uint64_t number = ++newest_;
  ask(number, subscriptions_.emplace(number, Subscription{path, aspect, await_creation}).first->second);
  return number;
}

void Subscriptions::remove(std::uint64_t subscription) { subscriptions_.erase(subscription); }

void Subscriptions::again(std::uint64_t subscription) {
  const auto found = subscriptions_.find(subscription);
  if (found != subscriptions_.end()) ask(subscription, found->second);
}

std::vector<Subscriptions::Question> Subscriptions::due() {
  std::vector<Question> questions;
  for (const auto number : std::exchange(due_, {})) {
    const auto found = subscriptions_.find(number);
    if (found == subscriptions_.end()) continue;
    auto& subscription = found->second;
    subscription.due = false;
    if (subscription.asked) {
      subscription.again = true;
      continue;
    }
    if (subscription.armed && subscription.missing) continue;  // its creation will be told
    subscription.asked = true;
    const auto kind = subscription.missing                  ? Question::Kind::creation
                      : subscription.aspect == Aspect::data ? Question::Kind::data
                                                            : Question::Kind::children;
    questions.push_back({number, subscription.path, kind, !subscription.armed});
  }
  return questions;
}

bool Subscriptions::answered(const Question& question, Answer answer) {
  const auto found = subscriptions_.find(question.subscription);
  if (found == subscriptions_.end()) return false;
  auto& subscription = found->second;
  subscription.asked = false;
  if (question.watch) subscription.armed = watched(question, answer);
  if (std::exchange(subscription.again, false) || answer == Answer::lost) ask(question.subscription, subscription);
  if (answer == Answer::lost) return false;
  if (question.kind == Question::Kind::creation) {
    if (answer != Answer::ok) return false;
    // Created just now. What is watched by this question are its data, whatever is followed.
    subscription.missing = false;
    subscription.armed = subscription.aspect == Aspect::data;
    ask(question.subscription, subscription);
    return false;
  }
  if (answer == Answer::no_node && !subscription.await_creation) {
    subscriptions_.erase(found);
  } else if (answer == Answer::no_node) {
    subscription.missing = true;
    ask(question.subscription, subscription);
  }
  return true;
}

void Subscriptions::fired(std::uint64_t number) {
  const auto found = subscriptions_.find(number);
  if (found == subscriptions_.end()) return;
  found->second.armed = found->second.missing = false;
  ask(number, found->second);
}

void Subscriptions::reconnected() {
  for (auto& [number, subscription] : subscriptions_) {
    subscription.missing = false;
    ask(number, subscription);
  }
}

void Subscriptions::doubt(std::uint64_t part, std::uint64_t parts) {
  for (auto& [number, subscription] : subscriptions_) {
    if (number % parts != part % parts) continue;
    subscription.armed = false;
    ask(number, subscription);
  }
}

}  // namespace zk
