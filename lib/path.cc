#include "path.h"

#include "error.h"
#include "text.h"

namespace zk {

namespace {

constexpr std::size_t longest_path = 16'384;
constexpr std::size_t longest_name = 64;

// Code points that ZooKeeper forbids in paths (Programmer's Guide, "The ZooKeeper Data Model").
bool forbidden(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xf8ff) || (c >= 0xfff0 && c <= 0xffff);
}

const char* fault(const std::string& path) {
  if (path.empty() || path[0] != '/') return "a path starts with '/'";
  if (path.size() > longest_path) return "a path has at most 16384 bytes";
  for (std::size_t at = 0; at < path.size();) {
    const auto [length, point] = next_utf8(std::string_view(path).substr(at));
    if (length == 0) return "a path is valid UTF-8";
    if (forbidden(point)) return "a path has no control or private characters";
    at += length;
  }
  for (std::size_t start = 1; start < path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string_view component(path.data() + start, end - start);
    if (component.empty()) return "a path has no empty component ('//')";
    if (component == "." || component == "..") return "a path has no '.' or '..' component";
    start = end + 1;
  }
  if (path != "/" && path.back() == '/') return "a path does not end with '/'";
  if (path == "/zookeeper" || path.starts_with("/zookeeper/")) return "/zookeeper belongs to the server itself";
  return nullptr;
}

}  // namespace

void check_path(const std::string& path) {
  if (const char* wrong = fault(path)) throw Refused("path '" + printable(path, 200) + "' is not valid: " + wrong);
}

bool is_path(const std::string& path) { return fault(path) == nullptr; }

void check_name(std::string_view what, const std::string& name) {
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (name.empty() || name.size() > longest_name || name == "." || name == ".." ||
      name.find_first_not_of(allowed) != std::string::npos)
    throw Refused(std::string(what) + " '" + printable(name, 200) + "' is not valid: use 1 to 64 of A-Z a-z 0-9 . _ -");
}

void check_size(const std::string& path, std::size_t bytes, bool exactly) {
  if (bytes > most_data)
    throw Refused("data of " + std::string(exactly ? "" : "more than ") + std::to_string(bytes) + " bytes for " + path +
                  " is too large: a node holds at most " + std::to_string(most_data));
}

std::string join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace zk
