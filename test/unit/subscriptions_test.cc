#include "subscriptions.h"

#include <doctest/doctest.h>

using zk::Aspect;
using zk::Subscriptions;
using Answer = Subscriptions::Answer;
using Question = Subscriptions::Question;
using Kind = Subscriptions::Question::Kind;

namespace {

// The one question that is due.
Question only(Subscriptions& subscriptions) {
  const auto questions = subscriptions.due();
  REQUIRE(questions.size() == 1);
  return questions[0];
}

}  // namespace

TEST_CASE("a subscription reads and watches, and does so again when the watch fires") {
  Subscriptions all;
  const auto number = all.add("/a", Aspect::data, true);
  Question question = only(all);
  CHECK(question.subscription == number);
  CHECK(question.path == "/a");
  CHECK(question.kind == Kind::data);
  CHECK(question.watch);
  CHECK(all.answered(question, Answer::ok));
  CHECK(all.due().empty());
  all.fired(number);
  question = only(all);
  CHECK(question.watch);
}

TEST_CASE("what changes while a question is under way is asked for once more") {
  Subscriptions all;
  const auto number = all.add("/a", Aspect::children, true);
  const auto first = only(all);
  CHECK(first.kind == Kind::children);
  all.fired(number);  // of an earlier watch
  CHECK(all.due().empty());
  CHECK(all.answered(first, Answer::ok));
  CHECK_FALSE(only(all).watch);  // the watch that the first has set stands
}

TEST_CASE("a node that is missing is awaited, and read when it is there") {
  Subscriptions all;
  const auto number = all.add("/a", Aspect::data, true);
  CHECK(all.answered(only(all), Answer::no_node));
  const auto waiting = only(all);
  CHECK(waiting.kind == Kind::creation);
  CHECK(waiting.watch);
  CHECK_FALSE(all.answered(waiting, Answer::no_node));
  CHECK(all.due().empty());
  all.fired(number);
  const auto question = only(all);
  CHECK(question.kind == Kind::data);
  CHECK(question.watch);
}

TEST_CASE("a node that was created between two questions is read at once") {
  Subscriptions all;
  all.add("/a", Aspect::data, true);
  all.answered(only(all), Answer::no_node);
  CHECK_FALSE(all.answered(only(all), Answer::ok));
  const auto data = only(all);
  CHECK(data.kind == Kind::data);
  CHECK_FALSE(data.watch);  // looking at it has set the watch of its data

  Subscriptions children;
  children.add("/a", Aspect::children, true);
  children.answered(only(children), Answer::no_node);
  children.answered(only(children), Answer::ok);
  CHECK(only(children).watch);  // ... but not that of its children
}

TEST_CASE("a subscription that does not wait ends with its node") {
  Subscriptions all;
  const auto number = all.add("/a", Aspect::data, false);
  CHECK(all.answered(only(all), Answer::no_node));
  all.fired(number);
  all.reconnected();
  CHECK(all.due().empty());
}

TEST_CASE("after a reconnection all is read again, with a watch where there is none") {
  Subscriptions all;
  const auto armed = all.add("/a", Aspect::data, true);
  all.answered(only(all), Answer::ok);
  all.add("/b", Aspect::data, true);
  CHECK_FALSE(all.answered(only(all), Answer::lost));
  all.reconnected();
  const auto questions = all.due();
  REQUIRE(questions.size() == 2);
  for (const auto& question : questions) CHECK(question.watch == (question.subscription != armed));
}

TEST_CASE("after a reconnection a missing node is looked for, and then awaited by the watch that stands") {
  Subscriptions all;
  all.add("/a", Aspect::data, true);
  all.answered(only(all), Answer::no_node);
  all.answered(only(all), Answer::no_node);
  all.reconnected();
  const auto question = only(all);
  CHECK(question.kind == Kind::data);
  CHECK_FALSE(question.watch);
  CHECK(all.answered(question, Answer::no_node));
  CHECK(all.due().empty());
}

TEST_CASE("what may not be read is told, and tried again after a reconnection") {
  Subscriptions all;
  all.add("/a", Aspect::data, true);
  CHECK(all.answered(only(all), Answer::refused));
  CHECK(all.due().empty());
  all.reconnected();
  CHECK(only(all).watch);
}

TEST_CASE("a subscription that is removed asks no more, and its answers are no news") {
  Subscriptions all;
  const auto number = all.add("/a", Aspect::data, true);
  const auto question = only(all);
  all.remove(number);
  CHECK_FALSE(all.answered(question, Answer::ok));
  all.fired(number);
  CHECK(all.due().empty());
}

TEST_CASE("what is doubted is read and watched again, what is missing as well") {
  Subscriptions all;
  const auto first = all.add("/a", Aspect::data, true);
  all.answered(only(all), Answer::ok);
  const auto second = all.add("/b", Aspect::data, true);
  all.answered(only(all), Answer::no_node);
  all.answered(only(all), Answer::no_node);
  REQUIRE(first % 2 != second % 2);
  all.doubt(first, 2);
  auto question = only(all);
  CHECK(question.subscription == first);
  CHECK(question.kind == Kind::data);
  CHECK(question.watch);
  CHECK(all.answered(question, Answer::ok));
  all.doubt(second, 2);
  question = only(all);
  CHECK(question.subscription == second);
  CHECK(question.kind == Kind::creation);
  CHECK(question.watch);
  CHECK_FALSE(all.answered(question, Answer::no_node));
  CHECK(all.due().empty());
}

TEST_CASE("what is doubted while it is being read is watched again after that") {
  Subscriptions all;
  const auto number = all.add("/a", Aspect::data, true);
  all.answered(only(all), Answer::ok);
  all.again(number);
  const auto question = only(all);
  all.doubt(number, 1);
  CHECK(all.due().empty());
  all.answered(question, Answer::ok);
  CHECK(only(all).watch);
}
