#include "answers.h"

#include "input.h"
#include "lock.h"
#include "log.h"
#include "path.h"
#include "text.h"

int no(const std::string& why) {
  zk::log::warning(why);
  return status_no;
}

int not_held(const Options& options) { return no("not held: " + *options.if_held); }

std::string data_of(const Options& options, const zk::Until& until) {
  if (!options.data) return "";
  if (*options.data != "-") {
    zk::check_size(options.path, options.data->size());
    return *options.data;
  }
  zk::Input input = zk::read_input(zk::most_data, until);
  zk::check_size(options.path, input.size, input.all);
  return std::move(input.bytes);
}

zk::Until patience(const zk::Frame& frame, const zk::Session& session) { return frame.until.within(session.timeout()); }

std::string shown(const zk::Output& out, const std::string& text) {
  return out.is_terminal() ? zk::printable(text, text.size()) : text;
}

void unknown(const std::string& operation, const std::string& path) {
  throw zk::ConnectionLoss(zk::Code::connection_loss, operation, path);
}

std::optional<zk::Stat> settled(zk::Session& session, const std::string& path, const zk::Until& until) {
  session.wait_connected(until);
  session.insist(until, [&] { return session.sync(path); });
  return session.insist(until, [&] { return session.stat(path); });
}

bool may_change(zk::Session& session, const Options& options, const zk::Until& until) {
  return !options.if_held || in_time([&] { return zk::is_inside(session, *options.if_held, until); });
}

std::vector<zk::Operation> fenced(const Options& options, std::vector<zk::Operation> operations) {
  if (options.if_held) operations.insert(operations.begin(), {zk::Operation::Kind::check, *options.if_held});
  return operations;
}

bool lock_had_gone(const Options& options, const zk::Outcome& outcome) {
  return options.if_held && outcome.code == zk::Code::no_node && outcome.failed == 0;
}
