// The output file: <name>.partial while the job runs, the final name by a rename when it is done.
//
//   Assembly assembly(options, journal.last_output_length());
//   const Placement placed = assembly.accept(mini_batch, range);  // then journal it
//   assembly.publish();
//
// Resume: the journal holds the length of .partial after each accepted mini-batch; reopening cuts
// the file back to the last journaled length, so that a range is in it once or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "output/segment.hpp"

namespace prs::output {

struct AssemblyOptions {
  std::filesystem::path final_path;      ///< <output>/parallel_run_step.txt
  std::filesystem::path segment_folder;  ///< <output>/.prs/segments
  /// First line, with or without its line end, or "". On resume the file has it already.
  std::string header;
  bool ordered = false;  ///< Rows sorted by mini-batch at publish().
  /// Makes the final file of the rows, at publish(); throws what went wrong. Empty: they are it.
  std::function<void(const std::filesystem::path& rows, const std::filesystem::path& target)>
      convert = {};
};

/// Where accepted rows lie in .partial; what the journal is to hold.
struct Placement {
  std::int64_t offset = 0;  ///< Of the rows' first byte.
  std::int64_t length = 0;  ///< Of .partial with these rows at its end.
};

/// Not thread-safe. Holds 24 bytes a mini-batch when ordered, and 1 MiB in any case.
class Assembly {
 public:
  /// Creates <name>.partial (an older one is replaced) or, with `resume_length` >= 0, reopens it,
  /// cut to that length. Creates the folders. Throws io, also when .partial is missing or shorter
  /// than `resume_length`; invalid argument when the final file exists (O5).
  ///
  /// A job killed between publish() and the journal's last word may be resumed too: publish() then
  /// finishes what is left, and accept() is refused.
  explicit Assembly(const AssemblyOptions& options, std::int64_t resume_length = -1);
  ~Assembly();

  /// Resume of an ordered output: the place of rows accepted before, one call a mini-batch, before
  /// publish(). Throws io when they do not lie within .partial.
  void restore(std::int64_t mini_batch, std::int64_t offset, std::int64_t size_bytes);

  /// Appends the range's bytes. Throws io when the segment is shorter or damaged (checksum), or the
  /// disk is full; .partial then ends where it ended before. Invalid argument after publish().
  Placement accept(std::int64_t mini_batch, const Range& range);

  /// A segment that accept() has seen stays open until this: its worker writes no more.
  void forget_segment(const std::string& name);

  /// Syncs .partial, sorts it when ordered (which takes the space of a second copy), converts it,
  /// and renames it to the final name. Throws io, and invalid argument when the final file has come
  /// to exist; .partial then still holds every row.
  void publish();
  /// Keeps .partial as it is, synced; the job failed or was canceled.
  void keep_partial();

  std::filesystem::path partial_path() const;

  /// The length of the .partial of `final_path`, -1 when there is none.
  static std::int64_t partial_length(const std::filesystem::path& final_path);
  /// How many bytes of rows a resume can build on: those of .partial, after a power failure fewer
  /// than the journal says (see Journal::forget_beyond()); without limit when publish() has renamed
  /// it already; -1 when there is nothing.
  static std::int64_t kept_length(const std::filesystem::path& final_path);
  /// The first bytes of that .partial: its header, when the first rows begin there. Throws io.
  static std::string partial_head(const std::filesystem::path& final_path, std::int64_t size_bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::output
