#include "store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "error.h"
#include "random_id.h"
#include "text.h"

namespace zk {

namespace {

using Entries = std::vector<Transaction::Entry>;

constexpr std::string_view magic = "zkutils store";
constexpr std::uint32_t format = 1;
constexpr std::size_t frame_header_size = 12;
constexpr std::size_t block_size = 64 << 10;
constexpr std::size_t buffer_size = 256 << 10;
constexpr std::size_t most_recent = 10'000;
constexpr std::size_t most_recent_bytes = 16 << 20;

// The first byte of a payload.
constexpr char log_header = 'L', snapshot_header = 'S', image_header = 'I';
constexpr char commit_record = 'C', abort_record = 'A', prepared_record = 'P', values_block = 'V';
// Where the changes of a commit are.
constexpr char in_the_record = 0, in_the_prepared_one = 1;

constexpr const char* lock_name = "lock";
constexpr const char* new_log = "log.new";
constexpr const char* new_snapshot = "snapshot.new";

std::string log_name(std::uint64_t generation) { return "log-" + std::to_string(generation); }
std::string snapshot_name(std::uint64_t generation) { return "snapshot-" + std::to_string(generation); }

bool lacks_space(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

// They end by themselves, and nothing has been begun.
bool lacks_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

[[noreturn]] void disk_error(const std::string& what, int error) {
  const std::string text = what + ": " + std::strerror(error);
  if (lacks_space(error)) throw OutOfSpace(text + "; make room on the disk, or raise the quota or the limit");
  throw StoreFailed(text);
}

// --- The encoding: little-endian numbers, texts with their lengths, in frames with checksums.

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

class Writer {
 public:
  explicit Writer(std::string& bytes) : bytes_(bytes) {}

  void byte(char c) { bytes_ += c; }

  template <class Number>
  void number(Number number) {
    for (std::size_t i = 0; i < sizeof number; ++i)
      bytes_ += static_cast<char>(static_cast<std::uint64_t>(number) >> 8 * i & 0xff);
  }

  // That no text is too long for its length is seen by the frame around it.
  void text(std::string_view text) {
    number(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }

  void entries(const Entries& entries) {
    number(static_cast<std::uint32_t>(entries.size()));
    for (const auto& [key, value] : entries) {
      text(key);
      byte(value ? 1 : 0);
      if (value) text(*value);
    }
  }

 private:
  std::string& bytes_;
};

/// A payload says what none says, though its checksum is right.
class Malformed : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) throw Malformed("a record is shorter than what it says it holds");
    const auto taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  char byte() { return take(1)[0]; }

  template <class Number>
  Number number() {
    std::uint64_t number = 0;
    const auto bytes = take(sizeof(Number));
    for (std::size_t i = 0; i < bytes.size(); ++i)
      number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << 8 * i;
    return static_cast<Number>(number);
  }

  std::string_view view() { return take(number<std::uint32_t>()); }
  std::string text() { return std::string(view()); }

  bool flag() {
    const char c = byte();
    if (c != 0 && c != 1) throw Malformed("a record holds neither yes nor no where one of them must be");
    return c == 1;
  }

  Entries entries() {
    Entries entries;
    for (auto left = number<std::uint32_t>(); left > 0; --left) {
      Transaction::Entry entry{text(), {}};
      if (flag()) entry.value = text();
      entries.push_back(std::move(entry));
    }
    return entries;
  }

  bool done() const { return bytes_.empty(); }
  void finish() const {
    if (!done()) throw Malformed("a record is longer than what it holds");
  }

 private:
  std::string_view bytes_;
};

// Appends a frame with the payload that `fill` writes.
template <class Fill>
void append_frame(std::string& bytes, Fill fill) {
  const std::size_t start = bytes.size();
  bytes.append(frame_header_size, '\0');
  fill(Writer(bytes));
  const auto payload = std::string_view(bytes).substr(start + frame_header_size);
  if (payload.size() > std::numeric_limits<std::uint32_t>::max())
    throw std::length_error("more than 4 GiB cannot be stored as one record");
  std::string header;
  Writer writer(header);
  writer.number(static_cast<std::uint32_t>(payload.size()));
  writer.number(checksum(payload));
  writer.number(checksum(header));
  bytes.replace(start, frame_header_size, header);
}

// What is read from front to back.
class Source {
 public:
  explicit Source(std::size_t size) : left_(size) {}
  virtual ~Source() = default;
  std::size_t left() const { return left_; }
  void read(char* to, std::size_t size) {
    fetch(to, size);
    left_ -= size;
  }

 private:
  virtual void fetch(char* to, std::size_t size) = 0;
  std::size_t left_;
};

class TextSource : public Source {
 public:
  explicit TextSource(std::string_view text) : Source(text.size()), text_(text) {}

