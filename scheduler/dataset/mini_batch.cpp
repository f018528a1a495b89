// The serialized form. Numbers are LEB128, at most 63 bits, without superfluous bytes.
//
//   mini_batch = id input partition (files | records | table)
//   partition  = count (name value)*
//   files      = 0 count path*
//   records    = 1 path first count
//   table      = 2 format count piece*
//   format     = kind delimiter header encoding empty_as_string include_path_column
//                partition_format
//   piece      = path offset size first count      path: empty when that of the piece before
//   path, name, value, partition_format = size bytes
#include <fmt/format.h>

#include <limits>
#include <utility>

#include <prs/error.hpp>

#include "dataset/dataset.hpp"

namespace prs::dataset {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kFiles = 0;
constexpr std::uint64_t kRecords = 1;
constexpr std::uint64_t kTable = 2;

[[noreturn]] void refuse(std::string_view what, std::string_view why) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", what, why));
}

bool is_path(std::string_view path) {
  return !path.empty() && path.find('\0') == std::string_view::npos;
}

const char* problem_of(const TablePiece& piece) {
  if (piece.byte_offset < 0 || piece.byte_size < 0) return "a negative position";
  if (piece.byte_offset > kMax - piece.byte_size) return "a position past 2^63";
  if (piece.first_record < 0 || piece.record_count < 1) return "a piece without rows";
  if (piece.first_record > kMax - piece.record_count) return "a record number past 2^63";
  return is_path(piece.file.native()) ? "" : "an empty path or a NUL in a path";
}

const char* problem_of_table(const MiniBatch& batch) {
  if (batch.is_records() || !batch.files.empty()) return "a table and files or records";
  std::int64_t rows = 0;
  for (const TablePiece& piece : batch.pieces) {
    if (const char* problem = problem_of(piece); *problem != '\0') return problem;
    if (rows > kMax - piece.record_count) return "more than 2^63 rows";
    rows += piece.record_count;
  }
  return "";
}

/// What keeps this from being a mini-batch, or "".
const char* problem_of(const MiniBatch& batch) {
  if (batch.id < 0 || batch.input < 0) return "a negative id or input";
  if (batch.first_record < 0 || batch.record_count < 0) return "a negative record number";
  if (batch.first_record > kMax - batch.record_count) return "a record number past 2^63";
  if (batch.is_records() && !batch.files.empty()) return "files and records";
  if (const char* problem = problem_of_table(batch); batch.is_table() && *problem != '\0') {
    return problem;
  }
  if (!batch.is_table() && batch.table != TableFormat{}) return "a table's format without a table";
  if (!batch.is_records() && (batch.first_record != 0 || batch.record_count != 0)) {
    return "records without a file";
  }
  if (batch.is_records() && !is_path(batch.record_file.native())) return "a NUL in a path";
  for (const std::string& file : batch.files) {
    if (!is_path(file)) return "an empty path or a NUL in a path";
  }
  return "";
}

void append_number(std::uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void append_number(std::int64_t value, std::string& out) {
  append_number(static_cast<std::uint64_t>(value), out);
}

void append_text(const std::string& text, std::string& out) {
  append_number(std::uint64_t{text.size()}, out);
  out += text;
}

void append_format(const TableFormat& format, std::string& out) {
  append_number(static_cast<std::uint64_t>(format.kind), out);
  append_number(std::uint64_t{static_cast<unsigned char>(format.delimiter)}, out);
  append_number(std::uint64_t{format.header}, out);
  append_number(static_cast<std::uint64_t>(format.encoding), out);
  append_number(std::uint64_t{format.empty_as_string}, out);
  append_number(std::uint64_t{format.include_path_column}, out);
  append_text(format.partition_format, out);
}

void append_table(const MiniBatch& batch, std::string& out) {
  append_format(batch.table, out);
  append_number(std::uint64_t{batch.pieces.size()}, out);
  const std::filesystem::path* last = nullptr;
  for (const TablePiece& piece : batch.pieces) {
    append_text(last != nullptr && *last == piece.file ? "" : piece.file.native(), out);
    last = &piece.file;
    append_number(piece.byte_offset, out);
    append_number(piece.byte_size, out);
    append_number(piece.first_record, out);
    append_number(piece.record_count, out);
  }
}

class Parser {
 public:
  explicit Parser(std::string_view bytes) : rest_(bytes) {}

  std::int64_t number() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      if (rest_.empty()) fail("ends within a number");
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift > 0) fail("a number with superfluous bytes");
      return static_cast<std::int64_t>(value);
    }
    fail("a number past 2^63");
  }

  /// A number below `end`.
  std::int64_t number_below(std::int64_t end) {
    const std::int64_t value = number();
    if (value >= end) fail(fmt::format("{} where at most {} may stand", value, end - 1));
    return value;
  }

  /// How many things of at least `bytes` bytes follow: memory stays in proportion to the input.
  std::int64_t count(std::int64_t bytes) {
    const std::int64_t value = number();
    if (value > remaining() / bytes) fail("more entries than bytes for them");
    return value;
  }

  bool flag() { return number_below(2) == 1; }

  std::string text() {
    const std::int64_t size = number();
    if (size > remaining()) fail("ends within a text");
    const std::string_view text = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(text.size());
    return std::string(text);
  }

  std::int64_t remaining() const { return static_cast<std::int64_t>(rest_.size()); }

  [[noreturn]] static void fail(std::string_view why) {
    refuse("a mini-batch description is damaged", why);
  }

 private:
  std::string_view rest_;
};

