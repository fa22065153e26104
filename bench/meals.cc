// What a server can do at most for a table of philosophers: each session, over and over, makes the two transactions of
// a meal with the rule `fair` (take: create two forks and set its seat; put: delete them and set its seat), on nodes of
// its own, so that nobody ever waits for anybody.
//   meals PATH SESSIONS SECONDS   connects, prints "ready"; for each line of input does so for SECONDS and prints how
//   many meals that would have been
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "session.h"

namespace {

// As long as what a philosopher writes.
const std::string seat_data(1050, 's'), fork_data(20, 'f');

void must(zk::Session& session, const std::vector<zk::Operation>& operations) {
  if (session.transact(operations).get().code == zk::Code::ok) return;
  std::cerr << "meals: a transaction was refused\n";
  std::exit(1);
}

long meals_until(zk::Time end, zk::Session& session, const std::string& folder) {
  using Kind = zk::Operation::Kind;
  const std::string left = folder + "/left", right = folder + "/right", seat = folder + "/seat";
  for (long meals = 0;; ++meals) {
    must(session, {{Kind::create, left, fork_data, zk::Mode::ephemeral},
                   {Kind::create, right, fork_data, zk::Mode::ephemeral},
                   {Kind::set, seat, seat_data}});
    must(session, {{Kind::remove, left}, {Kind::remove, right}, {Kind::set, seat, seat_data}});
    if (zk::Clock::now() > end) return meals;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const char* const hosts = std::getenv("ZK_HOSTS");
  zk::Settings settings;
  settings.hosts = zk::Hosts::parse(hosts == nullptr ? "127.0.0.1:2181" : hosts);
  settings.connect_timeout = std::chrono::seconds(60);
  settings.session_timeout = std::chrono::seconds(30);

  std::vector<std::unique_ptr<zk::Session>> sessions;
  std::vector<std::string> folders;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    sessions.push_back(std::make_unique<zk::Session>(settings, zk::Until{}));
    folders.push_back(std::string(argv[1]) + "/" + std::to_string(i));
    sessions.back()->make_directory(folders.back(), "", {});
    sessions.back()->create(folders.back() + "/seat", seat_data, zk::Mode::ephemeral).get();
  }

  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const zk::Time end = zk::Clock::now() + zk::parse_duration("SECONDS", argv[3]);
    std::atomic<long> meals = 0;
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < sessions.size(); ++i)
        threads.emplace_back([&, i] { meals += meals_until(end, *sessions[i], folders[i]); });
    }
    std::cout << meals << std::endl;
  }
}
