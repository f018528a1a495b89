// The scanner and the reader of delimited text over arbitrary bytes: cut at any size, a text has
// the rows that it has as a whole.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/record_scanner.hpp"
#include "dataset/table_text.hpp"
#include "prs/error.hpp"

namespace {

using prs::dataset::FieldTable;

/// Each field's text, in order.
std::vector<std::string> texts_of(const FieldTable& table) {
  std::vector<std::string> texts;
  for (const prs::dataset::Field field : table.fields) {
    texts.push_back(table.bytes.substr(field.begin, field.size));
  }
  return texts;
}

constexpr std::int64_t kNoLimit = std::int64_t{1} << 40;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::int64_t piece_bytes = 1 + data[0];
  const std::size_t feed_bytes = 1 + data[1];
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  try {
    // 64 columns: most texts have fewer fields in a row.
    const FieldTable whole = prs::dataset::split_fields(text, ',', 64, "fuzz", 0);
    std::vector<std::string> parts;
    std::int64_t records = 0;
    prs::dataset::RecordScanner scanner(',', true);
    std::string piece;
    const auto end_piece = [&] {
      const FieldTable table = prs::dataset::split_fields(piece, ',', 64, "fuzz", records);
      if (static_cast<std::int64_t>(table.rows) != scanner.records()) std::abort();
      records += scanner.records();
      for (std::string& field : texts_of(table)) parts.push_back(std::move(field));
      piece.clear();
    };
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view part = rest.substr(0, feed_bytes);
      const std::size_t taken = scanner.scan(part, kNoLimit, piece_bytes);
      piece += part.substr(0, taken);
      rest.remove_prefix(taken);
      if (scanner.stopped()) end_piece();
    }
    if (!piece.empty()) {
      scanner.finish();
      end_piece();
    }
    if (records != static_cast<std::int64_t>(whole.rows) || parts != texts_of(whole)) std::abort();
  } catch (const prs::Error& error) {
    if (error.code() != prs::ErrorCode::kInvalidArgument) std::abort();
  }
  return 0;
}
