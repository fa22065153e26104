#include "store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "error.h"

using zk::Commit;
using zk::OutOfSpace;
using zk::Refused;
using zk::Store;
using zk::StoreFailed;
using zk::StoreOptions;
using zk::Transaction;
namespace fs = std::filesystem;

namespace {

using Entry = Transaction::Entry;
using Model = std::map<std::string, std::pair<std::string, std::int64_t>>;  // value and version

// A directory for a test, gone after it.
class Place {
 public:
  Place() {
    std::string name = fs::temp_directory_path() / "store-test-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Place() { fs::remove_all(path_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  fs::path at(const std::string& name) const { return path_ / name; }

  StoreOptions options(const std::string& name = "store") const {
    return {.directory = at(name), .register_id = "register-1", .member = "member-1"};
  }

  // Another directory with the same files.
  StoreOptions copy(const std::string& to, const std::string& from = "store") const {
    fs::remove_all(at(to));
    fs::copy(at(from), at(to));
    chmod(at(to).c_str(), 0700);
    return options(to);
  }

 private:
  fs::path path_;
};

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void put(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  chmod(file.c_str(), 0600);
}

std::set<std::string> names(const fs::path& directory) {
  std::set<std::string> all;
  for (const auto& entry : fs::directory_iterator(directory)) all.insert(entry.path().filename());
  return all;
}

Entry set(const std::string& key, const std::string& value) { return {key, value}; }
Entry unset(const std::string& key) { return {key, std::nullopt}; }

Commit commit(std::int64_t version, std::vector<Entry> changes, const std::string& transaction = "") {
  return {version, transaction.empty() ? "t-" + std::to_string(version) : transaction, std::move(changes)};
}

Store::Batch committing(std::int64_t version, std::vector<Entry> changes, const std::string& transaction = "") {
  return {.commits = {commit(version, std::move(changes), transaction)}, .aborted = {}, .prepared = {}};
}

Store::Batch preparing(const std::string& name, const Transaction& transaction) {
  return {.commits = {}, .aborted = {}, .prepared = {{name, transaction}}};
}

Store::Batch aborting(const std::string& name) { return {.commits = {}, .aborted = {name}, .prepared = {}}; }

Model content(const Store& store) {
  Model model;
  for (const auto& [key, value] : store.read_all().values) model[key] = {value.value, value.version};
  return model;
}

void note(Model& model, const Commit& commit) {
  for (const auto& [key, value] : commit.changes)
    if (value)
      model[key] = {*value, commit.version};
    else
      model.erase(key);
}

bool same(const Commit& one, const Commit& two) {
  return one.version == two.version && one.transaction == two.transaction && one.changes == two.changes;
}

// What is thrown for it, in words; empty if nothing is.
std::string refusal(const StoreOptions& options) {
  try {
    const Store store(options);
  } catch (const Refused& refused) {
    return refused.what();
  }
  return "";
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The size that files of this process may have, for a while.
class FileLimit {
 public:
  explicit FileLimit(std::uintmax_t bytes) {
    signal_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{static_cast<rlim_t>(bytes), before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_{};
  void (*signal_)(int) = nullptr;
};

const Transaction rich{.changes = {set("x", "1"), unset("y"), set("z", "")}, .conditions = {set("a", "0"), unset("b")}};
const Transaction poor{.changes = {unset("q")}, .conditions = {}};

// Some of everything: three commits, one of them of what was prepared, and two that are prepared.
Model fill(Store& store) {
  Model model;
  const auto write = [&](const Store::Batch& batch) {
    store.write(batch);
    for (const auto& done : batch.commits) note(model, done);
  };
  write({.commits = {commit(1, {set("a", "0"), set("y", "why")}), commit(2, {set("b", "b\0b"), unset("b")})},
         .aborted = {},
         .prepared = {{"rich", rich}, {"poor", poor}}});
  write(committing(3, rich.changes, "rich"));
  write(preparing("again", rich));
  return model;
}

// Makes a new log and a snapshot.
void renew(Store& store) { store.replace(store.image()); }

}  // namespace

TEST_CASE("what was written is read, at once and when the store is opened again") {
  const Place place;
  std::string id;
  Model model;
  {
    Store store(place.options());
    id = store.id();
    CHECK(store.version() == 0);
    CHECK(store.read_all().values.empty());
    CHECK(store.prepared().empty());
    CHECK(store.since(0)->empty());
    store.write({});
    CHECK(store.version() == 0);
    model = fill(store);
    CHECK(content(store) == model);
  }
  CHECK(id.size() == 32);
  for (int i = 0; i < 2; ++i) {
    const Store store(place.options());
    CHECK(store.id() == id);
    CHECK(store.dropped() == 0);
    CHECK(store.version() == 3);
    CHECK(content(store) == model);
    CHECK(store.value("x") == "1");
    CHECK(store.value("z") == "");
    CHECK(!store.value("y"));
    const auto view = store.read({"x", "y", "a", "nothing"});
    CHECK(view.version == 3);
    CHECK(view.values.size() == 2);
    CHECK(view.values.at("x").version == 3);
    CHECK(view.values.at("a").value == "0");
    CHECK(view.values.at("a").version == 1);
    CHECK(store.prepared() == std::map<std::string, Transaction>{{"again", rich}, {"poor", poor}});
    const auto commits = store.since(1);
    REQUIRE(commits);
    REQUIRE(commits->size() == 2);
    CHECK(same(commits->at(1), commit(3, rich.changes, "rich")));
  }
  CHECK(Store(place.options("other")).id() != id);
}

TEST_CASE("any bytes are a key, a value, a name; and a large batch is one write") {
  const Place place;
  const std::string odd("\0\xff\n", 3), large(300'000, 'v');
  Store::Batch batch;
  Model model;
  for (int i = 1; i <= 50; ++i) {
    batch.commits.push_back(commit(i, {set(odd + std::to_string(i), i % 10 == 0 ? large : odd)}, odd));
    note(model, batch.commits.back());
  }
  batch.prepared = {{odd, {.changes = {set(odd, large)}, .conditions = {}}}};
  Store(place.options()).write(batch);
  const Store store(place.options());
  CHECK(content(store) == model);
  CHECK(store.prepared().at(odd).changes[0].value == large);
  CHECK(store.since(49)->at(0).transaction == odd);
}

TEST_CASE("what is prepared stays until it is committed or aborted, and is not written twice") {
  const Place place;
  const Transaction large{.changes = {set("k", std::string(10'000, 'v'))}, .conditions = {}};
  const auto size = [&] { return fs::file_size(place.at("store") / "log-0"); };
  {
    Store store(place.options());
    store.write({.commits = {},
                 .aborted = {},
                 .prepared = {{"one", large}, {"two", large}, {"three", large}, {"four", large}}});
    const auto before = size();
    CHECK(before > 40'000);
    store.write(committing(1, large.changes, "one"));
    store.write(aborting("two"));
    store.write(aborting("never heard of"));
    CHECK(size() < before + 500);
    store.write(committing(2, {set("k", "other")}, "three"));  // not what was prepared: as it was committed
    // Twice the same: the second is not prepared any more.
    store.write({.commits = {commit(3, large.changes, "four"), commit(4, large.changes, "four")},
                 .aborted = {},
                 .prepared = {{"five", poor}}});
    CHECK(store.prepared() == std::map<std::string, Transaction>{{"five", poor}});
  }
  const Store store(place.options());
  CHECK(store.prepared() == std::map<std::string, Transaction>{{"five", poor}});
  CHECK(store.version() == 4);
  CHECK(store.since(0)->at(0).changes == large.changes);
  CHECK(store.since(0)->at(1).changes == std::vector<Entry>{set("k", "other")});
  CHECK(store.since(0)->at(3).changes == large.changes);
}

TEST_CASE("commits follow each other, or nothing is done") {
  const Place place;
  Store store(place.options());
  store.write(committing(1, {set("a", "1")}));
  const auto before = content(place.at("store") / "log-0");
  for (const std::int64_t wrong : {-1, 0, 1, 3}) CHECK_THROWS_AS(store.write(committing(wrong, {})), std::logic_error);
  CHECK_THROWS_AS(
      store.write({.commits = {commit(2, {set("a", "2")}), commit(4, {})}, .aborted = {}, .prepared = {{"p", poor}}}),
      std::logic_error);
  CHECK(content(place.at("store") / "log-0") == before);
  CHECK(store.value("a") == "1");
  CHECK(store.prepared().empty());
  store.write(committing(2, {set("a", "2")}));
  CHECK(store.value("a") == "2");
}

TEST_CASE("a record that was not written to its end is dropped, wherever it ends, and what was before it stays") {
  const Place place;
  const fs::path log = place.at("store") / "log-0";
  Model model;
  std::uintmax_t before = 0;
  {
    Store store(place.options());
    model = fill(store);
    before = fs::file_size(log);
    store.write(committing(4, {set("last", "value")}));
  }
  const std::string whole = content(log);
  REQUIRE(whole.size() > before + 12);
  for (std::size_t size = before; size < whole.size(); ++size) {
    INFO("the log ends at byte ", size);
    // As it is, and as a file system leaves it that knew the new size and had not got the bytes.
    for (const std::size_t zeros :
         size == before ? std::vector<std::size_t>{0, 1, 12, 5000} : std::vector<std::size_t>{0}) {
      const auto options = place.copy("torn");
      put(place.at("torn") / "log-0", whole.substr(0, size) + std::string(zeros, '\0'));
      {
        Store store(options);
        CHECK(store.dropped() == size - before + zeros);
        CHECK(store.version() == 3);
        CHECK(content(store) == model);
        CHECK(store.prepared().size() == 2);
        CHECK(fs::file_size(place.at("torn") / "log-0") == before);
        store.write(committing(4, {set("last", "another")}));
      }
      const Store store(options);
      CHECK(store.dropped() == 0);
      CHECK(store.version() == 4);
      CHECK(store.value("last") == "another");
    }
  }
}

TEST_CASE("what a snapshot was made after is not dropped as torn") {
  const Place place;
  const auto options = place.options();
  {
    Store store(options);
    fill(store);
    renew(store);
    store.write(committing(4, {}));
  }
  const fs::path directory = place.at("store");
  REQUIRE(names(directory).contains("snapshot-1"));
  const std::string log = content(directory / "log-1"), snapshot = content(directory / "snapshot-1");
  std::size_t accepted = 0;
  for (std::size_t size = 0; size <= log.size(); ++size) {
    put(directory / "log-1", log.substr(0, size));
    const auto why = refusal(options);
    if (why.empty())
      ++accepted;
    else
      CHECK(says(why, "log-1 is damaged at byte "));
  }
  // Only the last record of it, commit 4, came after the snapshot: 12 and 1 + 8 + 4 + 3 + 1 + 4 bytes.
  CHECK(accepted == 12 + 21 + 1);
  put(directory / "log-1", log);
  for (std::size_t size = 0; size < snapshot.size(); ++size) {
    put(directory / "snapshot-1", snapshot.substr(0, size));
    CHECK(says(refusal(options), "snapshot-1 is damaged at byte "));
  }
  for (const std::string& more :
       {std::string(1, '\0'), std::string("x"), std::string(12, '\0'), std::string(50, 'x')}) {
    put(directory / "snapshot-1", snapshot + more);
    CHECK(says(refusal(options), "snapshot-1 is damaged at byte " + std::to_string(snapshot.size())));
  }
  put(directory / "snapshot-1", snapshot);
  CHECK(refusal(options) == "");
}

TEST_CASE("a bit that is not what it was is told, wherever it is, and nothing is changed") {
  const Place place;
  const auto options = place.options();
  {
    Store store(options);
    fill(store);
  }
  SUBCASE("without a snapshot") {}
  SUBCASE("with one") {
    Store store(options);
    renew(store);
    store.write(committing(4, {set("more", "value")}));
    store.write(aborting("poor"));
  }
  const Model model = content(Store(options));
  std::size_t flipped = 0;
  for (const auto& name : names(place.at("store"))) {
    if (name == "lock") continue;
    const fs::path file = place.at("store") / name;
    const std::string good = content(file);
    const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    for (std::size_t at = 0; at < good.size(); ++at, ++flipped) {
      const char bad = static_cast<char>(good[at] ^ 1 << at % 8);
      REQUIRE(pwrite(fd, &bad, 1, static_cast<off_t>(at)) == 1);
      const std::string why = refusal(options);
      INFO(name, " at ", at, ": ", why);
      CHECK(says(why, name + " is damaged at byte "));
      CHECK(says(why, "remove it and let the replica start anew"));
      REQUIRE(pwrite(fd, &good[at], 1, static_cast<off_t>(at)) == 1);
    }
    close(fd);
    CHECK(content(file) == good);
  }
  CHECK(flipped > 400);
  CHECK(content(Store(options)) == model);
}

TEST_CASE("records that are whole but make no sense together are told") {
  const Place place;
  const fs::path log = place.at("store") / "log-0";
  std::vector<std::string> records;
  {
    Store store(place.options());
    std::size_t end = 0;
    const auto cut = [&] {
      records.push_back(content(log).substr(end));
      end += records.back().size();
    };
    cut();
    store.write(committing(1, {set("a", "1")}));
    cut();
    store.write(preparing("p", poor));
    cut();
    store.write(committing(2, poor.changes, "p"));
    cut();
  }
  const auto refused = [&](const std::vector<std::size_t>& order) {
    std::string all;
    for (const auto record : order) all += records[record];
    put(log, all);
    return refusal(place.options());
  };
  CHECK(refused({0, 1, 2, 3}) == "");
  CHECK(says(refused({0, 1, 3}), "a transaction was committed that was not prepared"));
  CHECK(says(refused({0, 2, 3}), "commit 2 follows commit 0"));
  CHECK(says(refused({0, 1, 1}), "commit 1 follows commit 1"));
  CHECK(says(refused({0, 0}), "unknown kind"));
  CHECK(says(refused({1}), "does not begin as it should"));
  CHECK(says(refused({}), "beginning is missing"));
  put(log, records[0] + std::string(12, '\0') + records[1]);  // zeros, and then no end
  CHECK(says(refusal(place.options()), "log-0 is damaged at byte " + std::to_string(records[0].size())));
}

TEST_CASE("the log is made anew again and again, and nothing is lost by it") {
  const Place place;
  auto options = place.options();
  options.compact_after = 300;
  std::mt19937 random(1);
  const auto below = [&](unsigned limit) { return static_cast<unsigned>(random() % limit); };
  Model model;
  std::map<std::string, Transaction> prepared;
  std::vector<Commit> all;
  auto store = std::make_unique<Store>(options);
  const std::string id = store->id();
  int reopened = 0;
  std::size_t largest = 0;
  for (int i = 0; i < 600; ++i) {
    Store::Batch batch;
    for (unsigned j = below(4); j > 0; --j) {
      const auto version = static_cast<std::int64_t>(all.size()) + 1;
      Commit next = commit(version, {});
      if (!prepared.empty() && below(2) == 0) {
        next = {version, prepared.begin()->first, prepared.begin()->second.changes};
        prepared.erase(prepared.begin());
      } else {
        const std::string key = "k" + std::to_string(below(12));
        next.changes.push_back(below(4) == 0 ? unset(key) : set(key, std::to_string(random())));
      }
      note(model, next);
      all.push_back(next);
      batch.commits.push_back(next);
    }
    if (!prepared.empty() && below(4) == 0) {
      batch.aborted.push_back(prepared.begin()->first);
      prepared.erase(prepared.begin());
    }
    if (prepared.size() < 3) {
      const std::string name = "p" + std::to_string(random());
      prepared[name] = {.changes = {set("k1", name)}, .conditions = {unset(name)}};
      batch.prepared.emplace_back(name, prepared[name]);
    }
    store->write(batch);
    const bool again = below(5) == 0;
    if (again) {
      store.reset();
      store = std::make_unique<Store>(options);
      ++reopened;
    }
    REQUIRE(content(*store) == model);
    REQUIRE(store->prepared() == prepared);
    REQUIRE(store->version() == static_cast<std::int64_t>(all.size()));
    REQUIRE(store->id() == id);
    const auto from = below(static_cast<unsigned>(all.size()) + 1);
    if (const auto commits = store->since(from)) {
      REQUIRE(commits->size() == all.size() - from);
      for (std::size_t j = 0; j < commits->size(); ++j) REQUIRE(same(commits->at(j), all[from + j]));
    } else {
      REQUIRE(reopened > 0);  // else all of them are in memory
    }
    const auto files = names(place.at("store"));
    REQUIRE(files.size() <= 3);
    for (const auto& name : files)
      largest = std::max(largest, static_cast<std::size_t>(fs::file_size(place.at("store") / name)));
  }
  CHECK(reopened > 50);
  CHECK(largest < 2500);
  CHECK(!names(place.at("store")).contains("log-0"));
}

TEST_CASE("the log may grow as large as the state before it is made anew") {
  const Place place;
  auto options = place.options();
  options.compact_after = 1;
  Store store(options);
  store.write(committing(1, {set("large", std::string(10'000, 'v'))}));
  store.write(committing(2, {set("a", "")}));
  REQUIRE(names(place.at("store")).contains("log-1"));
  for (int i = 3; i < 200; ++i) store.write(committing(i, {set("a", "")}));
  CHECK(names(place.at("store")).contains("log-1"));
  for (int i = 200; i < 300; ++i) store.write(committing(i, {set("a", "")}));
  CHECK(names(place.at("store")).contains("log-2"));
}

TEST_CASE("a crash at any point of making the log anew leaves a store that opens") {
  const Place place;
  const auto options = place.options();
  Model model;
  {
    Store store(options);
    model = fill(store);
  }
  std::uint64_t generation = 0;
  SUBCASE("of the first log") {}
  SUBCASE("of a later one") {
    Store store(options);
    renew(store);
    store.write(committing(4, {set("new", "value")}));
    note(model, commit(4, {set("new", "value")}));
    generation = 1;
  }
  const auto version = Store(options).version();
  const auto prepared = Store(options).prepared();
  {
    Store store(place.copy("next"));
    renew(store);
  }
  const std::string old_log = "log-" + std::to_string(generation), log = "log-" + std::to_string(generation + 1);
  const std::string old_snapshot = "snapshot-" + std::to_string(generation),
                    snapshot = "snapshot-" + std::to_string(generation + 1);
  REQUIRE(names(place.at("next")) == std::set<std::string>{"lock", log, snapshot});
  const std::string log_began = content(place.at("next") / log);
  const std::string whole_snapshot = content(place.at("next") / snapshot);

  const auto expect = [&](const std::string& what, const std::set<std::string>& left) {
    INFO(what);
    {
      Store store(place.options("crash"));
      CHECK(store.version() == version);
      CHECK(content(store) == model);
      CHECK(store.prepared() == prepared);
      CHECK(store.dropped() == 0);
      CHECK(names(place.at("crash")) == left);
      store.write(committing(version + 1, {set("further", "on")}));
    }
    Store store(place.options("crash"));
    CHECK(store.value("further") == "on");
    renew(store);
    store.write(committing(version + 2, {set("and", "on")}));
    CHECK(content(store).size() == model.size() + 2);
    CHECK(store.prepared() == prepared);
  };
  const auto old_names = names(place.at("store"));
  const std::set<std::string> new_names{"lock", log, snapshot};
  for (std::size_t size = 0; size <= log_began.size(); ++size) {
    place.copy("crash");
    put(place.at("crash") / log, log_began.substr(0, size));
    expect("the new log has " + std::to_string(size) + " bytes", old_names);
  }
  for (std::size_t size = 0; size <= whole_snapshot.size(); size += 7) {
    place.copy("crash");
    put(place.at("crash") / log, log_began);
    put(place.at("crash") / "snapshot.new", whole_snapshot.substr(0, size));
    expect("the new snapshot has " + std::to_string(size) + " bytes", old_names);
  }
  place.copy("crash");
  put(place.at("crash") / log, log_began);
  put(place.at("crash") / snapshot, whole_snapshot);
  expect("the new snapshot has its name", new_names);
  for (const auto& removed : {old_log, old_snapshot}) {
    place.copy("crash");
    put(place.at("crash") / log, log_began);
    put(place.at("crash") / snapshot, whole_snapshot);
    fs::remove(place.at("crash") / removed);
    expect(removed + " is removed", new_names);
  }
}

TEST_CASE("a crash while the store is made leaves a directory that is as good as empty") {
  const Place place;
  Store(place.options()).write(committing(1, {}));
  const std::string log = content(place.at("store") / "log-0");
  for (const std::size_t size : {std::size_t{0}, std::size_t{20}, log.size()}) {
    const auto options = place.options("crash");
    fs::remove_all(place.at("crash"));
    mkdir(place.at("crash").c_str(), 0700);
    put(place.at("crash") / "lock", "");
    put(place.at("crash") / "log.new", log.substr(0, size));
    const Store store(options);
    CHECK(store.version() == 0);
    CHECK(names(place.at("crash")) == std::set<std::string>{"lock", "log-0"});
  }
}

TEST_CASE("files that are missing, or too many, are told") {
  const Place place;
  const auto options = place.options();
  {
    Store store(options);
    fill(store);
    renew(store);
    renew(store);
  }
  const fs::path directory = place.at("store"), other = place.at("other");
  REQUIRE(names(directory) == std::set<std::string>{"lock", "log-2", "snapshot-2"});
  const auto tried = [&] { return refusal(place.options("other")); };
  place.copy("other");
  fs::remove(other / "log-2");
  CHECK(says(tried(), "has no log-2"));
  place.copy("other");
  fs::remove(other / "snapshot-2");
  CHECK(says(tried(), "has no snapshot and no log-0"));
  place.copy("other");
  put(other / "log-4", "");
  CHECK(says(tried(), "has a log-4 and no snapshot-4"));
  // Of another generation, under the name of this one.
  place.copy("other");
  fs::rename(other / "log-2", other / "log-3");
  fs::rename(other / "snapshot-2", other / "snapshot-3");
  CHECK(says(tried(), "snapshot-3 is damaged at byte 0: it does not belong to the other files"));
  // Of another store of the same member.
  {
    Store store(place.options("second"));
    fill(store);
    renew(store);
    renew(store);
  }
  place.copy("other");
  put(other / "log-2", content(place.at("second") / "log-2"));
  CHECK(says(tried(), "log-2 is damaged at byte 0: it does not belong to the other files"));
  CHECK(names(other) == names(directory));
}

TEST_CASE("the state of one replica becomes that of another, and what that one has promised stays") {
  const Place place;
  Store from(place.options("from"));
  const Model model = fill(from);
  const std::string image = from.image();
  auto options = place.options("to");
  options.member = "member-2";
  options.compact_after = 200;
  std::string id;
  const auto holds = [&](const Store& store) {
    CHECK(store.id() == id);
    CHECK(store.version() == 3);
    CHECK(content(store) == model);
    CHECK(store.prepared() == std::map<std::string, Transaction>{{"mine", poor}});
    CHECK(store.since(3)->empty());
    CHECK(!store.since(2));
  };
  {
    Store to(options);
    id = to.id();
    to.write(committing(1, {set("old", "value")}));
    to.write(preparing("mine", poor));
    const auto before = content(to);
    const auto files = names(place.at("to"));
    for (std::size_t at = 0; at < image.size(); ++at) {
      std::string bad = image;
      bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
      INFO("byte ", at);
      CHECK_THROWS_AS(to.replace(bad), Refused);
      CHECK_THROWS_AS(to.replace(image.substr(0, at)), Refused);
    }
    CHECK_THROWS_AS(to.replace(image + "x"), Refused);
    CHECK_THROWS_AS(to.replace(content(place.at("to") / "log-0")), Refused);
    auto strange = place.options("strange");
    strange.register_id = "register-2";
    Store other(strange);
    other.write({.commits = {commit(1, {}), commit(2, {}), commit(3, {})}, .aborted = {}, .prepared = {}});
    CHECK_THROWS_WITH_AS(to.replace(other.image()), doctest::Contains("register-2"), Refused);
    CHECK(content(to) == before);
    CHECK(to.version() == 1);
    CHECK(to.since(0)->size() == 1);
    CHECK(names(place.at("to")) == files);
    to.replace(image);
    holds(to);
    CHECK_THROWS_WITH_AS(to.replace(Store(place.options("empty")).image()), doctest::Contains("older than ours"),
                         Refused);
    to.replace(image);
    holds(to);
  }
  {
    Store to(options);
    holds(to);
    to.write(committing(4, {set("further", "on")}));
    to.write(committing(5, poor.changes, "mine"));
    CHECK(to.since(3)->size() == 2);
    CHECK(to.prepared().empty());
  }
  const Store to(options);
  CHECK(to.version() == 5);
  CHECK(to.value("further") == "on");
}

TEST_CASE("many keys, in more than one block, are in a snapshot and in an image") {
  const Place place;
  const auto options = place.options();
  Model model;
  {
    Store store(options);
    for (int i = 1; i <= 3; ++i) {
      auto batch = committing(i, {});
      for (int j = 0; j < 3000; ++j)
        batch.commits[0].changes.push_back(set("key-" + std::to_string(i * 1000 + j), std::string(j % 100, 'v')));
      note(model, batch.commits[0]);
      store.write(batch);
    }
    Store other(place.options("other"));
    other.replace(store.image());
    CHECK(content(other) == model);
    CHECK(other.version() == 3);
    renew(store);
  }
  REQUIRE(fs::file_size(place.at("store") / "snapshot-1") > 200'000);
  CHECK(content(Store(options)) == model);
}

TEST_CASE("commits are known one by one as far back as there is room for them") {
  const Place place;
  SUBCASE("ten thousand") {
    Store::Batch batch;
    for (int i = 1; i <= 10'005; ++i) batch.commits.push_back(commit(i, {set("k", std::to_string(i))}));
    Store store(place.options());
    store.write(batch);
    const auto check = [](const Store& known) {
      CHECK(!known.since(-1));
      CHECK(!known.since(0));
      CHECK(!known.since(4));
      REQUIRE(known.since(5));
      CHECK(known.since(5)->size() == 10'000);
      CHECK(known.since(5)->front().version == 6);
      CHECK(known.since(10'004)->size() == 1);
      CHECK(known.since(10'005)->empty());
      CHECK(known.since(20'000)->empty());
    };
    check(store);
    check(Store(place.copy("again")));
  }
  SUBCASE("16 MiB") {
    Store store(place.options());
    for (int i = 1; i <= 20; ++i) store.write(committing(i, {set("k", std::string(1 << 20, 'v'))}));
    CHECK(!store.since(4));
    CHECK(store.since(5)->size() == 15);
    store.write(committing(21, {set("k", std::string(17 << 20, 'v'))}));
    CHECK(!store.since(20));
    CHECK(store.since(21)->empty());
  }
}

TEST_CASE("a directory is open once") {
  const Place place;
  {
    Store store(place.options());
    CHECK(says(refusal(place.options()), "is in use by another process"));
    store.write(committing(1, {}));
  }
  CHECK(refusal(place.options()) == "");
}

TEST_CASE("the directory is made for us alone, and so are its files, whatever the umask is") {
  const Place place;
  for (const mode_t mask : {mode_t{0}, mode_t{0277}}) {
    const mode_t before = umask(mask);
    auto options = place.options("umask-" + std::to_string(mask));
    options.compact_after = 0;
    Store store(options);
    store.write(committing(1, {}));
    store.write(committing(2, {}));
    umask(before);
    CHECK(fs::status(options.directory).permissions() == fs::perms{0700});
    for (const auto& entry : fs::directory_iterator(options.directory))
      if (entry.path().filename() != "lock") CHECK(entry.status().permissions() == fs::perms{0600});
  }
}

TEST_CASE("a directory that is not ours alone, or not a store's, is refused and left as it is") {
  const Place place;
  Store(place.options()).write(committing(1, {}));
  const auto tried = [&](const std::string& name) { return refusal(place.options(name)); };

  CHECK(says(tried("missing/store"), "the directory that it should be in is missing"));
  put(place.at("file"), "");
  CHECK(says(tried("file"), "is not a directory"));
  fs::create_directory_symlink(place.at("store"), place.at("link"));
  CHECK(says(tried("link"), "is a symbolic link"));
  CHECK(says(tried("link//"), "is a symbolic link"));
  CHECK(tried("store/") == "");
  for (const mode_t mode : {0701, 0710, 0704, 0770, 0777}) {
    chmod(place.at("store").c_str(), mode);
    CHECK(says(tried("store"), "chmod 700 it"));
  }
  chmod(place.at("store").c_str(), 0700);

  fs::create_directory(place.at("foreign"));
  chmod(place.at("foreign").c_str(), 0700);
  for (const char* name : {"precious", "log-00", "log-", "log-x", "log-1x", "snapshot", "log-99999999999999999999"}) {
    put(place.at("foreign") / name, "text");
    CHECK(says(tried("foreign"), "holds other files (" + std::string(name) + ") and no store"));
    CHECK(names(place.at("foreign")) == std::set<std::string>{name});
    fs::remove(place.at("foreign") / name);
  }
  CHECK(tried("foreign") == "");

  auto other = place.options();
  other.register_id = "register-2";
  CHECK(says(refusal(other),
             "belongs to member member-1 of register register-1, not to member member-1 of register register-2"));
  other = place.options();
  other.member = "member-2";
  CHECK(says(refusal(other), "not to member member-2 of register register-1"));
  CHECK(tried("store") == "");
}

TEST_CASE("files that are not ours alone, or no files, are refused") {
  const Place place;
  {
    Store store(place.options());
    fill(store);
    renew(store);
    renew(store);
  }
  const fs::path other = place.at("other");
  for (const char* name : {"lock", "log-2", "snapshot-2", "log.new", "log-3", "snapshot-1"}) {
    INFO(name);
    place.copy("other");
    const auto tried = [&] { return refusal(place.options("other")); };
    if (!fs::exists(other / name)) put(other / name, "");
    for (const mode_t mode : {0601, 0640, 0622}) {
      chmod((other / name).c_str(), mode);
      CHECK(says(tried(), std::string(name) + " is open to other users; chmod 600 it"));
    }
    fs::rename(other / name, place.at("elsewhere"));
    fs::create_symlink(place.at("elsewhere"), other / name);
    CHECK(says(tried(), std::string(name) + " is a symbolic link"));
    fs::remove(other / name);
    fs::create_symlink("nowhere", other / name);
    CHECK(says(tried(), std::string(name) + " is a symbolic link"));
    fs::remove(other / name);
    mkfifo((other / name).c_str(), 0600);
    CHECK(says(tried(), "or no file at all"));
  }
  if (geteuid() == 0) {
    place.copy("other");
    CHECK(chown((other / "log-2").c_str(), 1, 1) == 0);
    CHECK(says(refusal(place.options("other")), "log-2 belongs to another user"));
    CHECK(chown(other.c_str(), 1, 1) == 0);
    CHECK(says(refusal(place.options("other")), "belongs to another user; name another one"));
  }
}

TEST_CASE("files of others in a store's directory are left alone") {
  const Place place;
  Store(place.options()).write(committing(1, {}));
  put(place.at("store") / "notes.txt", "text");
  CHECK(Store(place.options()).version() == 1);
  CHECK(content(place.at("store") / "notes.txt") == "text");
}

TEST_CASE("when the disk is full, nothing of a batch is kept, and it goes on when there is room") {
  const Place place;
  const fs::path log = place.at("store") / "log-0";
  Model model;
  {
    Store store(place.options());
    model = fill(store);
    const auto before = content(log);
    auto batch = committing(4, {set("large", std::string(10'000, 'v'))});
    batch.commits.push_back(commit(5, {set("small", "s")}));
    batch.aborted = {"poor"};
    for (const std::uintmax_t room : {0, 1, 12, 30, 9000, 10'050}) {
      {
        const FileLimit limit(before.size() + room);
        CHECK_THROWS_AS(store.write(batch), OutOfSpace);
      }
      CHECK(content(log) == before);
      CHECK(content(store) == model);
      CHECK(store.version() == 3);
      CHECK(store.prepared().size() == 2);
      const Store other(place.copy("other"));
      CHECK(other.dropped() == 0);
      CHECK(content(other) == model);
    }
    {
      const FileLimit limit(before.size() + 200);
      store.write(committing(4, {set("fits", "in")}));
    }
    store.write(committing(5, {set("large", std::string(10'000, 'v'))}));
  }
  const Store store(place.options());
  CHECK(store.version() == 5);
  CHECK(store.value("fits") == "in");
  CHECK(store.value("large")->size() == 10'000);
}

TEST_CASE("when there is no room to make the log anew, that is told, and it grows on until there is") {
  const Place place;
  std::vector<std::string> troubles;
  auto options = place.options();
  options.compact_after = 2000;
  options.trouble = [&](const std::string& trouble) { troubles.push_back(trouble); };
  const auto files = [&] { return names(place.at("store")); };
  std::int64_t version = 0;
  {
    Store store(options);
    const auto write = [&](std::size_t size) {
      ++version;
      store.write(committing(version, {set("k" + std::to_string(version), std::string(size, 'v'))}));
    };
    write(10'000);
    write(100);
    REQUIRE(files() == std::set<std::string>{"lock", "log-1", "snapshot-1"});
    while (fs::file_size(place.at("store") / "log-1") < 10'200) write(100);
    {
      const FileLimit limit(15'000);
      write(100);
      CHECK(troubles.size() == 1);
      for (int i = 0; i < 10; ++i) write(100);
      CHECK(troubles.size() == 1);
      CHECK_THROWS_AS(store.replace(store.image()), OutOfSpace);
      CHECK(files() == std::set<std::string>{"lock", "log-1", "snapshot-1"});
    }
    while (fs::file_size(place.at("store") / "log-1") < 20'000) write(100);
    CHECK(files() == std::set<std::string>{"lock", "log-1", "snapshot-1"});  // not at once again
    for (int i = 0; i < 20; ++i) write(100);
    CHECK(files() == std::set<std::string>{"lock", "log-2", "snapshot-2"});
    CHECK(troubles.size() == 1);
    CHECK(says(troubles.at(0), "snapshot.new cannot be written"));
  }
  const Store store(options);
  CHECK(store.version() == version);
  CHECK(store.read_all().values.size() == static_cast<std::size_t>(version));
}

TEST_CASE("after a failure that leaves in doubt what is on disk, nothing more is written") {
  const Place place;
  const fs::path log = place.at("store") / "log-0";
  Store store(place.options());
  store.write(committing(1, {set("a", "1")}));
  const std::string image = store.image();
  SUBCASE("somebody else writes to the log") { put(log, content(log) + "x"); }
  SUBCASE("the log is removed") { fs::remove(log); }
  CHECK_THROWS_AS(store.write(committing(2, {set("a", "2")})), StoreFailed);
  CHECK(store.value("a") == "1");
  put(log, content(log).substr(0, content(log).size() - 1));  // not even if that is over
  CHECK_THROWS_AS(store.write(committing(2, {set("a", "2")})), StoreFailed);
  CHECK_THROWS_AS(store.replace(image), StoreFailed);
  CHECK(store.version() == 1);
}

TEST_CASE("many read while one writes, and each sees one moment") {
  const Place place;
  auto options = place.options();
  options.compact_after = 2000;
  Store store(options);
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0, reads = 0;
  const auto look = [&] {
    std::int64_t last = 0;
    while (!over) {
      const auto view = store.read({"a", "b", "c"});
      const auto expected = std::to_string(view.version);
      if (view.version < last) ++wrong;
      if (view.version > 0 && (view.values.at("a").value != expected || view.values.at("b").value != expected)) ++wrong;
      last = view.version;
      if (store.read_all().version < last || store.version() < last || !store.value("a").has_value()) ++wrong;
      const auto commits = store.since(last);
      if (commits && !commits->empty() && commits->front().version != last + 1) ++wrong;
      if (store.prepared().size() > 1 || store.image().empty()) ++wrong;
      ++reads;
    }
  };
  store.write(committing(1, {set("a", "1"), set("b", "1")}));
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back(look);
  for (int i = 2; i < 300; ++i) {
    const std::string text = std::to_string(i);
    const std::vector<Entry> changes{set("a", text), set("b", text)};
    store.write(preparing("p", {.changes = changes, .conditions = {}}));
    store.write(committing(i, changes, "p"));
    if (i % 50 == 0) store.replace(store.image());
  }
  over = true;
  for (auto& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(reads > 10);
}
