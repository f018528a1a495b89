// The text of a file: gunzipped where it is compressed, UTF-16 as UTF-8, at any position.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "dataset/table_format.hpp"

namespace prs::dataset {

/// Used by one thread. Every function throws io for a file that cannot be read, invalid argument
/// for gzip data or UTF-16 that is damaged; both name the file.
class ByteSource {
 public:
  /// gzip is found by its first bytes, UTF-16 by a byte order mark or `encoding`. The one-byte
  /// encodings are given out as they are: record ends are the same bytes in all of them.
  ByteSource(const std::filesystem::path& path, TableFormat::Encoding encoding);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// What read() gives out: kUtf8 also where the file is UTF-16 or begins with UTF-8's mark.
  TableFormat::Encoding encoding() const;
  /// Where the text begins: behind a byte order mark.
  std::int64_t begin() const;
  /// Fills `destination` with the bytes at `offset`; fewer only at the end of the file. In a
  /// compressed or UTF-16 file going on costs what is read, going back starts over.
  std::int64_t read(std::int64_t offset, char* destination, std::int64_t size_bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// UTF-8 from a one-byte encoding. Throws nothing: every byte means something.
std::string to_utf8(std::string_view text, TableFormat::Encoding encoding);

}  // namespace prs::dataset
