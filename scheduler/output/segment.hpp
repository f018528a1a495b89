// Exactly once (O4): workers write rows to segments of their own; a range of a segment becomes
// output only when the job accepts its mini-batch. Whatever a killed, repeated or doubled try has
// written stays unreferenced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace prs::output {

/// A piece of a segment file.
struct Range {
  std::string segment;  ///< File name within the segments folder.
  std::int64_t offset = 0;
  std::int64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
};

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

/// The worker's side. One writer a file; the file must not exist.
class SegmentWriter {
 public:
  /// Throws io naming the path.
  explicit SegmentWriter(const std::filesystem::path& path);
  ~SegmentWriter();
  /// Appends a mini-batch's rows with one write. Throws io (a full disk, say); what was appended
  /// before stays valid.
  Range append(std::string_view rows);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::output
