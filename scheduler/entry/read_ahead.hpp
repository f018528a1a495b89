// Reading and decoding of image files beside computing: threads of its own fill batches of pixels
// while their owner computes the batch before, and its owner helps when it has to wait. Where files
// have to come from a disk or a network first, more threads read: they mostly wait, each for one.
//
//   ReadAhead reader(image_reader, 1);
//   reader.begin(next);           // returns at once
//   ... compute `current` ...
//   reader.wait(next);            // next.pixels, next.errors are there
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <prs/image.hpp>

#include "entry/image_reader.hpp"
#include "monitor/profile.hpp"

namespace prs::entry {

/// Images that are decoded together. Stays where it is between begin() and wait() or cancel().
struct ImageBatch {
  std::vector<const std::string*> files;
  std::vector<std::uint8_t> pixels;  // [files, image_bytes]
  std::vector<std::string> errors;   ///< [files]; "": decoded; else why not, the path first.
  std::vector<float> seconds;        ///< [files]; what reading and decoding took.

 private:
  friend class ReadAhead;
  std::size_t next_ = 0;     ///< The first file that nobody has taken.
  std::size_t missing_ = 0;  ///< Files that are not done.
  std::exception_ptr error_;
};

/// begin() and wait() are for one thread. Without threads of its own all is done in wait(), as long
/// as files need not be waited for.
class ReadAhead {
 public:
  /// `threads`: while the files are in memory; `slow_threads`, where they are more: while files
  /// have to be waited for. `profile`: takes the stages read, decode and
  /// waiting; may be null.
  ReadAhead(const ImageReader& reader, int threads, int slow_threads, profile::Recorder* profile);
  /// What was begun and not waited for is left undone.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  bool has_threads() const { return threads_wanted_ > 0 || !threads_.empty(); }
  /// `batch.files` are set. Batches are done in the order in which they are begun.
  void begin(ImageBatch& batch);
  /// Throws what is no file's fault (out of memory, say); all that was taken is done then too.
  void wait(ImageBatch& batch);
  /// In place of wait(), at any time: nothing touches the batch any more.
  void cancel(ImageBatch& batch);

 private:
  void start_threads(int wanted);
  /// `number`: counted from 0; those from threads_wanted_ on only work while files are waited for.
  void work(int number);
  bool files_wait() const { return slow_chunks_ > 0; }
  /// Takes and decodes a few of the files. False when all are taken. `lock` is held around it.
  bool decode_some(ImageBatch& batch, ImageLoader& loader, std::unique_lock<std::mutex>& lock);
  void record(profile::Clock::time_point start, const ImageLoader::Times& times);

  const ImageReader& reader_;
  const int threads_wanted_;
  const int slow_threads_;
  profile::Recorder* const profile_;
  ImageLoader loader_;  ///< Of the owner's thread.
  std::mutex mutex_;
  std::condition_variable begun_;       ///< For the first threads_wanted_ threads,
  std::condition_variable begun_slow_;  ///< and for the others, where files are waited for.
  std::condition_variable done_;
  std::deque<ImageBatch*> queue_;  ///< Batches with files that nobody has taken.
  bool stop_ = false;
  int slow_chunks_ = 0;  ///< Files are waited for until so many chunks needed no waiting.
  std::vector<std::thread> threads_;  ///< Its owner's; started when they are needed.
};

/// Whether the item is to blame. Other errors (out of memory, a lost device) fail the try.
bool is_of_item(const Error& error);

}  // namespace prs::entry
