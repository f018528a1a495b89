// MLTable files: which files a table is made of, and how they are read.
//
//   paths:
//     - file: ./2024.csv             or folder: DIR, pattern: ./*.csv
//   transformations:
//     - read_delimited: {delimiter: ";", encoding: latin1, header: all_files_same_headers}
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "dataset/table_format.hpp"

namespace prs::dataset {

struct MlTable {
  std::vector<std::string> files;              ///< Files and patterns, in order; absolute.
  std::vector<std::filesystem::path> folders;  ///< Behind `files`.
  std::optional<TableFormat> format;           ///< Nothing: as the files' extensions say.
};

/// The MLTable file that `input` is or, as a folder, has in it.
std::optional<std::filesystem::path> mltable_of(const std::filesystem::path& input);

/// Throws io; invalid argument and, for transformations and options that are not carried out,
/// unsupported, with file, line and name.
MlTable read_mltable(const std::filesystem::path& file);

}  // namespace prs::dataset
