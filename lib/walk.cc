#include "walk.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "error.h"
#include "path.h"

namespace zk {

namespace {

using Names = std::optional<std::vector<std::string>>;

// Enough to keep the server busy; few enough for what waits in its memory and in ours.
constexpr std::size_t most_under_way = 1000;

class Walker {
 public:
  Walker(Session& session, const Bounds& bounds, const Until& until)
      : session_(session), bounds_(bounds), until_(until) {}

  Walk run(const std::string& path) {
    Walk result;
    result.nodes = 1;
    planned_.push_back({&result.root, nullptr, "", path, 0});
    while (!planned_.empty() || !under_way_.empty()) {
      while (!planned_.empty() && under_way_.size() < most_under_way) {
        send(std::move(planned_.front()));
        planned_.pop_front();
      }
      if (under_way_.empty()) continue;
      Request request = std::move(under_way_.front());
      under_way_.pop_front();
      receive(request, result);
    }
    return result;
  }

 private:
  struct Place {
    Branch* branch;
    Branch* parent;
    std::string name, path;
    std::size_t depth;
  };
  struct Request {
    Place place;
    std::optional<Reply<std::optional<Node>>> node{};  // asked for first: the node, or its stat
    std::optional<Reply<std::optional<Stat>>> stat{};
    std::optional<Reply<Names>> names{};  // then, if there are any
  };

  void send(Place place) {
    Branch* const branch = place.branch;
    try {
      const std::string path = place.path;
      Request request{std::move(place)};
      if (bounds_.with_data)
        request.node = session_.get(path);
      else
        request.stat = session_.stat(path);
      under_way_.push_back(std::move(request));
    } catch (const Refused&) {  // a path too long for us: somebody else's limit is another
      branch->code = Code::bad_arguments;
    }
  }

  // The answer to a request; it is made anew if its connection broke. What we may not read is noted.
  template <class T, class Again>
  T answer(Branch& branch, Reply<T>& reply, Again again) {
    const Until soon = until_.within(bounds_.patience);
    try {
      try {
        return reply.get(soon);
      } catch (const ConnectionLoss&) {
        return session_.insist(soon, again);
      }
    } catch (const TimedOut&) {
      if (until_.expired()) throw;
      throw CannotConnect("ZooKeeper does not answer any more");
    } catch (const Error& error) {
      if (error.code() != Code::no_auth) throw;
      branch.code = Code::no_auth;
      return T{};
    }
  }

  std::optional<Node> node(Request& request) {
    const auto& [branch, parent, name, path, depth] = request.place;
    if (request.node) return answer(*branch, *request.node, [&] { return session_.get(path); });
    const auto stat = answer(*branch, *request.stat, [&] { return session_.stat(path); });
    return stat ? std::optional(Node{"", *stat}) : std::nullopt;
  }

  void receive(Request& request, Walk& result) {
    auto& [branch, parent, name, path, depth] = request.place;
    if (request.names) {
      auto names = answer(*branch, *request.names, [&] { return session_.children(path); });
      if (names) enter(request.place, std::move(*names), result.nodes);
      return;
    }
    if (auto node = this->node(request)) {
      branch->node = std::move(*node);
      if (branch->node.stat.children == 0) return;
      if (depth < bounds_.deepest)
        under_way_.push_back({request.place, {}, {}, session_.children(path)});
      else
        branch->left_out = static_cast<std::size_t>(branch->node.stat.children);
    } else if (branch->code == Code::ok) {  // gone since it was listed
      branch->code = Code::no_node;
      --result.nodes;
      if (parent != nullptr) parent->children.erase(name);
    }
  }

  void enter(const Place& place, std::vector<std::string> names, std::size_t& nodes) {
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
      const std::string path = join(place.path, name);
      if (path == "/zookeeper") continue;
      if (nodes >= bounds_.most_nodes) {
        ++place.branch->left_out;
        continue;
      }
      ++nodes;
      Branch& child = place.branch->children[name];
      planned_.push_back({&child, place.branch, name, path, place.depth + 1});
    }
  }

  Session& session_;
  const Bounds bounds_;
  const Until until_;
  std::deque<Place> planned_;
  std::deque<Request> under_way_;
};

}  // namespace

Walk walk(Session& session, const std::string& path, const Bounds& bounds, const Until& until) {
  return Walker(session, bounds, until).run(path);
}

}  // namespace zk
