// From the texts of a column to typed values, by pandas.read_csv's rules.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dataset/table.hpp"

namespace prs::dataset {

/// A field's text within the bytes of a piece.
struct Field {
  std::uint32_t begin = 0;
  std::uint32_t size = 0;
};

/// One column of a table of fields that lie row by row.
class FieldColumn {
 public:
  FieldColumn(std::string_view bytes, std::span<const Field> fields, std::size_t columns,
              std::size_t column)
      : bytes_(bytes), fields_(fields), columns_(columns), column_(column) {}

  std::size_t rows() const { return fields_.size() / columns_; }
  std::string_view operator[](std::size_t row) const {
    const Field field = fields_[row * columns_ + column_];
    return {bytes_.data() + field.begin, field.size};
  }

 private:
  std::string_view bytes_;
  std::span<const Field> fields_;
  std::size_t columns_;
  std::size_t column_;
};

/// Whole numbers where all are, numbers where all are numbers or missing, True and False, else
/// text. `empty_as_string`: in a text column an empty field is a text. Whole numbers past 2^63 are
/// text.
Column infer_column(std::string name, const FieldColumn& texts, bool empty_as_string);

/// The same texts without a look at them: what is empty is "".
Column text_column(std::string name, const FieldColumn& texts);

/// Whether pandas takes the text for a missing value.
bool is_missing(std::string_view text);

/// Appends a text to a kString column.
void append_text(Column& column, std::string_view text);
/// Appends a missing value to a kString column that has `offsets`.
void append_missing_text(Column& column);

/// pandas' names for columns: "Unnamed: 2" for an empty one, "a.1" for the second "a".
std::vector<std::string> distinct_names(std::vector<std::string> names);

}  // namespace prs::dataset
