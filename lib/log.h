// What tools tell people, on stderr. Never waits for a reader that does not read: under a lock that would be the end of
// the heartbeats' meaning. What nobody takes in time is dropped.
#pragma once
#include <string>

namespace zk::log {

enum class Level { errors, warnings, steps, everything };  // -q, default, -v, -vv

/// To be called once, before the others. `name` stands at the start of each line.
void open(const std::string& name, Level level);

void error(const std::string& text);
void warning(const std::string& text);
void step(const std::string& text);  // what a protocol does: -v
void detail(const char* text);       // the C client's own log: -vv

}  // namespace zk::log
