// A machine over the bytes that mean something (delimiters, quotes, line ends), which are found 64
// bytes at a time.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include <prs/error.hpp>

#include "dataset/byte_blocks.hpp"
#include "dataset/table_text.hpp"

namespace prs::dataset {
namespace {

class Splitter {
 public:
  Splitter(std::string bytes, char delimiter, std::size_t columns, std::string_view where,
           std::int64_t first_record)
      : delimiter_(delimiter), where_(where), first_record_(first_record) {
    if (bytes.size() >= std::numeric_limits<std::uint32_t>::max()) {
      fail("more than 4 GiB in one mini-batch; choose a smaller mini_batch_size");
    }
    table_.bytes = std::move(bytes);
    table_.bytes += '\n';  // Ends the last record where the file does not.
    table_.columns = columns;
    table_.fields.reserve(table_.bytes.size() / 4);  // What is not used stays untouched.
  }

  FieldTable split() {
    const std::string_view bytes = table_.bytes;
    for (std::size_t block = 0; block < bytes.size(); block += ByteBlock::kSize) {
      const ByteBlock masks(bytes.substr(block));
      const std::uint64_t delimiters = masks.equal_to(delimiter_);
      const std::uint64_t quotes = masks.equal_to('"');
      std::uint64_t events = masks.equal_to('\n') | masks.equal_to('\r') | quotes | delimiters;
      const std::size_t left = bytes.size() - block;
      if (left < ByteBlock::kSize) events &= (std::uint64_t{1} << left) - 1;
      if (quotes == 0 && !quoted_ && !opened_) {
        split_plain(block, events, delimiters);
        continue;
      }
      for (; events != 0; events &= events - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(events));
        const std::uint64_t mask = std::uint64_t{1} << bit;
        if ((quotes & mask) != 0) {
          on_quote(block + bit);
        } else if (!quoted_) {
          (delimiters & mask) != 0 ? end_field(block + bit) : end_line(block + bit);
        }
      }
    }
    if (quoted_) fail("a quoted field that is never closed");
    return std::move(table_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}#{}: {}", where_,
                            first_record_ + static_cast<std::int64_t>(table_.rows), what));
  }

  void on_quote(std::size_t at) {
    if (quoted_) {
      quoted_ = false;
      closed_ = at + 1;
    } else if (at == begin_) {
      quoted_ = true;
      opened_ = true;
    } else if (opened_ && at == closed_) {
      quoted_ = true;
      doubled_ = true;
    }
  }

  /// A block without quotes that begins outside of a quoted field: most of most files.
  void split_plain(std::size_t block, std::uint64_t events, std::uint64_t delimiters) {
    for (; events != 0; events &= events - 1) {
      const std::size_t at = block + static_cast<std::size_t>(std::countr_zero(events));
      if ((delimiters & (events & ~(events - 1))) == 0) {
        end_line(at);
      } else {
        add_field({static_cast<std::uint32_t>(begin_), static_cast<std::uint32_t>(at - begin_)});
        begin_ = at + 1;
      }
    }
  }

  void add_field(Field field) {
    ++in_row_;
    if (table_.columns == 0 || in_row_ <= table_.columns) table_.fields.push_back(field);
  }

  void end_field(std::size_t end) {
    Field field{static_cast<std::uint32_t>(begin_), static_cast<std::uint32_t>(end - begin_)};
    if (opened_) field = unquoted(field);
    add_field(field);
    begin_ = end + 1;
    opened_ = false;
    doubled_ = false;
  }

  /// Takes the quotes away, in place.
  Field unquoted(Field field) {
    if (!doubled_ && closed_ == field.begin + field.size) {
      return {field.begin + 1, field.size - 2};
    }
    char* const text = table_.bytes.data() + field.begin;
    std::uint32_t kept = 0;
    bool quoted = true;  // What follows the closing quote is taken as it is.
    for (std::uint32_t i = 1; i < field.size; ++i) {
      if (quoted && text[i] == '"') {
        quoted = i + 1 < field.size && text[i + 1] == '"';
        if (!quoted) continue;
        ++i;
      }
      text[kept++] = text[i];
    }
    return {field.begin, kept};
  }

  void end_line(std::size_t end) {
    if (in_row_ == 0 && is_blank(begin_, end)) {
      begin_ = end + 1;
      return;
    }
    end_field(end);
    if (table_.columns == 0) table_.columns = in_row_;
    if (in_row_ > table_.columns) {
      fail(
          fmt::format("{} fields, but there are {} columns; a text with a delimiter in it must "
                      "stand in quotes",
                      in_row_, table_.columns));
    }
    table_.fields.resize(table_.fields.size() + table_.columns - in_row_);
    in_row_ = 0;
    ++table_.rows;
  }

  bool is_blank(std::size_t begin, std::size_t end) const {
    for (; begin < end; ++begin) {
      if (table_.bytes[begin] != ' ' && table_.bytes[begin] != '\t') return false;
    }
    return true;
  }

  const char delimiter_;
  const std::string_view where_;
  const std::int64_t first_record_;
  FieldTable table_;
  std::size_t begin_ = 0;   ///< Of the current field.
  std::size_t in_row_ = 0;  ///< Fields of the current row so far.
  bool quoted_ = false;
  bool opened_ = false;     ///< The current field began with a quote,
  bool doubled_ = false;    ///< has "" in it,
  std::size_t closed_ = 0;  ///< and its last closing quote stands before this.
};

}  // namespace

FieldTable split_fields(std::string bytes, char delimiter, std::size_t columns,
                        std::string_view where, std::int64_t first_record) {
  return Splitter(std::move(bytes), delimiter, columns, where, first_record).split();
}

}  // namespace prs::dataset
