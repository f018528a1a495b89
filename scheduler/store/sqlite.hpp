// A thin layer over SQLite: what is opened closes itself, and every error is a prs::Error that
// names the file and carries SQLite's own message.
//
//   Database database(path, Database::Mode::kWrite, {"...", "..."});
//   Statement insert(database, "INSERT INTO t VALUES (?1, ?2)");
//   insert.bind(1, 7).bind(2, "seven").run();
//
// Errors: io (unreadable, damaged, full disk), unavailable (locked by others for too long), out of
// memory, internal (a mistake of ours). Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <prs/error.hpp>

struct sqlite3;
struct sqlite3_stmt;

namespace prs::store {

/// What the user can do, as the end of an error's message.
struct Advice {
  std::string damaged;
  std::string unusable;  ///< Cannot be opened, read or written.
};

class Database {
 public:
  enum class Mode { kRead, kWrite };

  /// kWrite creates the file when it is missing. How long others' locks are waited for: 10 s.
  Database(const std::filesystem::path& path, Mode mode, Advice advice);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs statements without results or parameters.
  void execute(const char* sql);

  /// Whether nothing has been stored in the file yet.
  bool is_empty();

  /// Makes sure that the file holds our tables. An empty file gets them from `sql` (in kRead mode
  /// that is an error: io). Throws io for another program's file, unsupported for a newer version.
  void require_schema(std::int32_t application_id, std::int64_t version, const char* sql);

  /// Ends the use of a write-ahead log, if nobody else has the file open just now: without one, it
  /// can be read by those who may not write next to it. Never fails.
  void leave_wal() noexcept;

  /// Throws what SQLite's result `code` means.
  [[noreturn]] void fail(int code) const;

  sqlite3* handle() const noexcept { return handle_; }

 private:
  /// A process that was killed in the middle of a change leaves what was there before beside the
  /// file. SQLite puts it back by itself, but not through a connection that only reads. Where that
  /// fails too, the next statement says so.
  void take_back_unfinished(const std::string& name) const;
  std::int64_t read_number(const char* sql);
  [[noreturn]] void raise(ErrorCode error, int code, const std::string& advice) const;

  std::filesystem::path path_;
  Mode mode_;
  Advice advice_;
  sqlite3* handle_ = nullptr;
};

/// Must not outlive its database.
class Statement {
 public:
  Statement(const Database& database, std::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Parameters count from 1 and keep their values until they are bound anew.
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view value);

  /// Goes to the next row; false after the last one.
  bool step();
  /// Runs to the end, ready for the next values.
  void run();

  /// Of the current row; columns count from 0.
  std::int64_t number(int column) const;
  std::string text(int column) const;

 private:
  void check(int code) const;

  const Database& database_;
  sqlite3_stmt* handle_ = nullptr;
};

/// Everything until commit() becomes true at once, or nothing does.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace prs::store
