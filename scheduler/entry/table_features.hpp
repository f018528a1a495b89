// From the columns of a table to the rows of a model's input.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataset/table.hpp"

namespace prs::entry {

/// The columns that make up an input of `features` values a row: those named, or else all columns
/// of numbers and booleans in their order. Throws invalid argument naming the columns that there
/// are when a name is unknown or no number, or when their count is not `features`.
std::vector<const dataset::Column*> feature_columns(const dataset::Table& table,
                                                    const std::vector<std::string>& names,
                                                    std::int64_t features);

/// Writes rows [first, first + count) to `destination`, [count, columns.size()]; a missing value is
/// NaN, true is 1.
void copy_features(const std::vector<const dataset::Column*>& columns, std::int64_t first,
                   std::int64_t count, float* destination);

}  // namespace prs::entry
