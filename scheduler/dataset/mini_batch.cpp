// The compact form of a mini-batch:
//
//   id input kind   kind 0: count (length path)*        an integer is 8 bytes, little-endian
//                   kind 1: length path first count
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <prs/error.hpp>

#include "dataset/dataset.hpp"

namespace prs::dataset {
namespace {

enum Kind : std::int64_t { kFiles = 0, kRecords = 1 };

void put(std::string& bytes, std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
}

void put(std::string& bytes, const std::filesystem::path& path) {
  put(bytes, static_cast<std::int64_t>(path.native().size()));
  bytes += path.native();
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::int64_t number() {
    if (bytes_.size() < 8) fail();
    std::uint64_t bits = 0;
    for (std::size_t i = 8; i-- > 0;) bits = bits << 8 | static_cast<unsigned char>(bytes_[i]);
    bytes_.remove_prefix(8);
    return static_cast<std::int64_t>(bits);
  }
  /// A number in [0, limit].
  std::int64_t count(std::int64_t limit) {
    const std::int64_t value = number();
    if (value < 0 || value > limit) fail();
    return value;
  }
  std::filesystem::path path() {
    const auto size = static_cast<std::size_t>(count(static_cast<std::int64_t>(bytes_.size())));
    if (size > bytes_.size()) fail();
    const std::string text(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return text;
  }
  std::size_t left() const { return bytes_.size(); }
  [[noreturn]] static void fail() {
    throw Error(ErrorCode::kInvalidArgument, "the description of a mini-batch is damaged");
  }

 private:
  std::string_view bytes_;
};

}  // namespace

std::int64_t MiniBatch::items() const {
  return is_records() ? record_count : static_cast<std::int64_t>(files.size());
}

std::string MiniBatch::item_name(std::int64_t i) const {
  if (is_records()) return fmt::format("{}#{}", record_file.string(), first_record + i);
  return files[static_cast<std::size_t>(i)].string();
}

std::string serialize(const MiniBatch& mini_batch) {
  std::string bytes;
  put(bytes, mini_batch.id);
  put(bytes, mini_batch.input);
  if (mini_batch.is_records()) {
    put(bytes, std::int64_t{kRecords});
    put(bytes, mini_batch.record_file);
    put(bytes, mini_batch.first_record);
    put(bytes, mini_batch.record_count);
  } else {
    put(bytes, std::int64_t{kFiles});
    put(bytes, static_cast<std::int64_t>(mini_batch.files.size()));
    for (const std::filesystem::path& file : mini_batch.files) put(bytes, file);
  }
  return bytes;
}

MiniBatch parse(std::string_view bytes) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  Reader reader(bytes);
  MiniBatch mini_batch;
  mini_batch.id = reader.count(kMost);
  mini_batch.input = reader.count(kMost);
  const std::int64_t kind = reader.number();
  if (kind == kFiles) {
    // Every path takes 8 bytes at least: a count that lies is seen before memory is taken.
    const std::int64_t count = reader.count(static_cast<std::int64_t>(reader.left() / 8));
    for (std::int64_t i = 0; i < count; ++i) mini_batch.files.push_back(reader.path());
  } else if (kind == kRecords) {
    mini_batch.record_file = reader.path();
    if (mini_batch.record_file.empty()) Reader::fail();
    mini_batch.first_record = reader.count(kMost);
    mini_batch.record_count = reader.count(kMost - mini_batch.first_record);
  } else {
    Reader::fail();
  }
  if (reader.left() > 0) Reader::fail();
  return mini_batch;
}

}  // namespace prs::dataset
