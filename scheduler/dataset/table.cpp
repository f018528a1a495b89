#include "dataset/table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <prs/error.hpp>

#include "dataset/byte_source.hpp"
#include "dataset/column_builder.hpp"
#include "dataset/parquet.hpp"
#include "dataset/partition_format.hpp"
#include "dataset/record_scanner.hpp"
#include "dataset/table_rows.hpp"

namespace prs::dataset {
namespace {

using Kind = TableFormat::Kind;
using Encoding = TableFormat::Encoding;

constexpr std::int64_t kHeadBytes = std::int64_t{64} << 10;

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", file.string(), what));
}

[[noreturn]] void fail_changed(const std::filesystem::path& file) {
  fail(file, "it has other rows than when the job listed it; it was changed after the job began");
}

/// Appends the rows of `more` to `table`, whose columns have the same names and types.
void append_column(Column& column, Column more, std::size_t rows) {
  if (!more.valid.empty() && column.valid.empty()) column.valid.assign(rows, 1);
  if (!column.valid.empty()) {
    if (more.valid.empty()) {
      more.valid.assign(std::max({more.integers.size(), more.bools.size(),
                                  more.offsets.empty() ? 0 : more.offsets.size() - 1}),
                        1);
    }
    column.valid.insert(column.valid.end(), more.valid.begin(), more.valid.end());
  }
  column.integers.insert(column.integers.end(), more.integers.begin(), more.integers.end());
  column.floats.insert(column.floats.end(), more.floats.begin(), more.floats.end());
  column.bools.insert(column.bools.end(), more.bools.begin(), more.bools.end());
  for (std::size_t i = 1; i < more.offsets.size(); ++i) {
    column.offsets.push_back(static_cast<std::int64_t>(column.bytes.size()) + more.offsets[i]);
  }
  column.bytes += more.bytes;
}

/// For pieces of Parquet files: a column of whole numbers may have missing ones in some pieces
/// only.
void make_number(Column& column) {
  if (column.type != Column::Type::kInt64) return;
  column.type = Column::Type::kFloat64;
  column.floats.assign(column.integers.begin(), column.integers.end());
  column.integers.clear();
}

void append_rows(Table& table, Table more, const std::filesystem::path& file) {
  if (table.columns.size() != more.columns.size()) {
    fail(file, fmt::format("{} columns where the file before it has {}", more.columns.size(),
                           table.columns.size()));
  }
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    Column& to = table.columns[i];
    Column& from = more.columns[i];
    if (to.type != from.type && to.type == Column::Type::kFloat64) make_number(from);
    if (to.type != from.type && from.type == Column::Type::kFloat64) make_number(to);
    if (to.name != from.name || to.type != from.type) {
      fail(file, fmt::format("column {} is '{}' ({}), in the file before it '{}' ({})", i + 1,
                             from.name, type_name(from.type), to.name, type_name(to.type)));
    }
    append_column(to, std::move(from), static_cast<std::size_t>(table.rows));
  }
  table.rows += more.rows;
}

Column repeated(std::string name, std::string_view text, std::int64_t rows) {
  Column column;
  column.name = std::move(name);
  column.type = Column::Type::kString;
  column.offsets.push_back(0);
  for (std::int64_t row = 0; row < rows; ++row) append_text(column, text);
  return column;
}

/// "Path" and what each piece's path says, one value a row.
std::vector<Column> path_columns(const MiniBatch& batch) {
  std::vector<Column> columns;
  const auto append = [&columns](std::size_t at, std::string name, std::string_view value,
                                 std::int64_t rows) {
    if (at == columns.size()) columns.push_back(repeated(std::move(name), "", 0));
    for (std::int64_t row = 0; row < rows; ++row) append_text(columns[at], value);
  };
  std::optional<PartitionFormat> format;
  if (!batch.table.partition_format.empty()) format.emplace(batch.table.partition_format);
  for (const TablePiece& piece : batch.pieces) {
    std::size_t at = 0;
    if (batch.table.include_path_column) {
      append(at++, "Path", piece.file.native(), piece.record_count);
    }
    if (!format) continue;
    const std::vector<std::string> values = format->values(piece.file);
    for (std::size_t i = 0; i < values.size(); ++i) {
      append(at++, format->names()[i], values[i], piece.record_count);
    }
  }
  return columns;
}

}  // namespace

struct PieceReader::State {
  std::filesystem::path file;  ///< That `source` has open.
  Encoding encoding = Encoding::kUtf8;
  std::optional<ByteSource> source;
  std::vector<std::string> names;  ///< Of `file`'s columns.

  void open(const TableFormat& format, const std::filesystem::path& path) {
    if (source && file == path && encoding == format.encoding) return;
    source.reset();
    source.emplace(path, format.encoding);
    file = path;
    encoding = format.encoding;
    names.clear();
  }

  /// Appends what the file has of these bytes; gives how many.
  std::int64_t read_bytes(std::int64_t offset, std::int64_t size, std::string& text) {
    const std::size_t begin = text.size();
    text.resize(begin + static_cast<std::size_t>(size));
    const std::int64_t got = source->read(offset, text.data() + begin, size);
    text.resize(begin + static_cast<std::size_t>(got));
    return got;
  }

