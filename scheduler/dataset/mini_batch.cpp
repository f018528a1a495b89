// The serialized form. Numbers are LEB128, at most 63 bits, without superfluous bytes.
//
//   mini_batch = id input (files | records)
//   files      = 0 count path*
//   records    = 1 path first count
//   path       = size bytes
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

[[noreturn]] void fail_argument(std::string_view what, std::string_view why) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", what, why));
}

bool is_path(std::string_view path) {
  return !path.empty() && path.find('\0') == std::string_view::npos;
}

/// What keeps this from being a mini-batch, or "".
const char* problem_of(const MiniBatch& batch) {
  if (batch.id < 0 || batch.input < 0) return "a negative id or input";
  if (batch.first_record < 0 || batch.record_count < 0) return "a negative record number";
  if (batch.first_record > kMax - batch.record_count) return "a record number past 2^63";
  if (batch.is_records() && !batch.files.empty()) return "files and records";
  if (!batch.is_records() && (batch.first_record != 0 || batch.record_count != 0)) {
    return "records without a file";
  }
  if (batch.is_records() && !is_path(batch.record_file.native())) return "a NUL in a path";
  for (const std::filesystem::path& file : batch.files) {
    if (!is_path(file.native())) return "an empty path or a NUL in a path";
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

void append_path(const std::filesystem::path& path, std::string& out) {
  append_number(std::uint64_t{path.native().size()}, out);
  out += path.native();
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

  std::filesystem::path path() {
    const std::int64_t size = number();
    if (size > remaining()) fail("ends within a path");
    const std::string_view text = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(text.size());
    return text;
  }

  std::int64_t remaining() const { return static_cast<std::int64_t>(rest_.size()); }

  [[noreturn]] static void fail(std::string_view why) {
    fail_argument("a mini-batch description is damaged", why);
  }

 private:
  std::string_view rest_;
};

}  // namespace

std::int64_t MiniBatch::items() const {
  return is_records() ? record_count : static_cast<std::int64_t>(files.size());
}

std::string MiniBatch::item_name(std::int64_t i) const {
  return is_records() ? fmt::format("{}#{}", record_file.native(), first_record + i)
                      : files[static_cast<std::size_t>(i)].native();
}

std::string serialize(const MiniBatch& mini_batch) {
  if (const std::string_view problem = problem_of(mini_batch); !problem.empty()) {
    fail_argument(fmt::format("mini-batch {}", mini_batch.id), problem);
  }
  std::string out;
  append_number(mini_batch.id, out);
  append_number(mini_batch.input, out);
  if (mini_batch.is_records()) {
    append_number(kRecords, out);
    append_path(mini_batch.record_file, out);
    append_number(mini_batch.first_record, out);
    append_number(mini_batch.record_count, out);
  } else {
    append_number(kFiles, out);
    append_number(std::uint64_t{mini_batch.files.size()}, out);
    for (const std::filesystem::path& file : mini_batch.files) append_path(file, out);
  }
  return out;
}

MiniBatch parse(std::string_view bytes) {
  Parser parser(bytes);
  MiniBatch batch;
  batch.id = parser.number();
  batch.input = parser.number();
  const auto kind = static_cast<std::uint64_t>(parser.number());
  if (kind == kFiles) {
    const std::int64_t count = parser.number();
    // A path takes two bytes at least: memory stays in proportion to `bytes`.
    if (count > parser.remaining() / 2) Parser::fail("more files than bytes for them");
    batch.files.reserve(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) batch.files.push_back(parser.path());
  } else if (kind == kRecords) {
    batch.record_file = parser.path();
    if (!batch.is_records()) Parser::fail("records without a file");
    batch.first_record = parser.number();
    batch.record_count = parser.number();
  } else {
    Parser::fail(fmt::format("neither files nor records but kind {}", kind));
  }
  if (parser.remaining() > 0) Parser::fail("bytes behind its end");
  if (const std::string_view problem = problem_of(batch); !problem.empty()) Parser::fail(problem);
  return batch;
}

}  // namespace prs::dataset
