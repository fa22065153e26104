// Which nodes are followed, and what is to be asked of the server next. Pure: it neither sends nor waits.
//
// A watch fires once, so each reading asks for the next watch as well. A subscription has one question under way at
// most; what changes meanwhile makes it ask again.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace zk {

/// What of a node is followed.
enum class Aspect { data, children };

class Subscriptions {
 public:
  struct Question {
    std::uint64_t subscription;
    std::string path;
    enum class Kind { data, children, creation } kind;
    bool watch;  // ask to be told of the next change
  };

  enum class Answer {
    ok,
    no_node,
    refused,  // by the server
    lost,     // with the connection
  };

  /// To be asked for at once. If there is no such node, it waits for the creation, or ends.
  std::uint64_t add(const std::string& path, Aspect aspect, bool await_creation);
  void remove(std::uint64_t subscription);

  /// To be read once more, changed or not.
  void again(std::uint64_t subscription);

  /// What is to be asked now, while connected. Each question gets one answer.
  std::vector<Question> due();

  /// Answers whether this is news for whoever has subscribed.
  bool answered(const Question& question, Answer answer);

  /// The watch has fired.
  void fired(std::uint64_t subscription);

  /// Everything is to be read again: some watches may have been lost with their answers.
  void reconnected();

  /// One of so many parts is to be read and watched again: a server may drop a watch without a word (session.h).
  void doubt(std::uint64_t part, std::uint64_t parts);

 private:
  struct Subscription {
    std::string path;
    Aspect aspect;
    bool await_creation;
    bool due = false;      // in due_
    bool asked = false;    // a question is under way
    bool armed = false;    // the server will tell of the next change
    bool again = false;    // to be asked again when the answer is there
    bool missing = false;  // what is waited for is its creation
  };
  void ask(std::uint64_t number, Subscription& subscription);

  std::unordered_map<std::uint64_t, Subscription> subscriptions_;
  std::vector<std::uint64_t> due_;
  std::uint64_t newest_ = 0;
};

}  // namespace zk
