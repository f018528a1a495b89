#include "pipeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "entry/image_reader.hpp"
#include "interrupt.hpp"

namespace prs::cli {

using entry::RecordSource;
using entry::RecordUse;

namespace {

/// Batches under way: one being scored, one ready, one being filled.
constexpr std::int64_t kSlots = 3;
/// Images that a decoder claims at once, so that the lock is rarely taken.
constexpr std::int64_t kClaim = 8;

/// Consecutive items that are treated alike.
struct Batch {
  std::int64_t first = 0;
  std::int64_t count = 0;
  const RecordSource* source = nullptr;  ///< Null: image files.

  bool decoded() const { return source == nullptr || source->use == RecordUse::kDecode; }
};

/// All neighbouring items of a kind, which batches are cut from when it is their turn: a small
/// compressed file may hold more records than even a list of batches could.
struct Stretch {
  Batch items;
  std::int64_t first_batch = 0;
};

/// Pixels of a batch on their way from the decoders to the engine.
struct Slot {
  std::vector<std::uint8_t> pixels;  // [batch, image_bytes]
  std::vector<std::string> errors;   // [batch], "" for a decoded image
  std::int64_t missing = 0;          ///< Images not decoded yet.
};

RecordSource make_source(const ImageList::ListedRecordFile& listed, const Engine& engine) {
  if (!listed.file) return {std::nullopt, RecordUse::kRefuse, listed.error};
  return entry::record_source(*listed.file, engine);
}

class Pipeline {
 public:
  Pipeline(const Engine& engine, const ImageList& images, const PipelineOptions& options,
           ScoreSink& sink);
  bool run();

 private:
  /// Images [first, first + count) of batch `batch`.
  struct Claim {
    std::int64_t batch = 0;
    std::int64_t first = 0;
    std::int64_t count = 0;
  };

  void find_stretches();
  Batch batch_at(std::int64_t index) const;
  Slot& slot(std::int64_t batch) { return slots_[static_cast<std::size_t>(batch % kSlots)]; }

  void decode_until_done();
  std::optional<Claim> claim();
  void decode(const Claim& claim, ImageLoader& loader);
  void decode_item(const Batch& batch, std::int64_t item, ImageLoader& loader,
                   std::uint8_t* destination) const;
  void stop(std::exception_ptr error);

  bool score_batches();
  bool wait_until_decoded(std::int64_t batch);
  void score_decoded(const Batch& batch, Slot& slot);
  void score_records(const Batch& batch);
  void refuse_records(const Batch& batch);

  const Engine& engine_;
  const ImageList& images_;
  const PipelineOptions options_;
  ScoreSink& sink_;
  const entry::ImageReader reader_;
  const std::int64_t image_bytes_;
  const std::int64_t batch_size_;
  std::vector<RecordSource> sources_;
  std::vector<Stretch> stretches_;
  std::int64_t batch_count_ = 0;
  std::vector<float> scores_;  // [batch, classes]

