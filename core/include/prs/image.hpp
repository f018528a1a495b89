// Images: decoding files, reading record files (IDX, NPY), and finding both on disk.
//
// Pixels are 8-bit and interleaved (H x W x C) until they are written into a tensor. All functions
// are thread-safe; objects are safe to read from several threads. Image files are untrusted input:
// whatever is wrong with one is an Error that names its path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "prs/export.hpp"
#include "prs/tensor.hpp"

namespace prs {

/// How the pixels of one image lie in a model's input tensor.
enum class Layout {
  kChw,   ///< [N, C, H, W]
  kHwc,   ///< [N, H, W, C]
  kHw,    ///< [N, H, W], one channel
  kFlat,  ///< [N, H*W*C] or [N, H*W*C, 1], pixels in HWC order
};

/// "nchw", "nhwc", "nhw" or "flat".
PRS_API std::string_view layout_name(Layout layout) noexcept;
/// The inverse, any case; throws invalid argument listing the names.
PRS_API Layout parse_layout(std::string_view name);

struct DecodeOptions {
  std::int64_t channels = 1;  ///< 1: gray (luma of colour images), 3: RGB.
  std::int64_t height = 0;    ///< Expected size; 0 accepts any.
  std::int64_t width = 0;
  bool resize = false;  ///< Resize to height x width instead of refusing another size.
  std::int64_t max_pixels = std::int64_t{1} << 26;  ///< Refuse larger images undecoded; below 2^31.
};

/// A decoded image.
struct Image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
  std::vector<std::uint8_t> pixels;  // [H, W, C]
};

/// Decodes PNG, JPEG, BMP, PGM/PPM/PBM or TIFF. `name` (a path, say) begins every message.
/// 16-bit images are scaled to 8 bits; alpha is dropped; EXIF orientation is ignored. BMP must not
/// be run-length-encoded. Bytes after the image are ignored. Throws invalid argument: empty,
/// unknown format, truncated, corrupt, more than max_pixels, or another size than expected without
/// resize.
PRS_API Image decode_image(std::span<const std::byte> bytes, const DecodeOptions& options,
                           std::string_view name);

/// Reads and decodes a file. Throws io when it cannot be read, else as decode_image.
PRS_API Image read_image(const std::filesystem::path& path, const DecodeOptions& options);

/// Reads images into tensors, one after the other: as read_image() with arrange_pixels(), but its
/// buffers are kept, and pixels that need neither scaling nor conversion are decoded to where they
/// belong. One thread at a time.
class PRS_API ImageLoader {
 public:
  /// `options` with a height and a width. Throws invalid argument, out of memory.
  ImageLoader(const DecodeOptions& options, Layout layout);
  ~ImageLoader();
  ImageLoader(ImageLoader&&) noexcept;
  ImageLoader& operator=(ImageLoader&&) noexcept;

  /// What reading and decoding took, in seconds.
  struct Times {
    double read_s = 0;
    double decode_s = 0;
  };

  /// Writes the height x width x channels pixels of a file to `destination`, and adds to `times`.
  /// Throws as read_image(), and `destination` holds anything then.
  void read(const std::string& path, std::uint8_t* destination, Times& times);
  void read(const std::string& path, std::uint8_t* destination);
  /// The same for a file in memory; `name` begins every message.
  void decode(std::span<const std::byte> bytes, std::string_view name, std::uint8_t* destination);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Encodes as PNG, one or three channels. Throws invalid argument for other images.
PRS_API std::vector<std::byte> encode_png(const Image& image);

/// Copies the interleaved pixels of one image to `destination` in the order of `layout`.
PRS_API void arrange_pixels(const Image& image, Layout layout, std::uint8_t* destination);

/// A file of equally shaped records: IDX (optionally gzip-compressed) or NPY.
///
/// Uncompressed files are mapped, compressed ones inflated into memory, never past what the header
/// declares.
class PRS_API RecordFile {
 public:
  /// Throws io when unreadable; invalid argument when it is neither format, truncated, has trailing
  /// bytes, records without elements, or an element type other than u8, i8, bool, i16, i32, i64,
  /// f32, f64 (big-endian ones are converted; f64 becomes f32).
  static RecordFile open(const std::filesystem::path& path);

  /// Whether the name says so: .npy, .idx, .idx.gz, *-ubyte, *-ubyte.gz, *.idx?-ubyte...
  static bool is_record_file(const std::filesystem::path& path);

  DType dtype() const noexcept;
  std::int64_t count() const noexcept;         ///< Records: the first extent.
  const Shape& record_shape() const noexcept;  ///< Without the first extent.
  /// Records [first, first + count) as a view [count, record_shape...]; valid as long as a copy of
  /// this object lives. Throws invalid argument when out of range.
  TensorView records(std::int64_t first, std::int64_t count) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// One thing to score: an image file, or one record of a record file. A view into the ImageList
/// that it came from, which must outlive it.
struct PRS_API ImageItem {
  const std::filesystem::path& path;
  std::int64_t record = -1;  ///< -1: an image file.
  /// "path" or "path#17".
  std::string name() const;
};

/// Items to score in order, numbered from 0. A record file takes the same memory however many
/// records it has. Not thread-safe while files are added, safe to read from several threads after.
class PRS_API ImageList {
 public:
  /// Items that follow one another: an image file, or all records of a record file.
  struct Entry {
    std::filesystem::path path;
    std::int64_t first = 0;         ///< Number of the first item.
    std::int64_t count = 1;         ///< 0 for a record file without records.
    std::int64_t record_file = -1;  ///< Which of record_files(); -1: an image file.
  };
  struct ListedRecordFile {
    std::optional<RecordFile> file;
    std::string error;  ///< Why there is no `file`, beginning with its path.
  };

  void add_image(const std::filesystem::path& path);
  /// A file that is added again is not opened again. One that cannot be opened does not throw: it
  /// becomes one item, without a record, whose failure record_files() tells.
  void add_records(const std::filesystem::path& path);

  std::int64_t size() const noexcept;
  /// `index` must be below size().
  ImageItem item(std::int64_t index) const;
  /// The entry that holds an item.
  const Entry& entry_of(std::int64_t index) const;
  const std::vector<Entry>& entries() const noexcept { return entries_; }
  /// In order of their first appearance.
  const std::vector<ListedRecordFile>& record_files() const noexcept { return record_files_; }

 private:
  std::vector<Entry> entries_;
  std::vector<ListedRecordFile> record_files_;
  std::map<std::filesystem::path, std::int64_t> known_;  // Which of record_files_.
};

/// Turns command-line arguments into items, in argument order: files, folders (recursively, sorted
/// by path, image files only: by extension), globs (*, ?, [..], ** crosses folders; for shells that
/// do not expand them, or when quoted), IDX and NPY files (every record), and "@list" or "-" (a
/// list of the former, one a line, from a file or standard input; blank lines skipped). Throws
/// invalid argument naming an argument that matches nothing; files that exist fail when they are
/// read, alone.
PRS_API ImageList expand_image_arguments(std::span<const std::string> arguments);

/// Whether the extension is one of the image formats that decode_image reads.
PRS_API bool is_image_path(const std::filesystem::path& path);

}  // namespace prs
