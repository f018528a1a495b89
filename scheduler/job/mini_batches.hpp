// The mini-batches of a job: which wait, how often each was tried, and what is counted (T1-T4, W5).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "job/job.hpp"

namespace prs::job {

class MiniBatches {
 public:
  MiniBatches(int run_max_try, bool count_while_failing)
      : run_max_try_(run_max_try), count_while_failing_(count_while_failing) {}

  /// Takes the next id. Accepted ones (resume) are done already.
  void create(const MiniBatchCreated& event);
  void set_listed() { counts_.listed = true; }

  /// The mini-batch to run next: repeated ones first, so that a job that must fail does so early.
  std::optional<std::int64_t> take();
  bool any_waiting() const { return waiting() > 0; }
  /// How many there are for take(); a resumed job counts accepted ones that lie between, too.
  std::int64_t waiting() const {
    return static_cast<std::int64_t>(repeats_.size() + entries_.size() - next_new());
  }
  /// Those without a result yet.
  std::int64_t unfinished() const {
    return counts_.mini_batches - counts_.mini_batches_done - counts_.mini_batches_failed;
  }

  std::int64_t items(std::int64_t id) const { return at(id).items; }
  /// The number of the try that begins now, from 1.
  int next_attempt(std::int64_t id) const { return at(id).tries + at(id).losses + 1; }

  void accept(std::int64_t id, std::int64_t succeeded, std::int64_t failed);
  /// Ends a try without a result. True: the mini-batch waits again; false: it is out of tries and
  /// failed (W5; W8 for tries that were lost with their node).
  bool end_try(std::int64_t id, bool node_lost);
  /// The try counts nothing: it had not begun, or the job is being stopped.
  void put_back(std::int64_t id);
  /// The same for one that was run together with others when their worker ended: from now on it
  /// runs alone.
  void put_back_alone(std::int64_t id) {
    at(id).alone = true;
    put_back(id);
  }
  bool alone(std::int64_t id) const { return at(id).alone; }

  const Counts& counts() const { return counts_; }
  /// What the limits on failed mini-batches look at. T2: under v1's reading also those whose latest
  /// try failed.
  std::int64_t failed_for_limits() const { return counts_.mini_batches_failed + failing_ + short_; }
  /// E7 under v2's text: an accepted mini-batch that returned too few rows counts as failed as
  /// well.
  void count_short() { ++short_; }

 private:
  enum class State : std::uint8_t { kWaiting, kRunning, kDone, kFailed };
  struct Entry {
    std::int64_t items = 0;
    int tries = 0;            ///< Failed ones.
    std::uint8_t losses = 0;  ///< Tries lost with their node.
    State state = State::kWaiting;
    bool failing = false;  ///< Counted by failing_.
    bool alone = false;
  };

  Entry& at(std::int64_t id) { return entries_[static_cast<std::size_t>(id)]; }
  const Entry& at(std::int64_t id) const { return entries_[static_cast<std::size_t>(id)]; }
  std::size_t next_new() const;
  void set_failing(Entry& entry, bool failing);

  int run_max_try_;
  bool count_while_failing_;
  std::vector<Entry> entries_;
  mutable std::size_t next_new_ = 0;
  std::deque<std::int64_t> repeats_;
  Counts counts_;
  std::int64_t failing_ = 0;
  std::int64_t short_ = 0;
};

}  // namespace prs::job
