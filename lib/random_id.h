// Names that nobody else has.
#pragma once
#include <cstddef>
#include <string>

namespace zk {

/// So many random bytes from the system, as hexadecimal digits. Throws Refused if it has none.
std::string random_id(std::size_t bytes);

}  // namespace zk
