// What identifies the inputs of a step for reuse (R1).
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "dataset/dataset.hpp"
#include "dataset/sha256.hpp"

namespace prs::dataset {

/// A hash over the path of each file in order and its size and modification time, or with
/// `by_content` its bytes; how the files are cut into mini-batches makes no difference. A file that
/// is listed but not there counts as such.
class InputIdentity {
 public:
  explicit InputIdentity(bool by_content, std::stop_token stop = {})
      : by_content_(by_content), stop_(std::move(stop)) {}

  /// The mini-batches of a step in their order. Looks at the files: to be called before a worker
  /// may read them, so that a later change gives another identity. Throws io for a file that cannot
  /// be looked at or, by content, read.
  /// Not for tables or what partition keys have grouped, whose files come in pieces and more than
  /// once: input_identity() does these.
  void add(const MiniBatch& mini_batch);
  /// One file more of the input with that index.
  void add_file(std::int64_t input, const std::string& path);
  /// How the tables of the next input are read; `given`: whatever their names are.
  void add_format(const TableFormat& format, bool given);
  /// Hexadecimal digits. The object is used up by it.
  std::string finish();

 private:
  bool by_content_;
  std::stop_token stop_;
  Sha256 hash_;
  std::int64_t input_ = -1;            ///< Of the last mini-batch,
  std::filesystem::path record_file_;  ///< with the last record file.
};

/// The same of all files of the inputs; for tables also over how they are read. Throws as a
/// Partitioner does; cancelled when `stop` is asked for.
std::string input_identity(const InputSpec& inputs, bool by_content,
                           const std::stop_token& stop = {});

}  // namespace prs::dataset
