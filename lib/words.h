// A line split into words as a shell would, but without anything that a shell expands. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace zk {

/// Blanks part words. '...' is taken as it stands; in "..." \n \t \\ \" and \xHH mean what they mean in C. A `#` that
/// begins a word begins a comment. Throws Refused, saying what is wrong.
std::vector<std::string> words(std::string_view line);

}  // namespace zk
