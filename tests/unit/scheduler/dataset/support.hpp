// What the tests of the data set share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "dataset/dataset.hpp"
#include "sample_files.hpp"
#include "support/files.hpp"

namespace prs::test {

inline std::filesystem::path write_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
  return path;
}

/// An IDX file of `count` records of 28 x 28 bytes.
inline std::string write_records(const std::filesystem::path& path, std::uint32_t count) {
  const std::uint32_t extents[] = {count, 28, 28};
  const Bytes bytes = idx_file(0x08, extents, Bytes(std::size_t{count} * 28 * 28));
  return write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).string();
}

inline std::vector<dataset::MiniBatch> all(dataset::Partitioner& partitioner) {
  std::vector<dataset::MiniBatch> batches;
  while (auto batch = partitioner.next()) batches.push_back(std::move(*batch));
  return batches;
}

inline std::vector<dataset::MiniBatch> partition(std::vector<std::string> inputs,
                                                 config::MiniBatchSize size) {
  dataset::Partitioner partitioner(std::move(inputs), size);
  return all(partitioner);
}

}  // namespace prs::test
