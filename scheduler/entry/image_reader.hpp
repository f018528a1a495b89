// From image files and records to the pixels that an engine takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <prs/engine.hpp>

namespace prs::entry {

/// How the records of one file reach the model.
enum class RecordUse {
  kDirect,  ///< The engine takes them as they lie in the file.
  kDecode,  ///< As images: other size or number of channels.
  kRefuse,
};

struct RecordSource {
  std::optional<RecordFile> file;  ///< Nothing: it could not be opened.
  RecordUse use = RecordUse::kDirect;
  std::string refusal;  ///< Why not, for kRefuse.
};

/// Writes the pixels of a record of a source with RecordUse::kDecode to `destination`; `name`
/// begins every message. Throws as ImageLoader.
void load_record(const RecordSource& source, std::int64_t record, std::string_view name,
                 ImageLoader& loader, std::uint8_t* destination);

/// Decides how the records of `file` reach `engine`.
RecordSource record_source(const RecordFile& file, const Engine& engine);

/// Immutable; safe to use from several threads.
class ImageReader {
 public:
  /// With `resize` images are scaled to the model's size instead of refused; those of more than
  /// `max_pixels` are refused undecoded. Throws invalid argument when the model's own are more.
  ImageReader(const ImageInput& input, bool resize, std::int64_t max_pixels);

  std::int64_t image_bytes() const noexcept { return image_bytes_; }
  /// `wanted`, or fewer where images are so large that a batch of them would take too much memory.
  std::int64_t batch_size(std::int64_t wanted) const;
  /// The shape of that many images' pixels, one after the other.
  Shape batch_shape(std::int64_t count) const;

  /// What writes the image_bytes() pixels of one image: for one thread.
  ImageLoader loader() const { return {options_, layout_}; }

 private:
  DecodeOptions options_;
  Layout layout_;
  std::int64_t image_bytes_;
};

}  // namespace prs::entry
