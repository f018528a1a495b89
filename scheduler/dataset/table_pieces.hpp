// A file of a table cut into pieces (D5, D6), as they are found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "config/step.hpp"
#include "dataset/table_format.hpp"

namespace prs::dataset {

class TablePieces {
 public:
  /// Opens the file. `size`: bytes (a number without a unit is bytes too) or rows.
  TablePieces(std::filesystem::path file, const TableFormat& format, config::MiniBatchSize size);
  ~TablePieces();
  TablePieces(TablePieces&&) noexcept;
  TablePieces& operator=(TablePieces&&) noexcept;

  /// The next piece, or nothing at the end. Throws as ByteSource; unsupported for Parquet without
  /// its library.
  std::optional<TablePiece> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::dataset