 private:
  void fetch(char* to, std::size_t size) override {
    text_.copy(to, size);
    text_.remove_prefix(size);
  }
  std::string_view text_;
};

class FileSource : public Source {
 public:
  FileSource(int fd, std::size_t size, std::string name) : Source(size), fd_(fd), name_(std::move(name)) {}

 private:
  void fetch(char* to, std::size_t size) override {
    while (size > 0) {
      if (used_ == filled_) refill();
      const std::size_t some = std::min(size, filled_ - used_);
      std::memcpy(to, buffer_.data() + used_, some);
      used_ += some;
      to += some;
      size -= some;
    }
  }

  void refill() {
    ssize_t size = 0;
    do size = ::read(fd_, buffer_.data(), buffer_.size());
    while (size < 0 && errno == EINTR);
    if (size < 0) disk_error(name_ + " cannot be read", errno);
    if (size == 0) throw StoreFailed(name_ + " became shorter while it was read");
    filled_ = static_cast<std::size_t>(size);
    used_ = 0;
  }

  int fd_;
  std::string name_;
  std::string buffer_ = std::string(buffer_size, '\0');
  std::size_t used_ = 0, filled_ = 0;
};

// The frames of a source, one after the other. `advice` is what follows the word that something is damaged.
class Frames {
 public:
  enum class Next { record, end, torn };

  Frames(Source& source, std::string name, std::string advice)
      : source_(source), size_(source.left()), name_(std::move(name)), advice_(std::move(advice)) {}

  // Torn: nothing but the beginning of a record, or zeros where it should have come, is left.
  Next next() {
    at_ = position();
    if (source_.left() == 0) return Next::end;
    if (source_.left() < frame_header_size) return Next::torn;
    char header[frame_header_size];
    source_.read(header, sizeof header);
    Reader reader({header, sizeof header});
    const auto size = reader.number<std::uint32_t>();
    const auto payload_checksum = reader.number<std::uint32_t>();
    if (reader.number<std::uint32_t>() != checksum({header, 8})) {
      if (zeros({header, sizeof header}) && only_zeros_left()) return Next::torn;
      damaged("the checksum of a record's header is wrong");
    }
    if (size > source_.left()) return Next::torn;
    payload_.resize(size);
    source_.read(payload_.data(), size);
    if (checksum(payload_) != payload_checksum) damaged("the checksum of a record is wrong");
    return Next::record;
  }

  const std::string& payload() const { return payload_; }
  const std::string& name() const { return name_; }
  std::size_t size() const { return size_; }
  std::size_t left() const { return source_.left(); }
  std::size_t at() const { return at_; }  // where the record begins
  std::size_t position() const { return size_ - source_.left(); }

  // What `work` makes of the payload.
  template <class Work>
  auto understood(Work work) const {
    try {
      return work();
    } catch (const Malformed& wrong) {
      damaged(wrong.what());
    }
  }

  [[noreturn]] void damaged(const std::string& why) const {
    throw Refused(name_ + " is damaged at byte " + std::to_string(at_) + ": " + why + ". " + advice_);
  }

 private:
  static bool zeros(std::string_view bytes) { return bytes.find_first_not_of('\0') == std::string_view::npos; }

  bool only_zeros_left() {
    char some[4096];
    while (source_.left() > 0) {
      const std::size_t size = std::min(sizeof some, source_.left());
      source_.read(some, size);
      if (!zeros({some, size})) return false;
    }
    return true;
  }

  Source& source_;
  std::size_t size_, at_ = 0;
  std::string name_, advice_, payload_;
};

// The first record of every file and of an image.
struct Header {
  char kind = 0;
  std::string register_id, member, store_id;
  std::uint64_t generation = 0;
  std::int64_t version = 0;     // of the register, where it begins
  std::uint64_t keys = 0;       // of a snapshot or an image: how many follow
  std::uint64_t log_began = 0;  // of a snapshot: so many bytes of its log were there before it, and on disk

  void append_to(std::string& bytes) const {
    append_frame(bytes, [&](Writer writer) {
      writer.byte(kind);
      writer.text(magic);
      writer.number(format);
      for (const auto* text : {&register_id, &member, &store_id}) writer.text(*text);
      writer.number(generation);
      writer.number(version);
      writer.number(keys);
      writer.number(log_began);
    });
  }

  static Header read(Frames& frames, char kind) {
    if (frames.next() != Frames::Next::record) frames.damaged("its beginning is missing");
    return frames.understood([&] { return parse(frames, kind); });
  }

