// Rows next to each other that have the same values in some columns.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "config/step.hpp"
#include "dataset/table_format.hpp"

namespace prs::dataset {

/// Calls `visit` with the texts of `columns` for each run of rows of the file, in order; `part` is
/// how much of the file is in memory at once. Throws as read_table(), and invalid argument for a
/// column that the file does not have.
void for_each_run(const std::filesystem::path& file, const TableFormat& format,
                  config::MiniBatchSize part, const std::vector<std::string>& columns,
                  const std::function<void(const std::vector<std::string>& values,
                                           const TablePiece& run)>& visit);

}  // namespace prs::dataset
