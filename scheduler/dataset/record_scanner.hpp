// Finds where the records of a text file end, at the speed of memory.
//
//   record = field (delimiter field)* end        field = '"' (any | '""')* '"' rest | rest
//   end    = LF | CR | end of the file           rest  = bytes but delimiter, LF and CR
//
// RFC 4180 as pandas reads it: a quote opens a field only at its very beginning and is a character
// like others elsewhere; lines of nothing but blanks are no records; so CR LF is an end and an
// empty line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace prs::dataset {

/// Fed a file's bytes from the beginning of a record on, in parts of any size.
class RecordScanner {
 public:
  /// Without `quotes` (JSON lines) every line is a record.
  RecordScanner(char delimiter, bool quotes) : delimiter_(delimiter), quotes_(quotes) {}

  /// Looks at the next bytes up to the end of a record by which at least `records` records or at
  /// least `bytes` bytes (one is enough, both at least 1) have been seen since the last stop.
  /// Returns how many it took; stopped() tells whether that record end was reached.
  /// kNoLimit for either: the other decides.
  static constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
  std::size_t scan(std::string_view next, std::int64_t records, std::int64_t bytes);
  bool stopped() const { return stopped_; }
  /// Tells that the file has ended: what is no blank is a record also without a line's end.
  void finish();

  /// Since the last stop; that stop's own count until scan() goes on.
  std::int64_t records() const { return records_; }

 private:
  struct Masks;
  void begin();  ///< After a stop.
  std::size_t scan_block(const Masks& masks, std::int64_t records, std::int64_t bytes);

  char delimiter_;
  bool quotes_;
  bool stopped_ = false;
  bool quoted_ = false;       ///< Within a quoted field.
  bool just_closed_ = false;  ///< The last byte was a quote that closed one (or half of a pair).
  bool field_start_ = true;   ///< The next byte is a field's first.
  bool has_text_ = false;     ///< The line so far is not blank.
  std::int64_t records_ = 0;
  std::int64_t seen_ = 0;  ///< Bytes since the last stop.
};

}  // namespace prs::dataset
