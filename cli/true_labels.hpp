// The true classes of images, which evaluate compares with a model's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <prs/image.hpp>

#include "scoring_options.hpp"

namespace prs::cli {

/// The labels of an IDX or NPY file, one integer a record. Throws prs::Error (invalid argument)
/// naming both counts when it does not hold `count` of them.
std::vector<std::int64_t> read_label_records(const std::filesystem::path& path, std::int64_t count);

/// The class index of an item of the list, if it has one.
using TrueLabels = std::function<std::optional<std::int64_t>(std::int64_t item)>;

/// Looks labels up in
///   an IDX or NPY file    one label an item, in their order;
///   a CSV file            rows name,label, found by base name, else by path as given, else by path
///                         relative to the CSV's folder; a first row ending in "label" or "class"
///                         is the header; a label is the name of a class or its index;
///   a folder, "folders"   the class is the name of the folder that the image lies in.
/// Only a CSV file may leave items without a label. The result refers to `images`. Throws
/// prs::Error (io, invalid argument) naming the file, and the row or image whose label is no class.
TrueLabels read_true_labels(const std::string& source, const ImageList& images,
                            const Scorer& scorer);

}  // namespace prs::cli
