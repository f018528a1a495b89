#include "dataset/table_pieces.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "dataset/byte_source.hpp"
#include "dataset/parquet.hpp"
#include "dataset/record_scanner.hpp"

namespace prs::dataset {
namespace {

using Unit = config::MiniBatchSize::Unit;

/// Stays in the second-level cache between reading and scanning.
constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

/// The records of a text file.
class TextPieces {
 public:
  TextPieces(const std::filesystem::path& file, const TableFormat& format)
      : source_(file, format.encoding),
        scanner_(format.delimiter, format.kind == TableFormat::Kind::kDelimited),
        buffer_(kBufferBytes),
        position_(source_.begin()) {
    if (format.header && format.kind == TableFormat::Kind::kDelimited)
      take(1, RecordScanner::kNoLimit);
  }

  /// Up to `records` records or the one that reaches `bytes`; none at the end.
  TablePiece take(std::int64_t records, std::int64_t bytes) {
    TablePiece piece;
    piece.byte_offset = position_;
    bool stopped = false;
    while (!stopped && fill()) {
      const std::size_t taken = scanner_.scan(rest_, records, bytes);
      rest_.remove_prefix(taken);
      position_ += static_cast<std::int64_t>(taken);
      stopped = scanner_.stopped();
    }
    if (!stopped) scanner_.finish();
    piece.record_count = scanner_.records();
    piece.byte_size = position_ - piece.byte_offset;
    return piece;
  }

 private:
  /// Makes `rest_` the next bytes if it is empty. False at the end of the file.
  bool fill() {
    if (!rest_.empty()) return true;
    const std::int64_t size =
        source_.read(position_, buffer_.data(), static_cast<std::int64_t>(buffer_.size()));
    rest_ = {buffer_.data(), static_cast<std::size_t>(size)};
    return size > 0;
  }

  ByteSource source_;
  RecordScanner scanner_;
  std::vector<char> buffer_;
  std::string_view rest_;
  std::int64_t position_;
};

}  // namespace

struct TablePieces::State {
  std::filesystem::path file;
  config::MiniBatchSize size;
  std::optional<TextPieces> text;
  std::vector<RowGroup> groups;  ///< Of a Parquet file,
  std::size_t group = 0;         ///< with the next one,
  std::int64_t group_rows = 0;   ///< of which so many rows are taken.
  std::int64_t records = 0;      ///< Taken so far.

  bool counts_rows() const { return size.unit == Unit::kRows; }

  TablePiece take_rows() {
    TablePiece piece;
    for (; group < groups.size() && piece.record_count < size.value;) {
      const std::int64_t part =
          std::min(groups[group].rows - group_rows, size.value - piece.record_count);
      piece.record_count += part;
      group_rows += part;
      if (group_rows < groups[group].rows) break;
      ++group;
      group_rows = 0;
    }
    return piece;
  }

  /// Whole row groups, as many as come closest to the size from below, at least one.
  TablePiece take_groups() {
    TablePiece piece;
    std::int64_t bytes = 0;
    for (; group < groups.size(); ++group) {
      bytes += groups[group].bytes;
      if (piece.record_count > 0 && bytes > size.value) break;
      piece.record_count += groups[group].rows;
    }
    return piece;
  }
};

TablePieces::TablePieces(std::filesystem::path file, const TableFormat& format,
                         config::MiniBatchSize size)
    : state_(std::make_unique<State>()) {
  state_->size = size;
  state_->file = std::move(file);
  if (format.kind == TableFormat::Kind::kParquet) {
    state_->groups = parquet_row_groups(state_->file);
  } else {
    state_->text.emplace(state_->file, format);
  }
}

TablePieces::~TablePieces() = default;
TablePieces::TablePieces(TablePieces&&) noexcept = default;
TablePieces& TablePieces::operator=(TablePieces&&) noexcept = default;

std::optional<TablePiece> TablePieces::next() {
  State& state = *state_;
  TablePiece piece;
  if (!state.text) {
    piece = state.counts_rows() ? state.take_rows() : state.take_groups();
  } else if (state.counts_rows()) {
    piece = state.text->take(state.size.value, RecordScanner::kNoLimit);
  } else {
    piece = state.text->take(RecordScanner::kNoLimit, state.size.value);
  }
  if (piece.record_count == 0) return std::nullopt;
  piece.file = state.file;
  piece.first_record = state.records;
  state.records += piece.record_count;
  return piece;
}

}  // namespace prs::dataset
