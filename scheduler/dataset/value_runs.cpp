#include "dataset/value_runs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <prs/error.hpp>

#include "dataset/byte_source.hpp"
#include "dataset/record_scanner.hpp"
#include "dataset/table_pieces.hpp"
#include "dataset/table_rows.hpp"

namespace prs::dataset {
namespace {

/// Where `name` is; nothing when no row of this part has it, which only JSON lines allow.
std::optional<std::size_t> place_of(const Table& table, const std::string& name,
                                    const std::filesystem::path& file, const TableFormat& format) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].name == name) return i;
    names.push_back(table.columns[i].name);
  }
  if (format.kind == TableFormat::Kind::kJsonLines) return std::nullopt;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("partition_keys: {} has no column '{}'; it has {}", file.string(), name,
                          fmt::join(names, ", ")));
}

/// The sizes in bytes of the rows of a piece of text, blank lines counted to the row before; none
/// for Parquet.
std::vector<std::int64_t> row_sizes(ByteSource& source, const TableFormat& format,
                                    const TablePiece& piece) {
  std::string bytes(static_cast<std::size_t>(piece.byte_size), '\0');
  bytes.resize(
      static_cast<std::size_t>(source.read(piece.byte_offset, bytes.data(), piece.byte_size)));
  RecordScanner scanner(format.delimiter, format.kind == TableFormat::Kind::kDelimited);
  std::vector<std::int64_t> sizes;
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::size_t taken = scanner.scan(rest, 1, RecordScanner::kNoLimit);
    rest.remove_prefix(taken);
    if (!scanner.stopped()) scanner.finish();
    if (scanner.records() > 0) {
      sizes.push_back(static_cast<std::int64_t>(taken));
    } else if (!sizes.empty()) {
      sizes.back() += static_cast<std::int64_t>(taken);
    }
  }
  return sizes;
}

}  // namespace

void for_each_run(const std::filesystem::path& file, const TableFormat& format,
                  config::MiniBatchSize part, const std::vector<std::string>& columns,
                  const std::function<void(const std::vector<std::string>& values,
                                           const TablePiece& run)>& visit) {
  TablePieces pieces(file, format, part);
  PieceReader reader;
  std::optional<ByteSource> source;
  if (format.kind != TableFormat::Kind::kParquet) source.emplace(file, format.encoding);
  std::vector<std::string> values(columns.size());
  TablePiece run;
  while (const std::optional<TablePiece> piece = pieces.next()) {
    const Table table = reader.read(format, {*piece}, Values::kTexts);
    std::vector<std::optional<std::size_t>> places;
    for (const std::string& name : columns) places.push_back(place_of(table, name, file, format));
    const std::vector<std::int64_t> sizes =
        source ? row_sizes(*source, format, *piece)
               : std::vector<std::int64_t>(static_cast<std::size_t>(table.rows));
    std::int64_t offset = piece->byte_offset;
    for (std::int64_t row = 0; row < table.rows; ++row) {
      const auto text = [&](std::size_t i) {
        return places[i] ? table.columns[*places[i]].text(row) : std::string_view();
      };
      bool is_same = run.record_count > 0;
      for (std::size_t i = 0; i < columns.size() && is_same; ++i) is_same = values[i] == text(i);
      if (!is_same) {
        if (run.record_count > 0) visit(values, run);
        for (std::size_t i = 0; i < columns.size(); ++i) values[i] = text(i);
        run = {file, offset, 0, piece->first_record + row, 0};
      }
      const std::int64_t size = sizes[static_cast<std::size_t>(row)];
      run.byte_size += size;
      offset += size;
      ++run.record_count;
    }
  }
  if (run.record_count > 0) visit(values, run);
}

}  // namespace prs::dataset
