// The journal of one job: <output>/.prs/job.sqlite. What it holds survives kill -9 of the
// orchestrator at any instant (WAL; a transaction is whole or absent).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace prs::store {

struct AcceptedMiniBatch {
  std::int64_t id = 0;
  std::int64_t items = 0;
  std::int64_t succeeded = 0;
  std::int64_t output_length = 0;   ///< Of .partial with this mini-batch's rows; -1: no rows kept.
  std::int64_t partial_offset = 0;  ///< Where its rows begin in .partial (for ordered output).
};

struct JobRecord {
  std::string run_id;
  std::string step_json;  ///< The effective settings, enough to run the step again.
  std::string status;     ///< "running", "completed", "failed", "canceled".
  std::string reason;
  std::int64_t created_us = 0;   ///< Unix time in microseconds, UTC.
  std::int64_t finished_us = 0;  ///< 0: not finished.
  std::int64_t restarts = 0;     ///< How often the job was resumed.
};

/// Not thread-safe. All methods throw prs::Error io naming the file (a full disk included).
class Journal {
 public:
  /// Opens or creates, the folder too. Holds an exclusive lock (<folder>/job.lock) while it lives,
  /// so that two jobs cannot share one output: throws unavailable naming the pid that holds it.
  /// `read_only` takes no lock and works while a job runs, which it then sees as of each call;
  /// throws io when there is no journal. Unsupported: the journal of a newer version.
  explicit Journal(const std::filesystem::path& folder, bool read_only = false);
  ~Journal();

  /// Whether a job holds the lock at this moment.
  static bool in_use(const std::filesystem::path& folder);

  std::optional<JobRecord> job() const;
  /// In one transaction with everything that accept() has buffered.
  void set_job(const JobRecord& job);

  /// Buffered until flush(): one transaction for everything since the last one. After an error of
  /// flush() the buffer is as before, so that it may be tried again. What is never flushed is not
  /// in the journal; the destructor does not do it. An id may be accepted once (internal).
  void accept(const AcceptedMiniBatch& mini_batch);
  void flush();

  /// What has been flushed, by rising id, read piece by piece.
  void for_each_accepted(const std::function<void(const AcceptedMiniBatch&)>& visit) const;
  std::int64_t last_output_length() const;  ///< -1: no rows accepted.

  /// Takes back the mini-batches whose rows end beyond `output_length`; returns how many. For
  /// resume: a power failure may have kept the journal and lost the end of .partial.
  std::int64_t forget_beyond(std::int64_t output_length);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::store
