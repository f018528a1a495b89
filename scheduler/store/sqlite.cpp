#include "store/sqlite.hpp"

#include <fmt/core.h>
#include <sqlite3.h>

#include <system_error>
#include <utility>

namespace prs::store {
namespace {

constexpr int kBusyTimeoutMs = 10'000;

}  // namespace

Database::Database(const std::filesystem::path& path, Mode mode, Advice advice)
    : path_(path), mode_(mode), advice_(std::move(advice)) {
  const int flags =
      mode == Mode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  // Absolute, so that a name such as "file:..." or ":memory:" has no meaning of its own.
  const std::string name = std::filesystem::absolute(path).string();
  const int code = ::sqlite3_open_v2(name.c_str(), &handle_, flags, nullptr);
  if (code != SQLITE_OK) {
    try {
      fail(code);
    } catch (...) {
      ::sqlite3_close(handle_);
      throw;
    }
  }
  ::sqlite3_extended_result_codes(handle_, 1);
  ::sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  if (mode == Mode::kRead) take_back_unfinished(name);
}

void Database::take_back_unfinished(const std::string& name) const {
  constexpr const char* kRead = "SELECT count(*) FROM sqlite_master";
  const int code = ::sqlite3_exec(handle_, kRead, nullptr, nullptr, nullptr);
  if ((code & 0xFF) != SQLITE_READONLY) return;
  sqlite3* writer = nullptr;
  if (::sqlite3_open_v2(name.c_str(), &writer, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK) {
    ::sqlite3_busy_timeout(writer, kBusyTimeoutMs);
    ::sqlite3_exec(writer, kRead, nullptr, nullptr, nullptr);
  }
  ::sqlite3_close(writer);
}

Database::~Database() { ::sqlite3_close(handle_); }

void Database::execute(const char* sql) {
  const int code = ::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

std::int64_t Database::read_number(const char* sql) {
  Statement statement(*this, sql);
  return statement.step() ? statement.number(0) : 0;
}

bool Database::is_empty() { return read_number("SELECT count(*) FROM sqlite_master") == 0; }

void Database::require_schema(std::int32_t application_id, std::int64_t version, const char* sql) {
  if (is_empty()) {
    if (mode_ == Mode::kRead) {
      throw Error(ErrorCode::kIo,
                  fmt::format("{}: nothing has been stored in it yet", path_.string()));
    }
    Transaction transaction(*this);
    if (is_empty()) {  // Still: others may have been quicker.
      execute(sql);
      execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", application_id,
                          version)
                  .c_str());
    }
    transaction.commit();
  }
  if (read_number("PRAGMA application_id") != application_id) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: belongs to another program; {}", path_.string(), advice_.damaged));
  }
  const std::int64_t found = read_number("PRAGMA user_version");
  if (found > version) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: has format {}, written by a newer prs-gpu; this one knows formats "
                            "up to {}: use the newer prs-gpu",
                            path_.string(), found, version));
  }
  if (found < version) {
    throw Error(ErrorCode::kIo, fmt::format("{}: has format {}, expected {}; {}", path_.string(),
                                            found, version, advice_.damaged));
  }
}

void Database::leave_wal() noexcept {
  ::sqlite3_busy_timeout(handle_, 0);
  ::sqlite3_exec(handle_, "PRAGMA journal_mode = DELETE", nullptr, nullptr, nullptr);
  ::sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
}

void Database::raise(ErrorCode error, int code, const std::string& advice) const {
  // Out of memory, even the handle may be missing.
  std::string text = handle_ != nullptr ? ::sqlite3_errmsg(handle_) : ::sqlite3_errstr(code);
  const int system_error = handle_ != nullptr ? ::sqlite3_system_errno(handle_) : 0;
  const bool from_system = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN;
  if (from_system && system_error != 0) {
    text += fmt::format(" ({})", std::generic_category().message(system_error));
  }
  throw Error(error, fmt::format("{}: {}; {}", path_.string(), text, advice));
}

void Database::fail(int code) const {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      raise(ErrorCode::kUnavailable, code, "another process keeps it busy, try again");
    case SQLITE_NOMEM:
      raise(ErrorCode::kOutOfMemory, code, "free memory and try again");
    case SQLITE_FULL:
      raise(ErrorCode::kIo, code, "free space on its disk");
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:  // Our statements are right: it is the tables that are not ours any more.
      raise(ErrorCode::kIo, code, "the file is damaged: " + advice_.damaged);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
      raise(ErrorCode::kInternal, code, "[this is a bug]");
    default:
      raise(ErrorCode::kIo, code, advice_.unusable);
  }
}

Statement::Statement(const Database& database, std::string_view sql) : database_(database) {
  check(::sqlite3_prepare_v2(database.handle(), sql.data(), static_cast<int>(sql.size()), &handle_,
                             nullptr));
}

Statement::~Statement() { ::sqlite3_finalize(handle_); }

void Statement::check(int code) const {
  if (code != SQLITE_OK) database_.fail(code);
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  check(::sqlite3_bind_int64(handle_, parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  check(::sqlite3_bind_text64(handle_, parameter, value.data(), value.size(), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
  return *this;
}

bool Statement::step() {
  const int code = ::sqlite3_step(handle_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail(code);
  return code == SQLITE_ROW;
}

void Statement::run() {
  while (step()) {
  }
  check(::sqlite3_reset(handle_));
}

std::int64_t Statement::number(int column) const { return ::sqlite3_column_int64(handle_, column); }

std::string Statement::text(int column) const {
  const unsigned char* text = ::sqlite3_column_text(handle_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(::sqlite3_column_bytes(handle_, column))};
}

Transaction::Transaction(Database& database) : database_(database) {
  // IMMEDIATE: a transaction that begins as a reader could not wait for another writer.
  database_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (open_) ::sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

}  // namespace prs::store
