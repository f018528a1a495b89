// Exactly once (O4): workers write rows to segments of their own; a range of a segment becomes
// output only when the job accepts its mini-batch. Whatever a killed, repeated or doubled try has
// written stays unreferenced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "output/crc32c.hpp"

namespace prs::output {

/// A piece of a segment file.
struct Range {
  std::string segment;  ///< File name within the segments folder.
  std::int64_t offset = 0;
  std::int64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
};

/// The worker's side. One writer a file; the file must not exist. Not thread-safe.
class SegmentWriter {
 public:
  /// Throws io naming the path. The folder must exist.
  explicit SegmentWriter(const std::filesystem::path& path);
  ~SegmentWriter();
  /// Appends the rows of mini-batches with one write (more only where the kernel writes less).
  /// Throws io (a full disk, say); what was appended before stays valid, and the next append may
  /// succeed.
  std::vector<Range> append(std::span<const std::string_view> rows);
  /// The same of a single one.
  Range append(std::string_view rows) { return append({&rows, 1})[0]; }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::output
