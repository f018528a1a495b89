// One piece at a time: what the reader of mini-batches and the grouping by values share.
#pragma once

#include <memory>
#include <string>

#include "dataset/table_text.hpp"

namespace prs::dataset {

class PieceReader {
 public:
  PieceReader();
  ~PieceReader();
  PieceReader(const PieceReader&) = delete;
  PieceReader& operator=(const PieceReader&) = delete;

  /// The rows of pieces, one below the other, with the columns of the file alone. All pieces are of
  /// files with the same columns. Throws as read_table().
  Table read(const TableFormat& format, const std::vector<TablePiece>& pieces, Values values);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::dataset
