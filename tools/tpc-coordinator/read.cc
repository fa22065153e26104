#include <nlohmann/json.hpp>

#include "error.h"
#include "log.h"
#include "output.h"
#include "text.h"
#include "tpc-coordinator.h"

namespace {

using Json = nlohmann::ordered_json;

// How old it may be.
std::string age_of(const zk::RegisterReading& reading) {
  std::string age = "; stale: version " + std::to_string(reading.newest) + " is the newest that was seen in ZooKeeper";
  if (reading.from.cut_off)
    age +=
        ", with which " + reading.from.replica + " has not been in touch for " + zk::to_string(*reading.from.cut_off);
  return age;
}

}  // namespace

std::vector<std::string> keys_of(const std::vector<std::string>& words) {
  if (words[0] == "dump") return {};
  if (words.size() < 2) throw zk::WrongUsage("get: which KEY?");
  std::vector<std::string> keys(words.begin() + 1, words.end());
  for (const auto& key : keys) zk::check_key(key);
  return keys;
}

std::vector<std::string> missing(const zk::RegisterReading& reading, const std::vector<std::string>& keys) {
  std::vector<std::string> names;
  for (const auto& key : keys)
    if (!reading.from.view.values.contains(key)) names.push_back(key);
  return names;
}

std::string shown(const zk::RegisterReading& reading, const std::vector<std::string>& keys, const char* between) {
  std::string text;
  const auto say = [&](const std::string& what) { text += (text.empty() ? "" : between) + what; };
  for (const auto& [key, value] : reading.from.view.values)
    if (keys.empty()) say(zk::printable(key) + "=" + zk::printable(value.value, value.value.size()));
  for (const auto& key : keys) {
    const auto found = reading.from.view.values.find(key);
    if (found != reading.from.view.values.end())
      say(zk::printable(key) + "=" + zk::printable(found->second.value, found->second.value.size()));
  }
  return text;
}

std::string as_json(const zk::RegisterReading& reading, const std::vector<std::string>& keys) {
  const auto& [replica, view, cut_off] = reading.from;
  Json values = Json::object();
  for (const auto& [key, value] : view.values) values[key] = {{"value", value.value}, {"version", value.version}};
  for (const auto& key : missing(reading, keys)) values[key] = nullptr;
  Json object{{"replica", replica}, {"version", view.version}, {"newest", reading.newest}, {"values", values}};
  if (cut_off) object["cut_off_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(*cut_off).count();
  return object.dump();
}

int read(zk::Frame& frame, const Options& options) {
  const auto keys = keys_of(options.words);
  zk::Session session(frame.settings, frame.until);
  await_participants(session, options, frame.until);
  const auto reading =
      zk::read_register(session, {options.path}, keys, options.stale, frame.until.within(options.timeout));
  zk::Output out;
  const auto text = options.json ? as_json(reading, keys) : shown(reading, keys, "\n");
  if (!text.empty()) out.write(text + "\n", frame.until);
  if (!options.json)
    zk::log::warning("version " + std::to_string(reading.from.view.version) + ", from " + reading.from.replica +
                     (options.stale ? age_of(reading) : ""));
  const auto absent = missing(reading, keys);
  if (!absent.empty()) zk::log::warning("there is no " + zk::listed(absent));
  return absent.empty() ? zk::status_done : 1;
}
