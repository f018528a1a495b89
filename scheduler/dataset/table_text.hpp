// The rows of pieces of text: delimited and JSON lines. Internal to the reader of tables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataset/column_builder.hpp"
#include "dataset/table.hpp"

namespace prs::dataset {

/// How a reader wants the values.
enum class Values {
  kTyped,
  kTexts,  ///< Every column a kString one without missing values, for grouping.
};

/// The fields of delimited text, row by row.
struct FieldTable {
  std::string bytes;  ///< What the fields lie in; quotes are taken away.
  std::vector<Field> fields;
  std::size_t columns = 0;
  std::size_t rows = 0;
};

/// Cuts UTF-8 into fields as record_scanner.hpp defines them. Every row has `columns` fields, those
/// that are missing at its end are empty; 0: as many as the first row. `where` begins messages,
/// `first_record` is the number of the first row in them. Throws invalid argument for a row with
/// more fields and for a quote that is not closed.
FieldTable split_fields(std::string bytes, char delimiter, std::size_t columns,
                        std::string_view where, std::int64_t first_record);

/// The lines of JSON text, an object each. Throws invalid argument naming the line's record.
Table read_json_lines(std::string bytes, Values values, std::string_view where,
                      std::int64_t first_record);

}  // namespace prs::dataset
