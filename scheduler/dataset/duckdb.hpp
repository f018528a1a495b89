// The part of DuckDB's C interface that is used, found in libduckdb.so when it is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace prs::dataset {

/// One statement's result, chunk by chunk. Must not outlive its Duckdb.
class DuckdbResult;

/// A database in memory without anything in it, that answers queries about files. One per process
/// and thread. Throws unsupported when the library cannot be loaded.
class Duckdb {
 public:
  static Duckdb& instance();

  Duckdb();
  ~Duckdb();
  Duckdb(const Duckdb&) = delete;
  Duckdb& operator=(const Duckdb&) = delete;

  /// Throws invalid argument with DuckDB's own message behind `what`.
  DuckdbResult query(const std::string& sql, const std::string& what);

 private:
  friend class DuckdbResult;
  struct State;
  std::unique_ptr<State> state_;
};

class DuckdbResult {
 public:
  ~DuckdbResult();
  DuckdbResult(DuckdbResult&&) noexcept;
  DuckdbResult& operator=(DuckdbResult&&) = delete;

  /// Goes to the next chunk; false at the end.
  bool next();
  std::int64_t rows() const;  ///< Of the current chunk.
  /// The values of a column of the current chunk, rows() of them. T is what the SQL type is made
  /// of: std::int64_t for BIGINT and TIMESTAMP_NS, double, bool.
  template <typename T>
  const T* data(std::size_t column) const {
    return static_cast<const T*>(values(column));
  }
  /// Of a VARCHAR column.
  std::string_view text(std::size_t column, std::int64_t row) const;
  bool is_valid(std::size_t column, std::int64_t row) const;

 private:
  friend class Duckdb;
  struct State;
  explicit DuckdbResult(std::unique_ptr<State> state);
  const void* values(std::size_t column) const;

  std::unique_ptr<State> state_;
};

}  // namespace prs::dataset
