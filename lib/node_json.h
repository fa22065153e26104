// Nodes as JSON: the same in every tool. Names are those of ZooKeeper's own Stat.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "session.h"

namespace zk {

/// Adds the fields of a stat: czxid ... numChildren; ctime and mtime as ISO times.
void add_stat(nlohmann::ordered_json& object, const Stat& stat);

/// Adds `data`, or `data_base64` if they are not text.
void add_data(nlohmann::ordered_json& object, std::string_view data);

/// Of somebody else's data. Throws Refused for what is no JSON, or is nested deeper than anything that is ours: to copy
/// or print that would use up the stack.
nlohmann::ordered_json parse_flat(std::string_view text);

/// One line, in ASCII: whatever a name or data contain, it is harmless.
std::string line(const nlohmann::ordered_json& object);

}  // namespace zk
