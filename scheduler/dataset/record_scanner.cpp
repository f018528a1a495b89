#include "dataset/record_scanner.hpp"

#include <algorithm>
#include <bit>

#include "dataset/byte_blocks.hpp"

namespace prs::dataset {

struct RecordScanner::Masks {
  Masks(std::string_view bytes, char delimiter, bool with_quotes) {
    const ByteBlock block(bytes);
    size = std::min(bytes.size(), ByteBlock::kSize);
    ends = block.equal_to('\n') | block.equal_to('\r');
    quotes = with_quotes ? block.equal_to('"') : 0;
    delimiters = with_quotes ? block.equal_to(delimiter) : 0;
    text = ~(ends | block.equal_to(' ') | block.equal_to('\t')) | delimiters;
    if (size == ByteBlock::kSize) return;
    // The padding could be the delimiter.
    const std::uint64_t inside = (std::uint64_t{1} << size) - 1;
    delimiters &= inside;
    text &= inside;
  }

  std::size_t size;
  std::uint64_t ends, quotes, delimiters;
  std::uint64_t text;  ///< What makes a line more than blank.
};

namespace {

/// The bits from `begin` on.
std::uint64_t from(std::size_t begin) { return begin >= 64 ? 0 : ~std::uint64_t{0} << begin; }

/// The bits [begin, end), end < 64.
std::uint64_t between(std::size_t begin, std::size_t end) { return from(begin) & ~from(end); }

}  // namespace

void RecordScanner::begin() {
  if (!stopped_) return;
  stopped_ = false;
  records_ = 0;
  seen_ = 0;
}

std::size_t RecordScanner::scan(std::string_view next, std::int64_t records, std::int64_t bytes) {
  begin();
  std::size_t taken = 0;
  while (taken < next.size() && !stopped_) {
    const std::size_t size = scan_block(
        Masks(next.substr(taken, ByteBlock::kSize), delimiter_, quotes_), records, bytes);
    taken += size;
    seen_ += static_cast<std::int64_t>(size);
  }
  return taken;
}

std::size_t RecordScanner::scan_block(const Masks& masks, std::int64_t records,
                                      std::int64_t bytes) {
  const std::uint64_t starts = (masks.ends | masks.delimiters) << 1 | std::uint64_t{field_start_};
  std::size_t line = 0;  // Where the line begins, or 0.
  std::uint64_t events = quoted_ || masks.quotes != 0 ? masks.ends | masks.quotes : masks.ends;
  std::size_t closed = just_closed_ ? 0 : ByteBlock::kSize + 1;  // Where a quote would be a pair's.
  for (; events != 0; events &= events - 1) {
    const auto at = static_cast<std::size_t>(std::countr_zero(events));
    const std::uint64_t bit = std::uint64_t{1} << at;
    if ((masks.quotes & bit) != 0) {
      if (quoted_) {
        quoted_ = false;
        closed = at + 1;
      } else if (at == closed || (starts & bit) != 0) {
        quoted_ = true;
      }
      continue;
    }
    if (quoted_) continue;
    const bool is_record = has_text_ || (masks.text & between(line, at)) != 0;
    records_ += is_record ? 1 : 0;
    has_text_ = false;
    line = at + 1;
    if (is_record && (records_ >= records || seen_ + static_cast<std::int64_t>(line) >= bytes)) {
      stopped_ = true;
      just_closed_ = false;
      field_start_ = true;
      return line;
    }
  }
  has_text_ = has_text_ || (masks.text & from(line)) != 0;
  just_closed_ = closed == masks.size;
  field_start_ = ((masks.ends | masks.delimiters) >> (masks.size - 1) & 1) != 0;
  return masks.size;
}

void RecordScanner::finish() {
  begin();  // When nothing followed the last stop.
  if (has_text_) ++records_;
  has_text_ = false;
  stopped_ = true;
}

}  // namespace prs::dataset