  /// Makes the end of `text`, from `begin` on, UTF-8.
  void decode(std::string& text, std::size_t begin) const {
    const Encoding actual = source->encoding();
    if (actual != Encoding::kUtf8) {
      text.replace(begin, std::string::npos, to_utf8(std::string_view(text).substr(begin), actual));
    } else if (!simdjson::validate_utf8(text.data() + begin, text.size() - begin)) {
      fail(file,
           "text that is not UTF-8; name its encoding (latin1, windows1252, utf16) in an "
           "MLTable file");
    }
  }

  /// The names of the columns of a delimited file.
  void read_names(const TableFormat& format) {
    if (!names.empty()) return;
    RecordScanner scanner(format.delimiter, true);
    std::string head;
    bool more = true;
    while (more && !scanner.stopped()) {
      const std::size_t seen = head.size();
      more = read_bytes(source->begin() + static_cast<std::int64_t>(seen), kHeadBytes, head) > 0;
      head.resize(seen +
                  scanner.scan(std::string_view(head).substr(seen), 1, RecordScanner::kNoLimit));
    }
    decode(head, 0);
    const FieldTable record = split_fields(std::move(head), format.delimiter, 0, file.string(), 0);
    for (std::size_t i = 0; i < record.columns; ++i) {
      const Field field = record.fields[i];
      names.push_back(format.header ? record.bytes.substr(field.begin, field.size)
                                    : fmt::format("Column{}", i + 1));
    }
    if (format.header) names = distinct_names(std::move(names));
  }

  /// Appends the piece's text and a line's end.
  void read_piece(const TablePiece& piece, std::string& text) {
    const std::size_t begin = text.size();
    if (read_bytes(piece.byte_offset, piece.byte_size, text) != piece.byte_size) fail_changed(file);
    decode(text, begin);
    text += '\n';
  }
};

PieceReader::PieceReader() : state_(std::make_unique<State>()) {}
PieceReader::~PieceReader() = default;

Table PieceReader::read(const TableFormat& format, const std::vector<TablePiece>& pieces,
                        Values values) {
  State& state = *state_;
  Table table;
  if (format.kind == Kind::kParquet) {
    for (const TablePiece& piece : pieces) {
      Table part = read_parquet(piece.file, piece.first_record, piece.record_count, values);
      if (part.rows != piece.record_count) fail_changed(piece.file);
      if (&piece == pieces.data()) {
        table = std::move(part);
      } else {
        append_rows(table, std::move(part), piece.file);
      }
    }
    return table;
  }
  // Text is typed when all of it is there, so that the types are those of the whole mini-batch.
  std::string text;
  std::vector<std::string> names;
  std::int64_t rows = 0;
  std::int64_t size = 1;
  for (const TablePiece& piece : pieces) size += piece.byte_size + 1;
  text.reserve(static_cast<std::size_t>(size));
  for (const TablePiece& piece : pieces) {
    state.open(format, piece.file);
    if (format.kind == Kind::kDelimited) {
      state.read_names(format);
      if (&piece != pieces.data() && state.names != names) {
        fail(piece.file,
             fmt::format("its columns ({}) are not those of {} ({})", fmt::join(state.names, ", "),
                         pieces.front().file.string(), fmt::join(names, ", ")));
      }
      names = state.names;
    }
    state.read_piece(piece, text);
    rows += piece.record_count;
  }
  const std::string where = pieces.front().file.string();
  const std::int64_t first = pieces.front().first_record;
  if (format.kind == Kind::kJsonLines) {
    table = read_json_lines(std::move(text), values, where, first);
  } else {
    const FieldTable fields =
        split_fields(std::move(text), format.delimiter, names.size(), where, first);
    table.rows = static_cast<std::int64_t>(fields.rows);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const FieldColumn column(fields.bytes, fields.fields, fields.columns, i);
      table.columns.push_back(values == Values::kTexts
                                  ? text_column(names[i], column)
                                  : infer_column(names[i], column, format.empty_as_string));
    }
  }
  if (table.rows != rows) fail_changed(pieces.front().file);
  return table;
}

struct TableReader::State {
  PieceReader pieces;
};

TableReader::TableReader() : state_(std::make_unique<State>()) {}
TableReader::~TableReader() = default;

Table TableReader::read(const MiniBatch& mini_batch) {
  Table table = state_->pieces.read(mini_batch.table, mini_batch.pieces, Values::kTyped);
  std::vector<Column> columns = path_columns(mini_batch);
  const auto front = static_cast<std::ptrdiff_t>(mini_batch.table.include_path_column ? 1 : 0);
  table.columns.insert(table.columns.begin(), std::make_move_iterator(columns.begin()),
                       std::make_move_iterator(columns.begin() + front));
  table.columns.insert(table.columns.end(), std::make_move_iterator(columns.begin() + front),
                       std::make_move_iterator(columns.end()));
  // D8: the keys come last, in their order.
  for (const auto& key : mini_batch.partition) {
    const auto found = std::find_if(table.columns.begin(), table.columns.end(),
                                    [&](const Column& column) { return column.name == key.first; });
    if (found != table.columns.end()) std::rotate(found, found + 1, table.columns.end());
  }
  return table;
}

Table read_table(const MiniBatch& mini_batch) { return TableReader().read(mini_batch); }

}  // namespace prs::dataset
