#include "contender.h"

#include <algorithm>
#include <utility>

#include "sequence.h"

namespace zk {

namespace {

constexpr std::pair<Kind, std::string_view> kinds[] = {
    {Kind::write, "-write-"}, {Kind::read, "-read-"}, {Kind::permit, "-permit-"}};

}  // namespace

std::string contender_prefix(const std::string& id, Kind kind) {
  for (const auto& [k, text] : kinds)
    if (k == kind) return id + std::string(text);
  return id;
}

std::optional<Contender> parse_contender(const std::string& name) {
  for (const auto& [kind, text] : kinds) {
    const auto at = name.find(text);
    if (at == std::string::npos || at == 0) continue;
    if (name.find_first_not_of("0123456789abcdef") != at) continue;
    if (const auto sequence = parse_sequence(name.substr(at + text.size())))
      return Contender{name.substr(0, at), kind, *sequence, name};
  }
  return std::nullopt;
}

std::vector<Contender> in_order(const std::vector<std::string>& names, std::int32_t origin) {
  std::vector<Contender> found;
  for (const auto& name : names)
    if (auto contender = parse_contender(name)) found.push_back(std::move(*contender));
  std::sort(found.begin(), found.end(), [origin](const Contender& a, const Contender& b) {
    return sequence_distance(origin, a.sequence) < sequence_distance(origin, b.sequence);
  });
  return found;
}

Turn turn_of(const std::string& mine, const std::vector<std::string>& children, int limit) {
  const auto me = parse_contender(mine);
  if (!me || std::find(children.begin(), children.end(), mine) == children.end()) return {Turn::Kind::gone};
  auto before = in_order(children, me->sequence);
  std::erase_if(before, [&](const Contender& c) { return sequence_distance(me->sequence, c.sequence) >= 0; });
  const std::size_t position = before.size();

  const auto other = std::find_if(before.begin(), before.end(), [&](const Contender& c) {
    return (c.kind == Kind::permit) != (me->kind == Kind::permit);
  });
  if (other != before.end()) return {Turn::Kind::conflict, other->name, position};

  if (me->kind == Kind::permit) {
    const auto most = static_cast<std::size_t>(limit);
    if (position < most) return {Turn::Kind::enter, {}, position};
    if (position == most) return {Turn::Kind::wait_first, before.back().name, position};
    return {Turn::Kind::wait_for, before.back().name, position};
  }
  const auto ahead = std::find_if(before.rbegin(), before.rend(),
                                  [&](const Contender& c) { return me->kind == Kind::write || c.kind == Kind::write; });
  if (ahead == before.rend()) return {Turn::Kind::enter, {}, position};
  return {Turn::Kind::wait_for, ahead->name, position};
}

std::vector<bool> inside(const std::vector<Contender>& in_order, int limit) {
  std::vector<bool> holds;
  bool writer = false;
  for (const auto& contender : in_order) {
    const std::size_t position = holds.size();
    switch (contender.kind) {
      case Kind::write:
        holds.push_back(position == 0);
        break;
      case Kind::read:
        holds.push_back(!writer);
        break;
      case Kind::permit:
        holds.push_back(position < static_cast<std::size_t>(limit));
        break;
    }
    writer = writer || contender.kind == Kind::write;
  }
  return holds;
}

}  // namespace zk
