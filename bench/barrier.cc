// A member of a double barrier, as the recipe is meant to be used: under the lease while it is inside.
//   barrier MEMBERS NUMBER   connects, prints "ready"; then enters and leaves as its input says (protocol: README.md)
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>

#include "barrier.h"
#include "session.h"

namespace {

// Prints when `act` began and when it returned. That it begins is said before: who is called has the machine to itself
// from then on.
template <class Act>
void timed(Act act) {
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };  // CLOCK_MONOTONIC
  std::cout << "called" << std::endl;
  const auto begin = now();
  act();
  const auto end = now();
  std::cout << begin << ' ' << end << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const char* const hosts = std::getenv("ZK_HOSTS");
  zk::Settings settings;
  settings.hosts = zk::Hosts::parse(hosts == nullptr ? "127.0.0.1:2181" : hosts);
  settings.connect_timeout = std::chrono::seconds(60);
  settings.session_timeout = std::chrono::seconds(300);
  zk::Session session(settings, {});
  zk::BarrierRequest request{.path = "", .members = std::atoi(argv[1]), .id = argv[2], .about = "{}"};
  std::optional<zk::Barrier> barrier;

  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what, number;
    words >> what >> number;
    if (what == "enter") {
      words >> request.path;
      timed([&] { barrier.emplace(zk::Barrier::enter(session, request, {})); });
      session.guard({barrier->node()}, {});
    } else {
      session.unguard();  // the end of the generation removes the node
      timed([&] {
        barrier->leave({});
        barrier->await_end(false, {});
      });
    }
  }
}
