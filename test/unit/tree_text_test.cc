#include "tree_text.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using zk::about;
using zk::Branch;
using zk::Code;
using zk::Layout;
using zk::Mark;
using zk::rows;

Branch leaf(std::string data = "") {
  Branch branch;
  branch.node.data = std::move(data);
  return branch;
}

Branch folder(std::vector<std::pair<std::string, Branch>> children) {
  Branch branch;
  for (auto& [name, child] : children) branch.children[name] = std::move(child);
  return branch;
}

// With children 000, 001 and so on.
Branch wide(int count) {
  Branch branch;
  for (int i = 0; i < count; ++i) branch.children[std::to_string(1000 + i).substr(1)] = leaf();
  return branch;
}

std::vector<std::string> text(const Branch& root, const Layout& layout = {}, const std::string& path = "/r") {
  std::vector<std::string> lines;
  for (const auto& row : rows(root, path, layout)) lines.push_back(row.branches + row.name);
  return lines;
}

Layout at_most(std::size_t most_rows) { return {.most_rows = most_rows}; }

Layout marking(std::size_t most_rows, std::vector<std::string> marked, Mark mark = Mark::changed) {
  return {.most_rows = most_rows, .mark = [marked = std::move(marked), mark](const std::string& path) {
            return std::ranges::find(marked, path) == marked.end() ? Mark::none : mark;
          }};
}

using Lines = std::vector<std::string>;

}  // namespace

// --- what is said of one node ---

TEST_CASE("of a node without data its version is said, of others the data as well") {
  CHECK(about(leaf(), 60) == "v0");
  Branch branch = leaf("colour=blue");
  branch.node.stat.version = 7;
  CHECK(about(branch, 60) == "\"colour=blue\"  v7");
}

TEST_CASE("of data the beginning is shown, harmless") {
  CHECK(about(leaf("abcdef"), 4) == "\"abcd… (2 bytes more)\"  v0");
  CHECK(about(leaf("\033[2J\xc2\x9b\x9b\n\xe2\x80\xae"), 60) == "\"\\x1b[2J\\u{9b}\\x9b\\n\\u{202e}\"  v0");
}

TEST_CASE("of an ephemeral node it is said who made it, or else which session") {
  Branch branch = leaf(R"({"host":"web7","pid":4123,"label":"backup","since":"2026-01-01T00:00:00Z"})");
  branch.node.stat.owner = 0x1000abc;
  CHECK(about(branch, 60) == "ephemeral  web7:4123 (backup)  v0");
  branch.node.data = "text";
  CHECK(about(branch, 60) == "ephemeral  \"text\"  of session 0x1000abc  v0");
  branch.node.data = "";
  CHECK(about(branch, 60) == "ephemeral  of session 0x1000abc  v0");
  branch.node.stat.owner = -2;  // sessions of a server with a high number
  CHECK(about(branch, 60) == "ephemeral  of session 0xfffffffffffffffe  v0");
}

