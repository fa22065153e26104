#include "tree_text.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "identity.h"
#include "path.h"
#include "text.h"

namespace zk {

namespace {

std::string hexadecimal(std::int64_t number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
  return text.data();
}

std::string more(std::size_t count) { return "… " + std::to_string(count) + " more"; }

// How many rows the descendants of a node take if every node shows `most` children.
std::size_t rows_below(const Branch& branch, std::size_t most, std::size_t enough) {
  const bool folds = branch.left_out > 0 || branch.children.size() > most;
  std::size_t sum = folds ? 1 : 0, shown = 0;
  for (const auto& [name, child] : branch.children) {
    if (shown++ == most || sum > enough) break;
    sum += 1 + rows_below(child, most, enough);
  }
  return sum;
}

std::size_t widest(const Branch& branch) {
  std::size_t most = branch.children.size();
  for (const auto& [name, child] : branch.children) most = std::max(most, widest(child));
  return most;
}

// The greatest number of children for each node with which all fits. Which children are shown matters little for that.
std::size_t children_that_fit(const Branch& root, std::size_t most_rows) {
  std::size_t fits = 1, too_many = widest(root) + 1;
  while (too_many - fits > 1) {
    const std::size_t middle = fits + (too_many - fits) / 2;
    (1 + rows_below(root, middle, most_rows) <= most_rows ? fits : too_many) = middle;
  }
  return fits;
}

class Writer {
 public:
  explicit Writer(const Layout& layout) : layout_(layout) {}

  std::vector<Row> write(const Branch& root, const std::string& path) {
    most_children_ = children_that_fit(root, layout_.most_rows);
    add(root, path, printable(path, path.size()), "", "");
    if (layout_.most_rows == 0) return {};
    if (rows_.size() > layout_.most_rows) {
      const std::size_t over = rows_.size() - layout_.most_rows + 1;
      rows_.resize(layout_.most_rows - 1);
      rows_.push_back({"", "… " + std::to_string(over) + " lines more", ""});
    }
    return std::move(rows_);
  }

 private:
  Mark mark(const std::string& path) const { return layout_.mark ? layout_.mark(path) : Mark::none; }

  bool marked(const Branch& branch, const std::string& path) const {
    return mark(path) != Mark::none || std::ranges::any_of(branch.children, [&](const auto& child) {
             return marked(child.second, join(path, child.first));
           });
  }

  std::set<std::string> chosen(const Branch& branch, const std::string& path) const {
    std::set<std::string> names;
    const auto choose = [&](bool only_marked) {
      for (const auto& [name, child] : branch.children) {
        if (names.size() >= most_children_) return;
        if (!only_marked || marked(child, join(path, name))) names.insert(name);
      }
    };
    if (branch.children.size() > most_children_) choose(true);
    choose(false);
    return names;
  }

  // `here` leads to the node itself, `below` to what is below it.
  void add(const Branch& branch, const std::string& path, const std::string& name, const std::string& here,
           const std::string& below) {
    rows_.push_back({here, name, about(branch, layout_.preview), mark(path)});
    const auto shown = chosen(branch, path);
    const std::size_t hidden = branch.children.size() - shown.size() + branch.left_out;
    std::size_t left = shown.size();
    for (const auto& child : shown) {
      const bool last = --left == 0 && hidden == 0;
      add(branch.children.at(child), join(path, child), printable(child, child.size()), below + (last ? "└─ " : "├─ "),
          below + (last ? "   " : "│  "));
    }
    if (hidden > 0) rows_.push_back({below + "└─ ", more(hidden), ""});
  }

  const Layout& layout_;
  std::size_t most_children_ = 0;
  std::vector<Row> rows_;
};

}  // namespace

std::string about(const Branch& branch, std::size_t preview) {
  const auto& [data, stat] = branch.node;
  if (branch.code == Code::no_auth) return "(not authorised to read it)";
  if (branch.code == Code::bad_arguments) return "(its path is too long to be read)";
  const auto who = Identity::parse(data);
  std::string text;
  const auto say = [&text](const std::string& what) { text += (text.empty() ? "" : "  ") + what; };
  if (stat.owner != 0) say("ephemeral");
  if (who)
    say(who->shown());
  else if (!data.empty())
    say('"' + printable(data, preview) + '"');
  if (stat.owner != 0 && !who) say("of session " + hexadecimal(stat.owner));
  say("v" + std::to_string(stat.version));
  return text;
}

std::vector<Row> rows(const Branch& root, const std::string& path, const Layout& layout) {
  return Writer(layout).write(root, path);
}

}  // namespace zk
