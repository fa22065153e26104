// What one transaction of two-phase commit costs at least with what it waits for: as many round trips, one after the
// other on one connection, as lib/coordinator.h says are in sequence, with what a transaction writes and reads; and two
// forced writes of a record to a file. Nobody else is asked, nobody is woken, and nothing is cleared up meanwhile.
//   tpc PATH FILE   connects, makes PATH, and prints "ready"; for each line of input, a number, does it so often and
//   prints the median, in milliseconds
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "session.h"

namespace {

// As long as what the tools write.
const std::string proposal(300, 'p'), position(60, 'v'), record(200, 'r');

void must(bool done, const char* what) {
  if (done) return;
  std::cerr << "tpc: cannot " << what << "\n";
  std::exit(1);
}

class Floor {
 public:
  Floor(zk::Session& session, std::string folder, int file)
      : session_(session), folder_(std::move(folder)), file_(file) {
    session.make_directory(folder_, "", {});
    for (const char* name : {"/tx", "/log", "/roster", "/member"}) create(folder_ + name, "");
    for (const char* name : {"/roster/a", "/roster/b", "/roster/c"}) create(folder_ + name, "");
  }

  double milliseconds() {
    const std::string transaction = folder_ + "/tx/1-1", vote = transaction + "/yes-a";
    const auto begin = zk::Clock::now();
    create(transaction, proposal);
    children(folder_ + "/tx");
    must(session_.get(transaction).get().has_value(), "get the transaction");
    to_disk();  // the promise
    create(vote, "");
    children(transaction);
    const auto decision = decide(transaction);
    children(folder_ + "/log");
    to_disk();  // the commit
    must(session_.set(folder_ + "/member", position).get().has_value(), "set the position");
    must(session_.get(folder_ + "/member").get().has_value(), "get the position");
    const auto end = zk::Clock::now();

    for (const auto& path : {decision.created.at(4), decision.created.at(3), vote, transaction})
      must(session_.remove(path).get(), "remove a node");
    return std::chrono::duration<double, std::milli>(end - begin).count();
  }

 private:
  void create(const std::string& path, const std::string& data) {
    must(session_.create(path, data, zk::Mode::persistent).get().code == zk::Code::ok, "create a node");
  }

  void children(const std::string& path) {
    must(session_.children(path).get().has_value(), "list the children of a node");
  }

  zk::Outcome decide(const std::string& transaction) {
    using Kind = zk::Operation::Kind;
    auto outcome = session_
                       .transact({{Kind::check, folder_ + "/roster/a"},
                                  {Kind::check, folder_ + "/roster/b"},
                                  {Kind::check, folder_ + "/roster/c"},
                                  {Kind::create, transaction + "/committed"},
                                  {Kind::create, folder_ + "/log/1-1-", "", zk::Mode::persistent_sequential}})
                       .get();
    must(outcome.code == zk::Code::ok, "decide");
    return outcome;
  }

  void to_disk() {
    must(write(file_, record.data(), record.size()) == static_cast<ssize_t>(record.size()), "write to the file");
    must(fdatasync(file_) == 0, "force the file to the disk");
  }

  zk::Session& session_;
  const std::string folder_;
  const int file_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const char* const hosts = std::getenv("ZK_HOSTS");
  zk::Settings settings;
  settings.hosts = zk::Hosts::parse(hosts == nullptr ? "127.0.0.1:2181" : hosts);
  settings.connect_timeout = std::chrono::seconds(60);
  settings.session_timeout = std::chrono::seconds(30);

  zk::Session session(settings, zk::Until{});
  const int file = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  must(file >= 0, "open the file");
  Floor floor(session, argv[1], file);
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::vector<double> times(std::max(1, std::atoi(line.c_str())));
    for (auto& time : times) time = floor.milliseconds();
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
    std::cout << times[times.size() / 2] << std::endl;
  }
}
