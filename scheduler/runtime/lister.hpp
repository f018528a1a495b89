// The listing of a job's inputs, on a thread of its own: neither a slow disk nor a long table that
// is cut, grouped or hashed keeps the agent from its workers and from Ctrl-C.
//
//   Lister lister(std::move(partitioner), plan);
//   loop.add(lister.fd(), tag);
//   ... readable: for (MiniBatch& one : lister.take().mini_batches) ...
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dataset/dataset.hpp"
#include "monitor/profile.hpp"
#include "runtime/fd.hpp"

namespace prs::runtime {

/// What the inputs are identified by (R1), beside being listed.
enum class Identify { kNot, kByState, kByContent };

class Lister {
 public:
  /// What has been listed since the last take().
  struct Listed {
    std::vector<dataset::MiniBatch> mini_batches;
    bool complete = false;       ///< These are the last ones.
    std::string input_identity;  ///< When complete and asked for.
  };

  /// Begins. A file is looked at for `identify` before the mini-batch with it is given out. Throws
  /// io. `profile` may be null.
  Lister(dataset::InputSpec inputs, std::unique_ptr<dataset::Partitioner> partitioner,
         Identify identify, profile::Recorder* profile = nullptr);
  /// Ends the listing where it is.
  ~Lister();
  Lister(const Lister&) = delete;
  Lister& operator=(const Lister&) = delete;

  /// Readable while take() has something to give.
  int fd() const { return ready_.get(); }
  /// Does not wait. Throws, once all before it has been taken, what ended the listing: as
  /// Partitioner::next() and input_identity().
  Listed take();
  /// Waits until `count` mini-batches can be taken or the listing is complete, at most so long.
  void wait_for(std::size_t count, std::chrono::milliseconds limit);

 private:
  void list(const std::stop_token& stop);
  std::string list_all(const std::stop_token& stop);
  void give_out(dataset::MiniBatch mini_batch, const std::stop_token& stop);
  void tell();

  const dataset::InputSpec inputs_;
  const std::unique_ptr<dataset::Partitioner> partitioner_;
  const Identify identify_;
  profile::Recorder* const profile_;
  Fd ready_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Listed listed_;  ///< Under the mutex, as what follows.
  std::exception_ptr error_;
  std::jthread thread_;  ///< Last: it uses the others.
};

}  // namespace prs::runtime
