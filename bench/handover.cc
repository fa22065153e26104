// Takes and releases a lock in a loop, as the recipe is meant to be used: with the lease that makes it safe.
//   handover PATH SECONDS   connects, prints "ready"; for each line of input loops and prints the number of
//   acquisitions
#include <cstdlib>
#include <iostream>
#include <string>

#include "lock.h"
#include "session.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const char* const hosts = std::getenv("ZK_HOSTS");
  zk::Settings settings;
  settings.hosts = zk::Hosts::parse(hosts == nullptr ? "127.0.0.1:2181" : hosts);
  settings.connect_timeout = std::chrono::seconds(60);
  settings.session_timeout = std::chrono::seconds(30);
  zk::Session session(settings, {});
  const zk::LockRequest request{argv[1], zk::Kind::write, 1, "bench", false};

  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const zk::Time end = zk::Clock::now() + zk::parse_duration("SECONDS", argv[2]);
    long acquired = 0;
    for (bool in_time = true; in_time;) {
      auto lock = zk::Lock::acquire(session, request, {});
      session.guard({lock->node()}, {});
      in_time = zk::Clock::now() < end;
      acquired += in_time ? 1 : 0;
      session.unguard();
      lock->release({});
    }
    std::cout << acquired << std::endl;
  }
}
