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

#include "store/metric.hpp"

namespace prs::store {

struct AcceptedMiniBatch {
  std::int64_t id = 0;
  std::int64_t items = 0;
  std::int64_t succeeded = 0;
  std::int64_t output_length = 0;   ///< Of .partial with this mini-batch's rows; -1: no rows kept.
  std::int64_t partial_offset = 0;  ///< Where its rows begin in .partial (for ordered output).
  int node = 0;                     ///< Whose try was accepted,
  std::string process = {};
  int attempt = 1;  ///< and which one it was.
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

  /// What the workers logged (E12), buffered and flushed as accept() is, so that a mini-batch is
  /// accepted together with the metrics of its try. They come from files, one a worker: `taken`
  /// tells how many bytes of `file` are in the journal with these.
  void add_metrics(const std::string& file, std::int64_t taken, std::vector<Metric> metrics);
  /// How much of a file is in the journal or in the buffer; 0 for one that nothing is known of.
  std::int64_t metrics_taken(const std::string& file) const;
  /// What has been flushed, in the order of time, read piece by piece: what accepted tries and
  /// init() logged, or with `all_tries` everything.
  void for_each_metric(bool all_tries, const std::function<void(const Metric&)>& visit) const;

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
