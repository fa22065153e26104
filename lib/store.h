// The durable store of one replica of a register: its keys and values, and what it has promised.
//
// Guarantee: what write() was given is on disk when it returns (one write, one fdatasync, however much it is), and is
// there after kill -9 and power loss; of what it was given and did not return from, all, some from the beginning, or
// nothing is there. A record that was not written to its end is dropped when the store is opened; any other damage is
// told and nothing is guessed. After a failed fsync nothing more is written: what is on disk is not known then.
//
// In DIR, mode 0700: `lock`, held while open; `log-<n>`, records with checksums; `snapshot-<n>`, the state when log-<n>
// began. When the log is larger than the state, both are made anew.
//
// Blocks for the disk, and throws: Refused for a directory that is not (or no longer) ours to use, in a sentence;
// OutOfSpace; StoreFailed. One thread writes; any may read.
//
// Source: C. Mohan et al., "ARIES", 1992, for the order of log and data; L. Rebello et al., "Can Applications Recover
// from fsync Failures?", USENIX ATC 2020.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "transaction.h"

namespace zk {

/// The disk is full. Nothing of what was to be written is kept.
class OutOfSpace : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// The disk failed. What it holds is not known; the store writes nothing more.
class StoreFailed : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

/// A transaction that was committed as the `version`-th.
struct Commit {
  std::int64_t version = 0;
  std::string transaction;
  std::vector<Transaction::Entry> changes;
};

struct StoreOptions {
  std::string directory;
  std::string register_id;                                    // whose replica it is: another's directory is refused
  std::string member;                                         // which of its replicas
  std::size_t compact_after = 64 << 20;                       // bytes of log, if the state is smaller than that
  std::function<void(const std::string&)> trouble = nullptr;  // told why the log could not be made anew: it goes on
};

class Store {
 public:
  /// Opens it, or makes it if DIR is missing or empty.
  explicit Store(const StoreOptions& options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Random, made with the directory: by it a replica that came back is told from one that has lost everything.
  const std::string& id() const;

  /// How many bytes of a record that was not finished were dropped when it was opened.
  std::size_t dropped() const;

  struct Value {
    std::string value;
    std::int64_t version = 0;  // of the commit that set it
  };

  /// Of one moment: the version and, of these keys, those that exist.
  struct View {
    std::int64_t version = 0;
    std::map<std::string, Value> values;
  };
  View read(const std::vector<std::string>& keys) const;
  View read_all() const;

  std::int64_t version() const;  // commits 1 to this one are applied
  std::optional<std::string> value(const std::string& key) const;

  /// Promised, and not known to be committed or aborted.
  std::map<std::string, Transaction> prepared() const;

  /// The commits after `version`, in order; nullopt if they are no longer known one by one.
  std::optional<std::vector<Commit>> since(std::int64_t version) const;

  struct Batch {
    std::vector<Commit> commits;       // in order, each one after the last: applied; what is prepared of it is done
    std::vector<std::string> aborted;  // prepared transactions that are no more
    std::vector<std::pair<std::string, Transaction>> prepared;  // promised
    bool empty() const { return commits.empty() && aborted.empty() && prepared.empty(); }
  };
  void write(const Batch& batch);

  /// The whole state, for another replica, and from one. What is prepared is no part of it, and stays.
  std::string image() const;
  void replace(std::string_view image);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace zk