TableFormat parse_format(Parser& parser) {
  TableFormat format;
  format.kind = static_cast<TableFormat::Kind>(parser.number_below(3));
  format.delimiter = static_cast<char>(parser.number_below(256));
  format.header = parser.flag();
  format.encoding = static_cast<TableFormat::Encoding>(parser.number_below(4));
  format.empty_as_string = parser.flag();
  format.include_path_column = parser.flag();
  format.partition_format = parser.text();
  return format;
}

void parse_table(Parser& parser, MiniBatch& batch) {
  batch.table = parse_format(parser);
  const std::int64_t count = parser.count(5);
  if (count == 0) Parser::fail("a table without pieces");
  batch.pieces.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    TablePiece piece;
    piece.file = parser.text();
    if (piece.file.empty() && i > 0) {
      piece.file = batch.pieces.back().file;
    } else if (i > 0 && piece.file == batch.pieces.back().file) {
      Parser::fail("a path with superfluous bytes");
    }
    piece.byte_offset = parser.number();
    piece.byte_size = parser.number();
    piece.first_record = parser.number();
    piece.record_count = parser.number();
    batch.pieces.push_back(std::move(piece));
  }
}

}  // namespace

std::int64_t MiniBatch::items() const {
  if (is_table()) {
    std::int64_t rows = 0;
    for (const TablePiece& piece : pieces) rows += piece.record_count;
    return rows;
  }
  return is_records() ? record_count : static_cast<std::int64_t>(files.size());
}

std::string MiniBatch::item_name(std::int64_t i) const {
  for (const TablePiece& piece : pieces) {
    if (i < piece.record_count) {
      return fmt::format("{}#{}", piece.file.native(), piece.first_record + i);
    }
    i -= piece.record_count;
  }
  return is_records() ? fmt::format("{}#{}", record_file.native(), first_record + i)
                      : files[static_cast<std::size_t>(i)];
}

std::string serialize(const MiniBatch& mini_batch) {
  if (const std::string_view problem = problem_of(mini_batch); !problem.empty()) {
    refuse(fmt::format("mini-batch {}", mini_batch.id), problem);
  }
  std::string out;
  append_number(mini_batch.id, out);
  append_number(mini_batch.input, out);
  append_number(std::uint64_t{mini_batch.partition.size()}, out);
  for (const auto& [name, value] : mini_batch.partition) {
    append_text(name, out);
    append_text(value, out);
  }
  if (mini_batch.is_table()) {
    append_number(kTable, out);
    append_table(mini_batch, out);
  } else if (mini_batch.is_records()) {
    append_number(kRecords, out);
    append_text(mini_batch.record_file.native(), out);
    append_number(mini_batch.first_record, out);
    append_number(mini_batch.record_count, out);
  } else {
    append_number(kFiles, out);
    append_number(std::uint64_t{mini_batch.files.size()}, out);
    for (const std::string& file : mini_batch.files) append_text(file, out);
  }
  return out;
}

MiniBatch parse(std::string_view bytes) {
  Parser parser(bytes);
  MiniBatch batch;
  batch.id = parser.number();
  batch.input = parser.number();
  for (std::int64_t left = parser.count(2); left > 0; --left) {
    std::string name = parser.text();
    batch.partition.emplace_back(std::move(name), parser.text());
  }
  const auto kind = static_cast<std::uint64_t>(parser.number());
  if (kind == kTable) {
    parse_table(parser, batch);
  } else if (kind == kFiles) {
    const std::int64_t count = parser.count(2);
    batch.files.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) batch.files.emplace_back(parser.text());
  } else if (kind == kRecords) {
    batch.record_file = parser.text();
    if (!batch.is_records()) Parser::fail("records without a file");
    batch.first_record = parser.number();
    batch.record_count = parser.number();
  } else {
    Parser::fail(fmt::format("neither files, records nor a table but kind {}", kind));
  }
  if (parser.remaining() > 0) Parser::fail("bytes behind its end");
  if (const std::string_view problem = problem_of(batch); !problem.empty()) Parser::fail(problem);
  return batch;
}

}  // namespace prs::dataset