 private:
  static Header parse(const Frames& frames, char kind) {
    Reader reader(frames.payload());
    Header header;
    header.kind = reader.byte();
    if (reader.view() != magic || header.kind != kind) throw Malformed("it does not begin as it should");
    if (const auto its = reader.number<std::uint32_t>(); its != format)
      throw Refused(frames.name() + " has format " + std::to_string(its) + ", and this program knows format " +
                    std::to_string(format) + "; use the version of the program that wrote it");
    for (auto* text : {&header.register_id, &header.member, &header.store_id}) *text = reader.text();
    header.generation = reader.number<std::uint64_t>();
    header.version = reader.number<std::int64_t>();
    header.keys = reader.number<std::uint64_t>();
    header.log_began = reader.number<std::uint64_t>();
    reader.finish();
    if (header.version < 0) throw Malformed("its version is negative");
    return header;
  }
};

// --- What is kept in memory.

struct State {
  std::int64_t version = 0;
  std::unordered_map<std::string, Store::Value> values;

  void apply(const Commit& commit) {
    for (const auto& [key, value] : commit.changes)
      if (value)
        values.insert_or_assign(key, Store::Value{*value, commit.version});
      else
        values.erase(key);
    version = commit.version;
  }
};

struct Memory {
  State state;
  std::map<std::string, Transaction> prepared;
  std::deque<Commit> recent;  // the last ones
  std::size_t recent_bytes = 0;

  static std::size_t size_of(const Commit& commit) {
    std::size_t size = sizeof commit + commit.transaction.size();
    for (const auto& [key, value] : commit.changes)
      size += sizeof(Transaction::Entry) + key.size() + (value ? value->size() : 0);
    return size;
  }

  void commit(Commit commit) {
    state.apply(commit);
    prepared.erase(commit.transaction);
    recent_bytes += size_of(commit);
    recent.push_back(std::move(commit));
    while (recent.size() > most_recent || recent_bytes > most_recent_bytes) {
      recent_bytes -= size_of(recent.front());
      recent.pop_front();
    }
  }

  void replace(State& other) {
    std::swap(state, other);
    recent.clear();
    recent_bytes = 0;
  }
};

void append_prepared(std::string& bytes, const std::string& name, const Transaction& transaction) {
  append_frame(bytes, [&](Writer writer) {
    writer.byte(prepared_record);
    writer.text(name);
    writer.entries(transaction.changes);
    writer.entries(transaction.conditions);
  });
}

void append_commit(std::string& bytes, const Commit& commit, bool with_changes) {
  append_frame(bytes, [&](Writer writer) {
    writer.byte(commit_record);
    writer.number(commit.version);
    writer.text(commit.transaction);
    writer.byte(with_changes ? in_the_record : in_the_prepared_one);
    if (with_changes) writer.entries(commit.changes);
  });
}

void append_abort(std::string& bytes, const std::string& name) {
  append_frame(bytes, [&](Writer writer) {
    writer.byte(abort_record);
    writer.text(name);
  });
}

// Does to memory what a record of the log says.
void replay_commit(Memory& memory, Reader& reader) {
  Commit commit{.version = reader.number<std::int64_t>(), .transaction = reader.text(), .changes = {}};
  if (commit.version != memory.state.version + 1)
    throw Malformed("commit " + std::to_string(commit.version) + " follows commit " +
                    std::to_string(memory.state.version));
  if (reader.flag()) {
    const auto found = memory.prepared.find(commit.transaction);
    if (found == memory.prepared.end()) throw Malformed("a transaction was committed that was not prepared");
    commit.changes = found->second.changes;
  } else {
    commit.changes = reader.entries();
  }
  reader.finish();
  memory.commit(std::move(commit));
}

void replay(Memory& memory, std::string_view record) {
  Reader reader(record);
  const char kind = reader.byte();
  if (kind == commit_record) return replay_commit(memory, reader);
  if (kind != abort_record && kind != prepared_record) throw Malformed("it has a record of an unknown kind");
  std::string name = reader.text();
  if (kind == abort_record) {
    memory.prepared.erase(name);
  } else {
    Transaction transaction{.changes = reader.entries(), .conditions = {}};
    transaction.conditions = reader.entries();
    memory.prepared.insert_or_assign(std::move(name), std::move(transaction));
  }
  reader.finish();
}

// A header and the whole state, in pieces.
void encode(const State& state, Header header, const std::function<void(std::string_view)>& sink) {
  header.version = state.version;
  header.keys = state.values.size();
  std::string bytes;
  header.append_to(bytes);
  sink(bytes);
  for (auto at = state.values.begin(); at != state.values.end();) {
    bytes.clear();
    append_frame(bytes, [&](Writer writer) {
      writer.byte(values_block);
      for (; at != state.values.end() && bytes.size() < block_size; ++at) {
        writer.text(at->first);
        writer.text(at->second.value);
        writer.number(at->second.version);
      }
    });
    sink(bytes);
  }
}

void decode_block(State& state, std::string_view block) {
  Reader reader(block);
  if (reader.byte() != values_block) throw Malformed("it has a record of an unknown kind");
  while (!reader.done()) {
    std::string key = reader.text();
    Store::Value value{.value = reader.text(), .version = reader.number<std::int64_t>()};
    if (value.version < 1 || value.version > state.version) throw Malformed("a value is newer than the whole");
    if (!state.values.emplace(std::move(key), std::move(value)).second) throw Malformed("a key is there twice");
  }
}

// What follows the header of a snapshot or an image: it was complete when it got its name.
State decode(Frames& frames, const Header& header) {
  State state{.version = header.version, .values = {}};
  constexpr std::size_t smallest = 4 + 4 + 8;
  state.values.reserve(std::min<std::size_t>(header.keys, frames.left() / smallest));
  for (auto next = frames.next(); next != Frames::Next::end; next = frames.next()) {
    if (next == Frames::Next::torn) frames.damaged("its end is missing");
    frames.understood([&] { decode_block(state, frames.payload()); });
  }
  if (state.values.size() != header.keys)
    frames.damaged("it has " + counted(static_cast<std::int64_t>(state.values.size()), "key", "keys") + " instead of " +
                   std::to_string(header.keys));
  return state;
}

// --- Files.

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Writes all of it, from `at` on.
void write_all(const Fd& file, std::string_view bytes, std::size_t at, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t size = pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) disk_error(name + " cannot be written", size < 0 ? errno : EIO);
    bytes.remove_prefix(static_cast<std::size_t>(size));
    at += static_cast<std::size_t>(size);
  }
}

