// The listing: which mini-batch is which, for ever. Numbers are little-endian.
//
//   listing = "PRSLIST1" record* [end]
//   record  = size:u32 crc32c:u32 bytes[size]     crc32c over bytes, a serialized mini-batch
//   end     = 0xFFFFFFFF:u32 crc32c:u32 count:u64  crc32c over count
#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <string_view>

#include <prs/error.hpp>

#include "dataset/dataset.hpp"
#include "output/crc32c.hpp"
#include "output/file_io.hpp"
#include "output/read_window.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "PRSLIST1";
constexpr std::int64_t kHeaderBytes = 8;  ///< Size and checksum of a record.
constexpr std::int64_t kEndBytes = kHeaderBytes + 8;
constexpr std::uint32_t kEndMark = 0xFFFFFFFF;

template <typename T>
void append_little_endian(T value, std::string& out) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(value >> (8 * i));
}

std::uint32_t load_u32(const char* bytes) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
  return value;
}

std::string framed(std::string_view bytes, std::uint32_t size_field) {
  std::string record;
  record.reserve(bytes.size() + kHeaderBytes);
  append_little_endian(size_field, record);
  append_little_endian(output::crc32c(bytes), record);
  record += bytes;
  return record;
}

std::string end_record(std::size_t count) {
  std::string bytes;
  append_little_endian(std::uint64_t{count}, bytes);
  return framed(bytes, kEndMark);
}

}  // namespace

struct ListingWriter::State {
  fs::path path;
  output::Descriptor file;
  std::vector<std::int64_t> offsets;  ///< Of each record.
  std::int64_t end = 0;               ///< Where the next record goes.
  bool finished = false;
  mutable output::ReadWindow window;  ///< Mini-batches are read in their order, mostly.

  [[noreturn]] void fail(ErrorCode code, std::string_view what) const {
    throw Error(code, fmt::format("{}: {}", path.string(), what));
  }

  void begin() {
    output::truncate(file, path, 0);
    output::write_at(file, path, 0, kMagic);
    end = static_cast<std::int64_t>(kMagic.size());
  }

  /// Finds the whole records of a file of this size. With `cut` what follows them is cut off.
  void recover(std::int64_t size_bytes, bool cut) {
    std::array<char, kMagic.size()> magic{};
    const auto held = std::min<std::int64_t>(size_bytes, static_cast<std::int64_t>(magic.size()));
    output::read_at(file, path, 0, magic.data(), held);
    if (!kMagic.starts_with({magic.data(), static_cast<std::size_t>(held)})) {
      fail(ErrorCode::kInvalidArgument, "not a listing of mini-batches");
    }
    if (held < static_cast<std::int64_t>(kMagic.size())) {
      if (cut) begin();
      return;
    }
    end = held;
    std::string bytes;
    while (!finished && read_record(size_bytes, bytes)) {
      if (finished) break;
      check(bytes, size());
      offsets.push_back(end);
      end += kHeaderBytes + static_cast<std::int64_t>(bytes.size());
    }
    if (cut && !finished && end < size_bytes) output::truncate(file, path, end);
  }

  /// Reads the record at `end` into `bytes`, or sees that the listing is complete. False when no
  /// whole record is there.
  bool read_record(std::int64_t size_bytes, std::string& bytes) {
    const std::int64_t left = size_bytes - end;
    if (left < kHeaderBytes) return false;
    std::array<char, kEndBytes> header{};
    const std::int64_t held = std::min(left, kEndBytes);
    output::read_at(file, path, end, header.data(), held);
    const std::uint32_t size = load_u32(header.data());
    if (size == kEndMark) {
      finished = std::string_view(header.data(), static_cast<std::size_t>(held)) ==
                     end_record(offsets.size()) &&
                 held == left;
      return finished;
    }
    if (size > left - kHeaderBytes) return false;
    bytes.resize(size);
    output::read_at(file, path, end + kHeaderBytes, bytes.data(), size);
    // No mini-batch is empty: zeros, which a crash of the machine may leave, are no record.
    return size > 0 && output::crc32c(bytes) == load_u32(header.data() + 4);
  }

