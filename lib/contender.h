// The nodes that contend for a lock: their names, their order, and whose turn it is. Pure.
//
// A contender's node is named <id>-<kind>-<sequence>: a random id, by which a create whose answer was lost is found
// again; what it asks for; and the number that the server appended. Everything else in the folder is ignored.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zk {

enum class Kind {
  write,   // alone
  read,    // together with other readers
  permit,  // together with at most limit - 1 others
};

struct Contender {
  std::string id;
  Kind kind;
  std::int32_t sequence;
  std::string name;  // the whole
};

/// The part of a contender's name before the sequence number.
std::string contender_prefix(const std::string& id, Kind kind);

/// nullopt for names that are not a contender's.
std::optional<Contender> parse_contender(const std::string& name);

/// The contenders among `names` in the order of their sequence numbers as seen from `origin`: the server's counter
/// wraps from 2^31-1 to -2^31, so a number is before another if the difference, as a signed 32-bit number, says so.
std::vector<Contender> in_order(const std::vector<std::string>& names, std::int32_t origin);

/// What a contender has to do now.
struct Turn {
  enum class Kind {
    enter,       // it is inside
    wait_for,    // until `ahead` has gone, or has changed
    wait_first,  // the first in line for a permit: until any contender goes
    conflict,    // `ahead`, which came earlier, uses the lock in a way that excludes ours: a limit, or none
    gone,        // it is not in the queue (any more)
  } kind;
  std::string ahead{};
  std::size_t position = 0;  // how many came earlier
};

/// Decides for the contender named `mine`, from the folder's children.
///
///  - A writer enters when nobody is before it, and waits for the one directly before it.
///  - A reader enters when no writer is before it, and waits for the nearest of those. As it never overtakes a writer
///    that waits, no writer starves.
///  - One who wants a permit enters when fewer than `limit` are before it. The first of those who wait watches the
///    folder, because any holder may be the one that leaves; the others watch the one before them, who changes its node
///    when it enters (or leaves, or dies), and then become the first themselves. So one release wakes two, however
///    long the line.
///
/// Source: ZooKeeper Recipes, "Locks" and "Shared Locks"; the permits are our own, see docs/znodes.md.
Turn turn_of(const std::string& mine, const std::vector<std::string>& children, int limit);

/// Which of these, in order, are inside.
std::vector<bool> inside(const std::vector<Contender>& in_order, int limit);

}  // namespace zk
