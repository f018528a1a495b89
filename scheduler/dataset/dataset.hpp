// Cutting inputs into mini-batches (section D of docs/semantics.md), as a stream: the first
// mini-batch is there before the last file is listed, and never are all paths in memory.
//
// A mini-batch is a description, never bytes: paths, or a record file and a range in it.
//
//   Partitioner partitioner(inputs, size);                  // checks that every input exists
//   ListingWriter listing(folder / "listing");              // mini-batch k stays k for ever (D7)
//   while (auto mini_batch = partitioner.next()) listing.append(*mini_batch);
//   listing.finish();
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/step.hpp"

namespace prs::dataset {

/// One mini-batch. Either files (an item is a file) or records of one file (an item is a record).
struct MiniBatch {
  std::int64_t id = 0;     ///< 0, 1, 2, ... within the job.
  std::int64_t input = 0;  ///< Index of the input it comes from; a mini-batch never mixes them.
  std::vector<std::filesystem::path> files;
  std::filesystem::path record_file;  ///< Set for records; `files` is empty then.
  std::int64_t first_record = 0;
  std::int64_t record_count = 0;

  bool is_records() const { return !record_file.empty(); }
  std::int64_t items() const;
  /// "path" of file i, or "file.idx#17": what logs and rows call the item.
  std::string item_name(std::int64_t i) const;
};

/// A compact self-contained form for the listing and the wire. parse() throws invalid argument for
/// anything that serialize() cannot have written.
std::string serialize(const MiniBatch& mini_batch);
MiniBatch parse(std::string_view bytes);

class Partitioner {
 public:
  /// Inputs as expand_image_arguments takes them: files, folders (recursive; image files only),
  /// globs, @lists, IDX(.gz) and NPY files. All of one kind (D1): image files, or record files.
  /// Bytes as unit hold for record files only. Throws invalid argument or io naming the input.
  Partitioner(std::vector<std::string> inputs, config::MiniBatchSize size);
  ~Partitioner();

  /// The next mini-batch with the next id, or nothing at the end. Throws io when a folder cannot be
  /// read.
  std::optional<MiniBatch> next();
  /// Items given out so far.
  std::int64_t items() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Appends mini-batches to a file and remembers where each lies (8 bytes a mini-batch in memory).
class ListingWriter {
 public:
  /// Creates or, with `resume`, reopens the file behind the last whole record (a torn tail is cut).
  ListingWriter(const std::filesystem::path& path, bool resume);
  ~ListingWriter();
  void append(const MiniBatch& mini_batch);
  /// Marks the listing as complete.
  void finish();
  bool finished() const;
  std::int64_t size() const;  ///< Mini-batches so far.
  MiniBatch read(std::int64_t id) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What identifies the inputs for reuse (R1): a hash over each item's path, size and modification
/// time, or with `by_content` over its bytes.
std::string input_identity(const std::vector<std::string>& inputs, bool by_content);

}  // namespace prs::dataset
