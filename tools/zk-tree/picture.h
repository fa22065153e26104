// What zk-tree --follow knows and shows. Pure: it neither waits nor paints.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "change.h"
#include "clock.h"
#include "tree_text.h"
#include "walk.h"

class Picture {
 public:
  explicit Picture(std::string path) : path_(std::move(path)) { root_.code = zk::Code::no_node; }

  /// Marks stay for a moment after `now`.
  void take(const zk::Change& change, zk::Time now);

  /// Drops marks that are over, and the nodes that have vanished.
  void fade(zk::Time now);

  /// When fade will have something to do.
  zk::Time next_fading() const;

  /// `39 nodes`, `no such node`, and how many are left out.
  std::string summary() const;

  std::vector<zk::Row> rows(std::size_t most) const;

 private:
  struct Marked {
    zk::Mark mark;
    zk::Time end;
  };
  zk::Branch* find(const std::string& path);
  zk::Branch& place(const std::string& path);
  void mark(const std::string& path, zk::Mark mark, zk::Time now);

  std::string path_;
  zk::Branch root_;
  std::map<std::string, Marked> marks_;
};
