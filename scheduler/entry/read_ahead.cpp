#include "entry/read_ahead.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <prs/error.hpp>

namespace prs::entry {
namespace {

/// Files that a thread takes at once, so that the lock is rarely taken.
constexpr std::size_t kTake = 8;

using Clock = std::chrono::steady_clock;

}  // namespace

bool is_of_item(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kIo ||
         error.code() == ErrorCode::kUnsupported;
}

ReadAhead::ReadAhead(const ImageReader& reader, int threads)
    : reader_(reader), threads_wanted_(threads), loader_(reader.loader()) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ReadAhead::begin(ImageBatch& batch) {
  const std::size_t count = batch.files.size();
  batch.pixels.resize(count * static_cast<std::size_t>(reader_.image_bytes()));
  batch.errors.assign(count, {});
  batch.seconds.assign(count, 0);
  batch.next_ = 0;
  batch.missing_ = count;
  batch.error_ = nullptr;
  while (threads_.size() < static_cast<std::size_t>(threads_wanted_)) {
    threads_.emplace_back([this] { work(); });
  }
  const std::lock_guard lock(mutex_);
  queue_.push_back(&batch);
  begun_.notify_all();
}

void ReadAhead::wait(ImageBatch& batch) {
  std::unique_lock lock(mutex_);
  while (decode_some(batch, loader_, lock)) {
  }
  done_.wait(lock, [&] { return batch.missing_ == 0; });
  std::erase(queue_, &batch);
  if (batch.error_) std::rethrow_exception(batch.error_);
}

void ReadAhead::cancel(ImageBatch& batch) {
  std::unique_lock lock(mutex_);
  std::erase(queue_, &batch);
  batch.missing_ -= batch.files.size() - batch.next_;
  batch.next_ = batch.files.size();
  done_.wait(lock, [&] { return batch.missing_ == 0; });
}

void ReadAhead::work() {
  ImageLoader loader = reader_.loader();
  std::unique_lock lock(mutex_);
  while (true) {
    begun_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    ImageBatch* const batch = queue_.front();
    if (!decode_some(*batch, loader, lock)) std::erase(queue_, batch);
  }
}

bool ReadAhead::decode_some(ImageBatch& batch, ImageLoader& loader,
                            std::unique_lock<std::mutex>& lock) {
  const std::size_t first = batch.next_;
  const std::size_t last = std::min(first + kTake, batch.files.size());
  if (first == last) return false;
  batch.next_ = last;
  lock.unlock();
  const auto image_bytes = static_cast<std::size_t>(reader_.image_bytes());
  std::exception_ptr error;
  Clock::time_point start = Clock::now();
  for (std::size_t i = first; i < last && !error; ++i) {
    try {
      loader.read(*batch.files[i], batch.pixels.data() + i * image_bytes);
    } catch (const Error& failure) {
      if (is_of_item(failure)) {
        batch.errors[i] = failure.message();
      } else {
        error = std::current_exception();
      }
    } catch (...) {
      error = std::current_exception();
    }
    const Clock::time_point end = Clock::now();
    batch.seconds[i] = std::chrono::duration<float>(end - start).count();
    start = end;
  }
  lock.lock();
  if (error && !batch.error_) batch.error_ = error;
  batch.missing_ -= last - first;
  if (batch.missing_ == 0) done_.notify_all();
  return true;
}

}  // namespace prs::entry