void sync(const Fd& file, const std::string& name) {
  if (fsync(file.get()) != 0) disk_error(name + " cannot be brought to the disk", errno);
}

// What is in a store's directory.
struct Files {
  std::set<std::uint64_t> logs, snapshots;
  bool half_made = false;
  std::string stranger;  // a file that no store makes, if there is one
  bool store() const { return !logs.empty() || !snapshots.empty(); }
  std::uint64_t generation() const { return snapshots.empty() ? 0 : *snapshots.rbegin(); }

  // Answers whether a store makes files of that name.
  bool add(const std::string& name) {
    if (name == new_log || name == new_snapshot) return half_made = true;
    return name == lock_name || add(name, "log-", logs) || add(name, "snapshot-", snapshots);
  }

 private:
  static bool add(const std::string& name, const std::string& prefix, std::set<std::uint64_t>& numbers) {
    std::uint64_t number = 0;
    if (!name.starts_with(prefix)) return false;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
    if (name != prefix + std::to_string(number)) return false;
    numbers.insert(number);
    return true;
  }
};

// The directory of a store: ours alone.
class Directory {
 public:
  explicit Directory(std::string path) : path_(std::move(path)) {
    while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();  // or a symbolic link would be followed
    const bool made = mkdir(path_.c_str(), 0700) == 0;
    if (!made && errno == ENOENT) refuse("cannot be made, because the directory that it should be in is missing");
    if (!made && errno != EEXIST) refuse("cannot be made: " + std::string(std::strerror(errno)));
    struct stat status {};
    if (lstat(path_.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
      refuse("is a symbolic link; name the directory itself");
    fd_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (fd_.get() < 0 && errno == ENOTDIR) refuse("is not a directory; name another one");
    if (fd_.get() < 0 || fstat(fd_.get(), &status) != 0)
      refuse("cannot be opened: " + std::string(std::strerror(errno)));
    if (status.st_uid != geteuid()) refuse("belongs to another user; name another one");
    if (made && fchmod(fd_.get(), 0700) == 0) return;  // whatever the umask is
    if ((status.st_mode & 077) != 0) refuse("is open to other users; chmod 700 it");
  }

  std::string name(const std::string& file) const { return printable(path_) + "/" + file; }

  [[noreturn]] void refuse(const std::string& why) const { throw Refused(printable(path_) + " " + why); }

  // Throws Refused if one of the files is not ours alone.
  Files list() const {
    struct Close {
      void operator()(DIR* directory) const { closedir(directory); }
    };
    const int fd = openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, Close> directory(fd < 0 ? nullptr : fdopendir(fd));
    if (!directory) {
      if (fd >= 0) close(fd);
      refuse("cannot be read: " + std::string(std::strerror(errno)));
    }
    Files files;
    errno = 0;
    while (const dirent* entry = readdir(directory.get())) {
      const std::string file = entry->d_name;
      if (files.add(file))
        check(file);
      else if (file != "." && file != "..")
        files.stranger = file;
      errno = 0;
    }
    if (errno != 0) disk_error(printable(path_) + " cannot be read", errno);
    return files;
  }

  // Held until it is closed.
  Fd lock() const {
    Fd lock(openat(fd_.get(), lock_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600));
    if (lock.get() < 0 && lacks_space(errno)) disk_error(name(lock_name) + " cannot be made", errno);
    if (lock.get() < 0) refuse("cannot be used: its lock file cannot be opened: " + std::string(std::strerror(errno)));
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno == EWOULDBLOCK) refuse("is in use by another process; end that one, or name another directory");
    refuse("cannot be locked: " + std::string(std::strerror(errno)));
  }

  Fd open(const std::string& file, int mode) const {
    Fd opened(openat(fd_.get(), file.c_str(), mode | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (opened.get() < 0) throw Refused(name(file) + " cannot be opened: " + std::strerror(errno));
    return opened;
  }

  Fd create(const std::string& file) const {
    Fd made(openat(fd_.get(), file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (made.get() < 0 && lacks_resources(errno))
      throw OutOfSpace(name(file) + " cannot be made: " + std::strerror(errno));
    if (made.get() < 0 || fchmod(made.get(), 0600) != 0) disk_error(name(file) + " cannot be made", errno);
    return made;
  }

  void rename(const std::string& from, const std::string& to) const {
    if (renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) != 0)
      disk_error(name(from) + " cannot be renamed", errno);
  }

  // What cannot be removed now is removed later, or in the way of the next one.
  void remove(const std::string& file) const { unlinkat(fd_.get(), file.c_str(), 0); }

  void sync() const { zk::sync(fd_, printable(path_)); }

  // That it is there is written in the directory that it is in, which we may not be allowed to open.
  void sync_above() const {
    const Fd above(openat(fd_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if ((above.get() < 0 ? syncfs(fd_.get()) : fsync(above.get())) != 0)
      disk_error(printable(path_) + " cannot be brought to the disk", errno);
  }

 private:
  void check(const std::string& file) const {
    struct stat status {};
    if (fstatat(fd_.get(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return;  // another process is at work, as the lock will tell
      disk_error(name(file) + " cannot be looked at", errno);
    }
    const auto refuse_it = [&](const std::string& why) { throw Refused(name(file) + " " + why); };
    if (!S_ISREG(status.st_mode))
      refuse_it("is a symbolic link or no file at all, and no store makes such; look who made it, and remove it");
    if (status.st_uid != geteuid()) refuse_it("belongs to another user; look who made it");
    if ((status.st_mode & 077) != 0) refuse_it("is open to other users; chmod 600 it");
  }

  std::string path_;
  Fd fd_;
};

}  // namespace

struct Store::Impl {
  explicit Impl(const StoreOptions& options) : options_(options), directory_(options.directory) {
    refuse_strangers(directory_.list());  // before anything is made in a directory that is none of ours
    lock_ = directory_.lock();
    const Files files = directory_.list();
    refuse_strangers(files);
    if (files.store())
      load(files);
    else
      create();
    directory_.sync_above();  // when it is opened, too: who made it may have got no further
  }

  void write(const Batch& batch) {
    guarded([&] {
      if (batch.empty()) return;
      check(batch);
      if (end_ > compact_at_) compact();
      append(records_of(batch));
      const auto lock = changing();
      apply(batch);
    });
  }

  void replace(std::string_view image) {
    guarded([&] {
      State state = state_of(image);
      renew(state);
      const auto lock = changing();
      memory_.replace(state);
    });
  }

  std::string image() const {
    std::string image;
    const auto lock = reading();
    encode(memory_.state, header(image_header, 0), [&](std::string_view bytes) { image += bytes; });
    return image;
  }

  std::shared_lock<std::shared_mutex> reading() const {
    const std::lock_guard turn(turn_);
    return std::shared_lock(mutex_);
  }

  StoreOptions options_;
  std::string id_;
  std::size_t dropped_ = 0;
  Memory memory_;  // changed by the one writer only, which therefore reads it without the lock

 private:
  std::unique_lock<std::shared_mutex> changing() const {
    const std::lock_guard turn(turn_);
    return std::unique_lock(mutex_);
  }

  // After anything that leaves us in doubt about what is on disk, nothing more is written.
  template <class Work>
  void guarded(Work work) {
    if (!failure_.empty()) throw StoreFailed(failure_ + "; nothing is written since then");
    try {
      work();
    } catch (const OutOfSpace&) {
      throw;
    } catch (const Refused&) {
      throw;
    } catch (const std::logic_error&) {
      throw;
    } catch (const std::exception& failure) {
      failure_ = failure.what();
      throw;
    }
  }

  Header header(char kind, std::uint64_t generation) const {
    Header header;
    header.kind = kind;
    header.register_id = options_.register_id;
    header.member = options_.member;
    header.store_id = id_;
    header.generation = generation;
    return header;
  }

  void refuse_strangers(const Files& files) const {
    if (!files.stranger.empty() && !files.store())
      directory_.refuse("holds other files (" + printable(files.stranger, 200) +
                        ") and no store; name a directory that is empty or missing");
  }

  // Under its name the first log is complete: a directory without it is as good as empty.
  void create() {
    id_ = random_id(16);
    directory_.remove(new_log);
    directory_.remove(new_snapshot);
    std::string bytes;
    header(log_header, 0).append_to(bytes);
    try {
      log_ = directory_.create(new_log);
      write_all(log_, bytes, 0, directory_.name(new_log));
      sync(log_, directory_.name(new_log));
      directory_.rename(new_log, log_name(0));
    } catch (...) {
      directory_.remove(new_log);
      throw;
    }
    directory_.sync();
    began(0, bytes.size(), bytes.size(), 0);
  }

  void began(std::uint64_t generation, std::size_t log_began, std::size_t log_end, std::size_t snapshot_size) {
    generation_ = generation;
    end_ = log_end;
    limit_ = std::max(options_.compact_after, snapshot_size);
    compact_at_ = log_began + limit_;
  }

  // Changes nothing before it knows that all is well.
  void load(const Files& files) {
    const std::uint64_t generation = files.generation();
    check(files, generation);
    std::size_t log_began = 0, snapshot_size = 0;
    if (files.snapshots.contains(generation)) {
      const std::string file = snapshot_name(generation);
      const Fd snapshot = directory_.open(file, O_RDONLY);
      snapshot_size = settled(snapshot, file);
      FileSource source(snapshot.get(), snapshot_size, directory_.name(file));
      log_began = load_snapshot(source, file, generation);
    }
    log_ = directory_.open(log_name(generation), O_RDWR);
    const std::size_t size = settled(log_, log_name(generation));
    FileSource source(log_.get(), size, directory_.name(log_name(generation)));
    const std::size_t end = load_log(source, generation, log_began);
    directory_.sync();
    drop_tail(size, end, log_name(generation));
    remove_leftovers(files, generation);
    began(generation, log_began, end, snapshot_size);
  }

  void check(const Files& files, std::uint64_t generation) const {
    if (!files.logs.contains(generation))
      directory_.refuse(std::string("has no ") + (files.snapshots.empty() ? "snapshot and no " : "") +
                        log_name(generation) + ", and cannot be complete. " + advice());
    if (const auto last = *files.logs.rbegin(); last > generation + 1)
      directory_.refuse("has a " + log_name(last) + " and no " + snapshot_name(last) + ", and cannot be complete. " +
                        advice());
  }

  // The size of a file whose content is what is on the disk. What a process that was killed has written may be in the
  // page cache only, and what could not be written to the disk may still be there, too, and look written.
  std::size_t settled(const Fd& file, const std::string& name) const {
    sync(file, directory_.name(name));
    posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
    struct stat status {};
    if (fstat(file.get(), &status) != 0) disk_error(directory_.name(name) + " cannot be looked at", errno);
    return static_cast<std::size_t>(status.st_size);
  }

  std::string advice() const {
    return "Nothing was guessed, and nothing was changed. Restore the directory from a copy of its last state, or "
           "remove it and let the replica start anew and catch up from the others";
  }

  // Answers how much of the log was there before the snapshot.
  std::size_t load_snapshot(Source& source, const std::string& file, std::uint64_t generation) {
    Frames frames(source, directory_.name(file), advice());
    const Header header = Header::read(frames, snapshot_header);
    id_ = header.store_id;
    check(frames, header, generation, header.version);
    memory_.state = decode(frames, header);
    return header.log_began;
  }

  // Answers where the last complete record ends. `log_began`: so much of it was on disk before the snapshot was.
  std::size_t load_log(Source& source, std::uint64_t generation, std::size_t& log_began) {
    Frames frames(source, directory_.name(log_name(generation)), advice());
    const Header header = Header::read(frames, log_header);
    if (generation == 0) id_ = header.store_id;
    check(frames, header, generation, memory_.state.version);
    log_began = std::max(log_began, frames.position());
    while (frames.next() == Frames::Next::record) frames.understood([&] { replay(memory_, frames.payload()); });
    if (frames.at() < log_began) frames.damaged("something that was there is missing");
    return frames.at();
  }

  void check(const Frames& frames, const Header& header, std::uint64_t generation, std::int64_t version) const {
    if (header.register_id != options_.register_id || header.member != options_.member)
      directory_.refuse("belongs to member " + printable(header.member, 200) + " of register " +
                        printable(header.register_id, 200) + ", not to member " + printable(options_.member, 200) +
                        " of register " + printable(options_.register_id, 200) + "; name another directory");
    if (header.generation != generation || header.version != version || header.store_id != id_)
      frames.damaged("it does not belong to the other files in the directory");
  }

  void drop_tail(std::size_t size, std::size_t end, const std::string& file) {
    dropped_ = size - end;
    if (dropped_ == 0) return;
    if (ftruncate(log_.get(), static_cast<off_t>(end)) != 0)
      disk_error(directory_.name(file) + " cannot be shortened", errno);
    sync(log_, directory_.name(file));
  }

  // Of a generation that was not finished, or is over.
  void remove_leftovers(const Files& files, std::uint64_t generation) const {
    for (const auto number : files.logs)
      if (number != generation) directory_.remove(log_name(number));
    for (const auto number : files.snapshots)
      if (number != generation) directory_.remove(snapshot_name(number));
    if (!files.half_made) return;
    directory_.remove(new_log);
    directory_.remove(new_snapshot);
  }

  void check(const Batch& batch) const {
    auto version = memory_.state.version;
    for (const auto& commit : batch.commits)
      if (commit.version != ++version)
        throw std::logic_error("commit " + std::to_string(commit.version) + " given to the store as the one after " +
                               std::to_string(version - 1));
  }

  // What a transaction changes is not written again if that is in the log as prepared.
  std::string records_of(const Batch& batch) const {
    std::string bytes;
    std::set<std::string> done;
    for (const auto& commit : batch.commits) {
      const auto found = memory_.prepared.find(commit.transaction);
      const bool known = done.insert(commit.transaction).second && found != memory_.prepared.end() &&
                         found->second.changes == commit.changes;
      append_commit(bytes, commit, !known);
    }
    for (const auto& name : batch.aborted) append_abort(bytes, name);
    for (const auto& [name, transaction] : batch.prepared) append_prepared(bytes, name, transaction);
    return bytes;
  }

  void apply(const Batch& batch) {
    for (const auto& commit : batch.commits) memory_.commit(commit);
    for (const auto& name : batch.aborted) memory_.prepared.erase(name);
    for (const auto& [name, transaction] : batch.prepared) memory_.prepared.insert_or_assign(name, transaction);
  }

  void append(std::string_view bytes) {
    const std::string name = directory_.name(log_name(generation_));
    struct stat status {};
    if (fstat(log_.get(), &status) != 0) throw StoreFailed(name + " cannot be looked at: " + std::strerror(errno));
    if (status.st_nlink == 0) throw StoreFailed(name + " was removed");
    if (static_cast<std::size_t>(status.st_size) != end_) throw StoreFailed(name + " was changed by somebody else");
    try {
      write_all(log_, bytes, end_, name);
    } catch (const OutOfSpace&) {
      take_back(name);
      throw;
    }
    // For want of space, too: the kernel may have forgotten what it could not write.
    if (fdatasync(log_.get()) != 0)
      throw StoreFailed(name + " cannot be brought to the disk: " + std::strerror(errno) +
                        "; what is on the disk is not known");
    end_ += bytes.size();
  }

  // On the disk as well: what we say is not there must not come back.
  void take_back(const std::string& name) const {
    if (ftruncate(log_.get(), static_cast<off_t>(end_)) != 0 || fdatasync(log_.get()) != 0)
      throw StoreFailed(name +
                        " is cut off in a record, for want of space, and cannot be shortened: " + std::strerror(errno));
  }

  void compact() {
    try {
      renew(memory_.state);
    } catch (const OutOfSpace& why) {
      compact_at_ = end_ + limit_;
      if (options_.trouble)
        options_.trouble("the log could not be made anew, and grows on: " + std::string(why.what()));
    }
  }

  // Begins the next generation, with that state and what is prepared. A crash at any point leaves one that opens:
  //
  // - Until the new snapshot has its name, the old pair is the highest with a snapshot, or log-0, and is complete: it
  //   is not touched. What is there of the new log and of snapshot.new is removed at the next opening.
  // - Before it gets its name, the new log, its name in the directory, and all of the snapshot are on disk. So once
  //   the name is there, in the page cache or on disk, both new files are complete.
  // - Nothing is written to the new log before the directory is on disk: no write that was said to be on disk can be
  //   in a log whose snapshot goes again. And nothing is written to the old log after the rename, where it would not
  //   be looked for. If the directory cannot be brought to disk, either may be true, and nothing is written at all.
  // - The old pair is removed after that. As much of it as is left is removed at the next opening.
  void renew(const State& state) {
    const std::uint64_t next = generation_ + 1;
    Fd log;
    std::size_t log_size = 0, snapshot_size = 0;
    discard(next);
    try {
      log_size = make_log(log, next, state.version);
      directory_.sync();
      snapshot_size = make_snapshot(state, next, log_size);
      directory_.rename(new_snapshot, snapshot_name(next));
    } catch (...) {
      discard(next);
      throw;
    }
    try {
      directory_.sync();
    } catch (const OutOfSpace& why) {
      throw StoreFailed(why.what());  // it is too late for that
    }
    directory_.remove(snapshot_name(generation_));
    directory_.remove(log_name(generation_));
    log_ = std::move(log);
    began(next, log_size, log_size, snapshot_size);
  }

  void discard(std::uint64_t generation) const {
    directory_.remove(new_snapshot);
    directory_.remove(log_name(generation));
  }

  std::size_t make_log(Fd& log, std::uint64_t generation, std::int64_t version) const {
    const std::string file = log_name(generation);
    std::string bytes;
    Header first = header(log_header, generation);
    first.version = version;
    first.append_to(bytes);
    for (const auto& [name, transaction] : memory_.prepared) append_prepared(bytes, name, transaction);
    log = directory_.create(file);
    write_all(log, bytes, 0, directory_.name(file));
    sync(log, directory_.name(file));
    return bytes.size();
  }

  std::size_t make_snapshot(const State& state, std::uint64_t generation, std::size_t log_size) const {
    const std::string name = directory_.name(new_snapshot);
    const Fd snapshot = directory_.create(new_snapshot);
    Header first = header(snapshot_header, generation);
    first.log_began = log_size;
    std::size_t size = 0;
    encode(state, first, [&](std::string_view bytes) {
      write_all(snapshot, bytes, size, name);
      size += bytes.size();
    });
    sync(snapshot, name);
    return size;
  }

  State state_of(std::string_view image) const {
    TextSource source(image);
    Frames frames(source, "the state from another replica", "Nothing was changed; ask for it again");
    const Header header = Header::read(frames, image_header);
    if (header.register_id != options_.register_id)
      throw Refused("the state from another replica is that of register " + printable(header.register_id, 200) +
                    ", not of " + printable(options_.register_id, 200) + "; look which replica answers there");
    if (header.version < memory_.state.version)
      throw Refused("the state from another replica is older than ours: version " + std::to_string(header.version) +
                    " is before " + std::to_string(memory_.state.version) + "; ask a replica that is up to date");
    return decode(frames, header);
  }

  mutable std::shared_mutex mutex_;
  mutable std::mutex turn_;  // whoever comes after the writer waits until it is done: many readers would starve it
  Directory directory_;
  Fd lock_, log_;
  std::uint64_t generation_ = 0;
  std::size_t end_ = 0;                     // of the log
  std::size_t limit_ = 0, compact_at_ = 0;  // how much it may grow, and until where
  std::string failure_;
};

Store::Store(const StoreOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Store::~Store() = default;

const std::string& Store::id() const { return impl_->id_; }
std::size_t Store::dropped() const { return impl_->dropped_; }

Store::View Store::read(const std::vector<std::string>& keys) const {
  const auto lock = impl_->reading();
  const State& state = impl_->memory_.state;
  View view{.version = state.version, .values = {}};
  for (const auto& key : keys)
    if (const auto found = state.values.find(key); found != state.values.end()) view.values.insert(*found);
  return view;
}

Store::View Store::read_all() const {
  const auto lock = impl_->reading();
  const State& state = impl_->memory_.state;
  return {.version = state.version, .values = {state.values.begin(), state.values.end()}};
}

std::int64_t Store::version() const {
  const auto lock = impl_->reading();
  return impl_->memory_.state.version;
}

std::optional<std::string> Store::value(const std::string& key) const {
  const auto lock = impl_->reading();
  const auto& values = impl_->memory_.state.values;
  const auto found = values.find(key);
  if (found == values.end()) return std::nullopt;
  return found->second.value;
}

std::map<std::string, Transaction> Store::prepared() const {
  const auto lock = impl_->reading();
  return impl_->memory_.prepared;
}

std::optional<std::vector<Commit>> Store::since(std::int64_t version) const {
  const auto lock = impl_->reading();
  const auto& recent = impl_->memory_.recent;
  const std::int64_t last = impl_->memory_.state.version;
  if (version >= last) return std::vector<Commit>{};
  const auto before_first = last - static_cast<std::int64_t>(recent.size());
  if (version < before_first) return std::nullopt;
  return std::vector<Commit>(recent.begin() + (version - before_first), recent.end());
}

void Store::write(const Batch& batch) { impl_->write(batch); }
std::string Store::image() const { return impl_->image(); }
void Store::replace(std::string_view image) { impl_->replace(image); }

}  // namespace zk
