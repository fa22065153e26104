// Znode paths and names: pure helpers and the checks that every path passes before the C client sees it (which
// crashes on some malformed ones, and sends others to a server that drops the connection).
#pragma once
#include <string>
#include <string_view>

namespace zk {

/// Throws Refused, saying what is wrong and with which path, unless `path` is one that a server accepts: absolute, no
/// empty, `.` or `..` component, no trailing slash, valid UTF-8 without control characters, at most 16384 bytes, and
/// not the server's own /zookeeper.
void check_path(const std::string& path);

/// Whether it is one.
bool is_path(const std::string& path);

/// Throws Refused unless `name` is 1 to 64 of A-Z a-z 0-9 . _ - and not `.` or `..`: names that people choose for
/// members, seats and the like. `what` says which in the message.
void check_name(std::string_view what, const std::string& name);

/// What a node can hold, in bytes: the server's limit is 1 MiB for a whole request (jute.maxbuffer); the rest is left
/// for the path and the access list.
constexpr std::size_t most_data = 1'000'000;

/// Throws Refused if a request with so much data (or, if not exactly, more) would make the server drop the connection.
void check_size(const std::string& path, std::size_t bytes, bool exactly = true);

std::string join(const std::string& directory, const std::string& name);
std::string parent_of(const std::string& path);  // of "/a": "/"; of "/": "/"
std::string name_of(const std::string& path);    // the last component

}  // namespace zk