TEST_CASE("who made a node is shown without a label if there is none, and harmless") {
  CHECK(about(leaf(R"({"host":"web7","pid":4123})"), 60) == "web7:4123  v0");
  CHECK(about(leaf(R"({"host":"\u001b[2J","pid":1,"label":"a\nb"})"), 60) == "\\x1b[2J:1 (a\\nb)  v0");
}

TEST_CASE("of what cannot be read it is said why") {
  Branch branch = leaf("not this");
  branch.code = Code::no_auth;
  CHECK(about(branch, 60) == "(not authorised to read it)");
  branch.code = Code::bad_arguments;
  CHECK(about(branch, 60) == "(its path is too long to be read)");
}

// --- the tree ---

TEST_CASE("a tree is laid out with its whole path first, in order") {
  const Branch tree = folder({{"b", leaf()}, {"a", folder({{"x", folder({{"deep", leaf()}})}, {"y", leaf()}})}});
  CHECK(text(tree) == Lines{"/r", "├─ a", "│  ├─ x", "│  │  └─ deep", "│  └─ y", "└─ b"});
  CHECK(text(folder({{"a", leaf()}}), {}, "/") == Lines{"/", "└─ a"});
  CHECK(text(leaf()) == Lines{"/r"});
}

TEST_CASE("rows tell of each node what is said of it") {
  const auto all = rows(folder({{"a", leaf("one")}}), "/r", {});
  REQUIRE(all.size() == 2);
  CHECK(all[0].about == "v0");
  CHECK(all[1].about == "\"one\"  v0");
}

TEST_CASE("names and the path are harmless") {
  CHECK(text(folder({{"\xe2\x80\xae"
                      "gnp",
                      leaf()}}),
             {}, "/\xe2\x80\x8b") == Lines{"/\\u{200b}", "└─ \\u{202e}gnp"});
}

TEST_CASE("long names are not cut") {
  const std::string name(900, 'n');
  CHECK(text(folder({{name, leaf()}})) == Lines{"/r", "└─ " + name});
}

TEST_CASE("what was left out is said in the last row of the folder") {
  Branch tree = folder({{"a", leaf()}, {"b", leaf()}});
  tree.left_out = 3;
  tree.children["a"].left_out = 1;
  CHECK(text(tree) == Lines{"/r", "├─ a", "│  └─ … 1 more", "├─ b", "└─ … 3 more"});
}

// --- folding ---

TEST_CASE("what fits is not folded") {
  CHECK(text(wide(4), at_most(5)) == text(wide(4)));
  CHECK(text(wide(4), at_most(1000)) == text(wide(4)));
}

TEST_CASE("what does not fit is folded, and counted together with what was left out") {
  CHECK(text(wide(10), at_most(5)) == Lines{"/r", "├─ 000", "├─ 001", "├─ 002", "└─ … 7 more"});
  Branch tree = wide(10);
  tree.left_out = 90;
  CHECK(text(tree, at_most(5)) == Lines{"/r", "├─ 000", "├─ 001", "├─ 002", "└─ … 97 more"});
}

TEST_CASE("a large folder leaves room for the others") {
  const Branch tree = folder({{"large", wide(300)}, {"small", wide(1)}, {"z", leaf()}});
  CHECK(text(tree, at_most(9)) == Lines{"/r", "├─ large", "│  ├─ 000", "│  ├─ 001", "│  ├─ 002", "│  └─ … 297 more",
                                        "├─ small", "│  └─ 000", "└─ z"});
}

TEST_CASE("in a folded folder those with a mark are shown first, in order among the others") {
  CHECK(text(wide(300), marking(5, {"/r/250", "/r/100"})) ==
        Lines{"/r", "├─ 000", "├─ 100", "├─ 250", "└─ … 297 more"});
  CHECK(text(folder({{"f", wide(300)}, {"z", leaf()}}), marking(6, {"/r/f/299"})) ==
        Lines{"/r", "├─ f", "│  ├─ 000", "│  ├─ 299", "│  └─ … 298 more", "└─ z"});
}

TEST_CASE("more marks than there is room for: the first of them") {
  CHECK(text(wide(300), marking(4, {"/r/200", "/r/201", "/r/202"})) ==
        Lines{"/r", "├─ 200", "├─ 201", "└─ … 298 more"});
}

TEST_CASE("a folder is shown for a mark that is below it") {
  Branch tree = wide(300);
  tree.children["250"] = folder({{"deep", leaf()}});
  const auto lines = text(tree, marking(6, {"/r/250/deep"}));
  CHECK(std::ranges::count(lines, "├─ 250") == 1);
}

TEST_CASE("rows carry the mark of their node") {
  const auto all = rows(folder({{"a", leaf()}, {"b", leaf()}}), "/r", marking(10, {"/r", "/r/b"}, Mark::vanished));
  REQUIRE(all.size() == 3);
  CHECK(all[0].mark == Mark::vanished);
  CHECK(all[1].mark == Mark::none);
  CHECK(all[2].mark == Mark::vanished);
  const auto at_the_top = rows(folder({{"a", leaf()}}), "/", marking(10, {"/a"}, Mark::appeared));
  CHECK(at_the_top[1].mark == Mark::appeared);
}

TEST_CASE("what is too deep to fit is cut, and the rows that are missing counted") {
  const Branch tree = folder({{"a", folder({{"b", folder({{"c", folder({{"d", leaf()}})}})}})}});
  CHECK(text(tree, at_most(5)).size() == 5);
  CHECK(text(tree, at_most(3)) == Lines{"/r", "└─ a", "… 3 lines more"});
  CHECK(text(tree, at_most(1)) == Lines{"… 5 lines more"});
}

TEST_CASE("there are never more rows than there is room for") {
  CHECK(text(wide(3), at_most(0)).empty());
  CHECK(text(leaf(), at_most(0)).empty());
  std::mt19937 random(7);  // NOLINT: the same trees every time
  for (int round = 0; round < 50; ++round) {
    Branch tree;
    std::vector<Branch*> all{&tree};
    for (int i = 0; i < 40; ++i) {
      Branch& parent = *all[random() % all.size()];
      const std::string name = std::to_string(i);
      parent.left_out = random() % 4 == 0 ? 2 : 0;
      all.push_back(&parent.children[name]);
    }
    const std::size_t whole = text(tree).size();
    for (std::size_t most = 0; most <= whole + 1; ++most) {
      const auto lines = text(tree, at_most(most));
      CAPTURE(most);
      REQUIRE(lines.size() <= most);
      REQUIRE((most < whole || lines == text(tree)));
    }
  }
}
