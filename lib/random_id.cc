#include "random_id.h"

#include <sys/random.h>

#include "error.h"

namespace zk {

std::string random_id(std::size_t bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string raw(bytes, '\0'), id;
  if (getrandom(raw.data(), bytes, 0) != static_cast<ssize_t>(bytes)) throw Refused("the system has no random numbers");
  for (const unsigned char byte : raw) id += {digits[byte >> 4], digits[byte & 15]};
  return id;
}

}  // namespace zk