  std::int64_t size() const { return static_cast<std::int64_t>(offsets.size()); }

  /// The serialized mini-batch `id`, which is in [0, size()).
  std::string read(std::int64_t id) const {
    const std::int64_t begin = offsets[static_cast<std::size_t>(id)];
    const std::int64_t next = id + 1 < size() ? offsets[static_cast<std::size_t>(id + 1)] : end;
    const std::string_view record = window.read(file, path, begin, next - begin);
    const std::string_view bytes = record.substr(kHeaderBytes);
    if (output::crc32c(bytes) != load_u32(record.data() + 4)) {
      fail(ErrorCode::kIo, fmt::format("mini-batch {} is damaged on the disk", id));
    }
    return std::string(bytes);
  }

  MiniBatch check(std::string_view bytes, std::int64_t id) const {
    MiniBatch batch = parse(bytes);
    if (batch.id != id) {
      fail(ErrorCode::kInvalidArgument,
           fmt::format("mini-batch {} stands where {} belongs; the listing is damaged", batch.id,
                       id));
    }
    return batch;
  }
};

ListingWriter::ListingWriter(const fs::path& path, bool resume)
    : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->file = output::open_file(path, O_RDWR | O_CREAT);
  const std::int64_t size_bytes = output::file_size(state_->file, path);
  if (resume && size_bytes > 0) {
    state_->recover(size_bytes, true);
  } else {
    state_->begin();
  }
}

ListingWriter::~ListingWriter() = default;

void ListingWriter::append(std::span<const MiniBatch> mini_batches) {
  State& state = *state_;
  if (state.finished) state.fail(ErrorCode::kInternal, "appended to after its end");
  std::string records;
  std::vector<std::int64_t> offsets;
  for (const MiniBatch& mini_batch : mini_batches) {
    const std::int64_t id = size() + static_cast<std::int64_t>(offsets.size());
    if (mini_batch.id != id) {
      state.fail(ErrorCode::kInternal,
                 fmt::format("mini-batch {} appended after {}", mini_batch.id, id));
    }
    const std::string bytes = serialize(mini_batch);
    if (bytes.size() >= kEndMark) {
      state.fail(ErrorCode::kInvalidArgument,
                 fmt::format("the paths of mini-batch {} take {} bytes, at most 4 GiB fit; choose "
                             "a smaller mini_batch_size",
                             mini_batch.id, bytes.size()));
    }
    offsets.push_back(state.end + static_cast<std::int64_t>(records.size()));
    records += framed(bytes, static_cast<std::uint32_t>(bytes.size()));
  }
  output::write_at(state.file, state.path, state.end, records);
  state.offsets.insert(state.offsets.end(), offsets.begin(), offsets.end());
  state.end += static_cast<std::int64_t>(records.size());
}

void ListingWriter::finish() {
  State& state = *state_;
  if (state.finished) return;
  // What an append that failed may have left.
  output::truncate(state.file, state.path, state.end);
  output::write_at(state.file, state.path, state.end, end_record(state.offsets.size()));
  output::sync_data(state.file, state.path);
  state.finished = true;
}

bool ListingWriter::finished() const { return state_->finished; }

std::int64_t ListingWriter::size() const { return state_->size(); }

MiniBatch ListingWriter::read(std::int64_t id) const {
  return state_->check(read_serialized(id), id);
}

std::string ListingWriter::read_serialized(std::int64_t id) const {
  const State& state = *state_;
  if (id < 0 || id >= size()) {
    state.fail(ErrorCode::kInternal, fmt::format("mini-batch {} of {} asked for", id, size()));
  }
  return state.read(id);
}

MiniBatch read_listed(const fs::path& path, std::int64_t id) {
  ListingWriter::State state;
  state.path = path;
  state.file = output::open_file(path, O_RDONLY);
  state.recover(output::file_size(state.file, path), false);
  if (id < 0 || id >= state.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("mini-batch {} is not among the {} that the job has listed{}", id,
                            state.size(), state.size() == 0 ? "" : ", counted from 0"));
  }
  return state.check(state.read(id), id);
}

}  // namespace prs::dataset
