// The file with the secrets (--auth-file): checked before it is believed.
#pragma once
#include <string>
#include <vector>

namespace zk {

struct Credential {
  std::string scheme;  // for example digest
  std::string secret;  // for example user:password
};

/// One `scheme:credentials` a line; empty lines and lines that start with # do not count. Throws Refused, without
/// quoting a secret, unless the file is a regular one, not a link, owned by us or root, closed to group and others, and
/// well-formed.
std::vector<Credential> read_credentials(const std::string& file);

}  // namespace zk
