#include "answers.h"

#include "input.h"
#include "log.h"
#include "path.h"

int no(const std::string& why) {
  zk::log::warning(why);
  return status_no;
}

std::string data_of(const Options& options, const zk::Until& until) {
  if (!options.data) return "";
  if (*options.data != "-") {
    zk::check_size(options.path, options.data->size());
    return *options.data;
  }
  zk::Input input = zk::read_input(zk::most_data, until);
  zk::check_size(options.path, input.size);
  return std::move(input.bytes);
}

zk::Until patience(const zk::Frame& frame, const zk::Session& session) { return frame.until.within(session.timeout()); }
