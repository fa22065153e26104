// How zk-watch tells a change.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "change.h"

/// One line for people. What came from the servers is made harmless.
std::string text_record(const zk::Change& change);

/// One line for programs.
std::string json_record(const zk::Change& change);

/// What the change is called.
const char* event_name(const zk::Change& change);

/// The state after the change as a file: the data, or the children's names, one a line.
std::string contents(const zk::Change& change);

/// What a command finds in its environment.
std::vector<std::pair<std::string, std::string>> variables(const zk::Change& change);
