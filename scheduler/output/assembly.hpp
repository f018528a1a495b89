// The output file: <name>.partial while the job runs, the final name by a rename when it is done.
//
// Resume: the journal holds the length of .partial after each accepted mini-batch; reopening cuts
// the file back to the last journaled length, so that a range is in it once or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "output/segment.hpp"

namespace prs::output {

struct AssemblyOptions {
  std::filesystem::path final_path;      ///< <output>/parallel_run_step.txt
  std::filesystem::path segment_folder;  ///< <output>/.prs/segments
  std::string header;                    ///< First line, or "".
  bool ordered = false;                  ///< Rows sorted by mini-batch at publish().
};

/// Not thread-safe.
class Assembly {
 public:
  /// Creates <name>.partial, or with `resume_length` >= 0 reopens it, cut to that length. Throws
  /// io; invalid argument when the final file exists.
  Assembly(const AssemblyOptions& options, std::int64_t resume_length = -1);
  ~Assembly();

  /// Appends the range's bytes; returns the new length of .partial. Throws io when the segment is
  /// shorter or damaged (checksum), or the disk is full; .partial then ends where it ended before.
  std::int64_t accept(std::int64_t mini_batch, const Range& range);

  /// Syncs .partial, sorts it when ordered, and renames it to the final name.
  void publish();
  /// Keeps .partial as it is, synced; the job failed or was canceled.
  void keep_partial();

  std::filesystem::path partial_path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::output
