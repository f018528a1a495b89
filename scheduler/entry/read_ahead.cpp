#include "entry/read_ahead.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include <prs/error.hpp>

namespace prs::entry {
namespace {

/// Files that a thread takes at once (a chunk), so that the lock is rarely taken.
constexpr std::size_t kTake = 8;
/// The same while files are waited for: all threads are to have some of a batch.
constexpr std::size_t kTakeSlow = 2;
/// So many chunks without waiting say that the files are in memory again.
constexpr int kSlowChunks = 64;

/// How often the calling thread has given up its processor to wait for something.
long waits_so_far() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

using Clock = std::chrono::steady_clock;

}  // namespace

bool is_of_item(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kIo ||
         error.code() == ErrorCode::kUnsupported;
}

ReadAhead::ReadAhead(const ImageReader& reader, int threads, int slow_threads,
                     profile::Recorder* profile)
    : reader_(reader),
      threads_wanted_(threads),
      slow_threads_(std::max(threads, slow_threads)),
      profile_(profile),
      loader_(reader.loader()) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  begun_.notify_all();
  begun_slow_.notify_all();
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
  start_threads(threads_wanted_);
  const std::lock_guard lock(mutex_);
  queue_.push_back(&batch);
  begun_.notify_all();
  if (files_wait()) begun_slow_.notify_all();
}

void ReadAhead::start_threads(int wanted) {
  while (static_cast<int>(threads_.size()) < wanted) {
    threads_.emplace_back([this, number = static_cast<int>(threads_.size())] { work(number); });
  }
}

void ReadAhead::wait(ImageBatch& batch) {
  std::unique_lock lock(mutex_);
  bool may_start = true;
  while (decode_some(batch, loader_, lock)) {
    if (!files_wait() || !may_start) continue;
    try {
      start_threads(slow_threads_);
    } catch (const std::system_error&) {
      may_start = false;  // It goes on with those there are.
    }
  }
  if (batch.missing_ > 0) {
    const profile::Scope waiting(profile_, profile::Stage::kWaiting);
    done_.wait(lock, [&] { return batch.missing_ == 0; });
  }
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

void ReadAhead::work(int number) {
  ImageLoader loader = reader_.loader();
  if (profile_ != nullptr) profile_->name_thread("reader");
  const bool always = number < threads_wanted_;
  std::condition_variable& begun = always ? begun_ : begun_slow_;
  std::unique_lock lock(mutex_);
  while (true) {
    begun.wait(lock, [&] { return stop_ || (!queue_.empty() && (always || files_wait())); });
    if (stop_) return;
    ImageBatch* const batch = queue_.front();
    if (!decode_some(*batch, loader, lock)) std::erase(queue_, batch);
  }
}

bool ReadAhead::decode_some(ImageBatch& batch, ImageLoader& loader,
                            std::unique_lock<std::mutex>& lock) {
  const std::size_t first = batch.next_;
  const std::size_t last = std::min(first + (files_wait() ? kTakeSlow : kTake), batch.files.size());
  if (first == last) return false;
  batch.next_ = last;
  lock.unlock();
  const auto image_bytes = static_cast<std::size_t>(reader_.image_bytes());
  std::exception_ptr error;
  const Clock::time_point start = Clock::now();
  const long waits_before = waits_so_far();
  ImageLoader::Times all;
  for (std::size_t i = first; i < last && !error; ++i) {
    ImageLoader::Times times;
    try {
      loader.read(*batch.files[i], batch.pixels.data() + i * image_bytes, times);
    } catch (const Error& failure) {
      if (is_of_item(failure)) {
        batch.errors[i] = failure.message();
      } else {
        error = std::current_exception();
      }
    } catch (...) {
      error = std::current_exception();
    }
    batch.seconds[i] = static_cast<float>(times.read_s + times.decode_s);
    all.read_s += times.read_s;
    all.decode_s += times.decode_s;
  }
  const auto waits = static_cast<std::size_t>(waits_so_far() - waits_before);
  if (profile_ != nullptr) record(start, all);
  lock.lock();
  // Files in memory are waited for now and then, too: for a lock of the kernel, say.
  if (2 * waits >= (files_wait() ? kTakeSlow : kTake)) {
    if (!files_wait()) begun_slow_.notify_all();
    slow_chunks_ = kSlowChunks;
  } else if (files_wait()) {
    --slow_chunks_;
  }
  if (error && !batch.error_) batch.error_ = error;
  batch.missing_ -= last - first;
  if (batch.missing_ == 0) done_.notify_all();
  return true;
}

/// Of a few files, whose reading and decoding take turns: as if all had been read first.
void ReadAhead::record(profile::Clock::time_point start, const ImageLoader::Times& times) {
  const auto later = [&](double seconds) {
    return start +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  profile_->add(profile::Stage::kRead, start, later(times.read_s));
  profile_->add(profile::Stage::kDecode, later(times.read_s), later(times.read_s + times.decode_s));
}

}  // namespace prs::entry