  std::mutex mutex_;
  std::condition_variable slot_free_;
  std::condition_variable batch_decoded_;
  // Guarded by mutex_; the pixels and errors of a slot belong to the decoders while images are
  // missing, then to the scoring thread.
  std::array<Slot, kSlots> slots_;
  std::int64_t next_batch_ = 0;  ///< The batch that is being claimed...
  std::int64_t next_image_ = 0;  ///< ... from this image on.
  std::int64_t batches_done_ = 0;
  bool stopping_ = false;
  std::exception_ptr error_;
};

Pipeline::Pipeline(const Engine& engine, const ImageList& images, const PipelineOptions& options,
                   ScoreSink& sink)
    : engine_(engine),
      images_(images),
      options_(options),
      sink_(sink),
      reader_(engine.input(), options.resize, options.max_pixels),
      image_bytes_(reader_.image_bytes()),
      batch_size_(
          std::min(reader_.batch_size(options.batch), std::max<std::int64_t>(1, images.size()))) {
  sources_.reserve(images.record_files().size());
  for (const auto& listed : images.record_files()) sources_.push_back(make_source(listed, engine));
  find_stretches();
  scores_.resize(static_cast<std::size_t>(batch_size_ * engine.classes()));
}

void Pipeline::find_stretches() {
  for (const ImageList::Entry& entry : images_.entries()) {
    if (entry.count == 0) continue;
    if (entry.record_file >= 0) {
      stretches_.push_back(
          {{entry.first, entry.count, &sources_[static_cast<std::size_t>(entry.record_file)]}});
    } else if (!stretches_.empty() && stretches_.back().items.source == nullptr) {
      ++stretches_.back().items.count;
    } else {
      stretches_.push_back({{entry.first, 1, nullptr}});
    }
  }
  for (Stretch& stretch : stretches_) {
    stretch.first_batch = batch_count_;
    batch_count_ += (stretch.items.count + batch_size_ - 1) / batch_size_;
  }
}

Batch Pipeline::batch_at(std::int64_t index) const {
  const auto after =
      std::upper_bound(stretches_.begin(), stretches_.end(), index,
                       [](std::int64_t i, const Stretch& s) { return i < s.first_batch; });
  const Stretch& stretch = *std::prev(after);
  const std::int64_t skipped = (index - stretch.first_batch) * batch_size_;
  return {stretch.items.first + skipped, std::min(batch_size_, stretch.items.count - skipped),
          stretch.items.source};
}

bool Pipeline::run() {
  std::vector<std::thread> decoders;
  const auto join = [&] {
    stop(nullptr);
    for (std::thread& decoder : decoders) decoder.join();
  };
  bool completed = false;
  try {
    if (std::any_of(stretches_.begin(), stretches_.end(),
                    [](const Stretch& s) { return s.items.decoded(); })) {
      const BlockInterrupts block;
      for (int i = 0; i < options_.decoders; ++i) {
        decoders.emplace_back([this] { decode_until_done(); });
      }
    }
    completed = score_batches();
  } catch (...) {
    join();
    throw;
  }
  join();
  return completed;
}

void Pipeline::stop(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  if (error && !error_) error_ = std::move(error);
  slot_free_.notify_all();
  batch_decoded_.notify_all();
}

void Pipeline::decode_until_done() {
  try {
    ImageLoader loader = reader_.loader();
    while (const std::optional<Claim> next = claim()) decode(*next, loader);
  } catch (...) {
    stop(std::current_exception());
  }
}

std::optional<Pipeline::Claim> Pipeline::claim() {
  std::unique_lock lock(mutex_);
  for (;;) {
    while (next_batch_ < batch_count_ && !batch_at(next_batch_).decoded()) ++next_batch_;
    if (stopping_ || next_batch_ == batch_count_) return std::nullopt;
    if (next_batch_ < batches_done_ + kSlots) break;
    slot_free_.wait(lock);
  }
  const Batch batch = batch_at(next_batch_);
  if (next_image_ == 0) {
    Slot& fresh = slot(next_batch_);
    fresh.missing = batch.count;
    fresh.pixels.resize(static_cast<std::size_t>(batch_size_ * image_bytes_));
    fresh.errors.assign(static_cast<std::size_t>(batch.count), {});
  }
  const Claim claim{next_batch_, next_image_, std::min(kClaim, batch.count - next_image_)};
  next_image_ += claim.count;
  if (next_image_ == batch.count) {
    next_image_ = 0;
    ++next_batch_;
  }
  return claim;
}

void Pipeline::decode(const Claim& claim, ImageLoader& loader) {
  const Batch batch = batch_at(claim.batch);
  Slot& filled = slot(claim.batch);
  for (std::int64_t i = claim.first; i < claim.first + claim.count && !interrupted(); ++i) {
    try {
      decode_item(batch, batch.first + i, loader, filled.pixels.data() + i * image_bytes_);
    } catch (const Error& error) {
      filled.errors[static_cast<std::size_t>(i)] = error.message();
    } catch (const std::bad_alloc&) {
      filled.errors[static_cast<std::size_t>(i)] =
          images_.item(batch.first + i).name() + ": out of memory";
    }
  }
  const std::lock_guard lock(mutex_);
  filled.missing -= claim.count;
  if (filled.missing == 0) batch_decoded_.notify_all();
}

void Pipeline::decode_item(const Batch& batch, std::int64_t index, ImageLoader& loader,
                           std::uint8_t* destination) const {
  const ImageItem item = images_.item(index);
  if (batch.source == nullptr) {
    loader.read(item.path, destination);
  } else {
    entry::load_record(*batch.source, item.record, item.name(), loader, destination);
  }
}

bool Pipeline::score_batches() {
  for (std::int64_t b = 0; b < batch_count_; ++b) {
    const Batch batch = batch_at(b);
    if (interrupted()) return false;
    if (batch.decoded()) {
      if (!wait_until_decoded(b)) return false;
      score_decoded(batch, slot(b));
    } else if (batch.source->use == RecordUse::kDirect) {
      score_records(batch);
    } else {
      refuse_records(batch);
    }
    sink_.batch_done(batch.first + batch.count);
    const std::lock_guard lock(mutex_);
    batches_done_ = b + 1;
    slot_free_.notify_all();
  }
  return true;
}

bool Pipeline::wait_until_decoded(std::int64_t batch) {
  std::unique_lock lock(mutex_);
  const auto decoded = [&] {
    const bool claimed = next_batch_ > batch;
    return claimed && slot(batch).missing == 0;
  };
  batch_decoded_.wait(lock, [&] { return stopping_ || decoded(); });
  if (error_) std::rethrow_exception(error_);
  return !interrupted();
}

void Pipeline::score_decoded(const Batch& batch, Slot& decoded) {
  const auto image_size = static_cast<std::size_t>(image_bytes_);
  std::int64_t good = 0;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    if (!decoded.errors[static_cast<std::size_t>(i)].empty()) continue;
    if (good != i) {
      std::memcpy(decoded.pixels.data() + good * image_bytes_,
                  decoded.pixels.data() + i * image_bytes_, image_size);
    }
    ++good;
  }
  const auto classes = static_cast<std::size_t>(engine_.classes());
  const std::span<float> scores(scores_.data(), static_cast<std::size_t>(good) * classes);
  if (good > 0) {
    engine_.run(TensorView{DType::kUint8, reader_.batch_shape(good), decoded.pixels.data()},
                scores);
  }
  std::size_t row = 0;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    const std::string& error = decoded.errors[static_cast<std::size_t>(i)];
    if (error.empty()) {
      sink_.scored(batch.first + i, scores.subspan(row++ * classes, classes));
    } else {
      sink_.failed(batch.first + i, error);
    }
  }
}

void Pipeline::score_records(const Batch& batch) {
  const std::int64_t first = images_.item(batch.first).record;
  const auto classes = static_cast<std::size_t>(engine_.classes());
  const std::span<float> scores(scores_.data(), static_cast<std::size_t>(batch.count) * classes);
  engine_.run(batch.source->file->records(first, batch.count), scores);
  for (std::int64_t i = 0; i < batch.count; ++i) {
    sink_.scored(batch.first + i, scores.subspan(static_cast<std::size_t>(i) * classes, classes));
  }
}

void Pipeline::refuse_records(const Batch& batch) {
  for (std::int64_t i = 0; i < batch.count; ++i) {
    const std::string& reason = batch.source->refusal;
    sink_.failed(batch.first + i,
                 batch.source->file
                     ? fmt::format("{}: {}", images_.item(batch.first + i).name(), reason)
                     : reason);
  }
}

}  // namespace

bool score_images(const Engine& engine, const ImageList& images, const PipelineOptions& options,
                  ScoreSink& sink) {
  return Pipeline(engine, images, options, sink).run();
}

}  // namespace prs::cli
