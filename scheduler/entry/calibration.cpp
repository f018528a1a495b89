#include "entry/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <prs/error.hpp>

#include "entry/image_reader.hpp"

namespace prs::entry {
namespace {

void read_item(const ImageList& images, std::int64_t i, ImageLoader& loader,
               std::uint8_t* destination) {
  const ImageItem item = images.item(i);
  const ImageList::Entry& entry = images.entry_of(i);
  if (entry.record_file < 0) return loader.read(item.path, destination);
  const auto& listed = images.record_files()[static_cast<std::size_t>(entry.record_file)];
  if (!listed.file) throw Error(ErrorCode::kIo, listed.error);
  load_record({listed.file, RecordUse::kDecode, {}}, item.record, item.name(), loader, destination);
}

}  // namespace

CalibrationImages::CalibrationImages(const ImageList& images, const Engine& engine,
                                     const ScorerOptions& options) {
  const std::int64_t wanted = std::min(options.calibration_images, images.size());
  // Records that the engine takes as they lie in their file.
  if (images.record_files().size() == 1 && images.entries().size() == 1 &&
      images.record_files()[0].file) {
    const RecordFile& file = *images.record_files()[0].file;
    if (file.dtype() == DType::kUint8 && record_source(file, engine).use == RecordUse::kDirect) {
      records_ = file;
      shape_ = file.records(0, wanted).shape;
      return;
    }
  }
  const ImageReader reader(engine.input(), options.resize, options.max_pixels);
  ImageLoader loader = reader.loader();
  pixels_.resize(static_cast<std::size_t>(wanted * reader.image_bytes()));
  std::int64_t count = 0;
  std::string reason = "there are none";
  for (std::int64_t i = 0; i < images.size() && count < wanted; ++i) {
    try {
      read_item(images, i, loader, pixels_.data() + count * reader.image_bytes());
      ++count;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kOutOfMemory) throw;
      if (i == 0) reason = error.message();
    }
  }
  if (count == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("no images to calibrate on: {}; give others with --calibrate", reason));
  }
  shape_ = reader.batch_shape(count);
}

TensorView CalibrationImages::view() const {
  if (records_) return records_->records(0, shape_[0]);
  return {DType::kUint8, shape_, pixels_.empty() ? nullptr : pixels_.data()};
}

CalibrationImages read_calibration(const ScorerOptions& options, const ImageList* images) {
  if (options.engine.precision != Precision::kInt8) return {};
  if (options.calibrate.empty() && images == nullptr) return {};
  EngineOptions as_float = engine_options(options);
  as_float.precision = Precision::kFp32;
  const Engine engine = Engine::load(options.model, as_float);
  if (options.calibrate.empty()) return {*images, engine, options};
  return {expand_image_arguments(options.calibrate), engine, options};
}

}  // namespace prs::entry
