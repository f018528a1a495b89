// The state behind Job, for the files of this folder: job.cpp takes the events, settle.cpp draws
// what follows from any of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "job/job.hpp"
#include "job/mini_batches.hpp"
#include "job/workers.hpp"

namespace prs::job {

/// W6 (b): not before so much of the job has passed.
inline constexpr Duration kInitGrace = std::chrono::minutes(2);
/// A mini-batch that takes longer gives back those behind it.
inline constexpr Duration kRecallAfter = std::chrono::milliseconds(100);

inline double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

struct Job::State {
  State(const Settings& the_settings, Time start_time)
      : settings(the_settings),
        start(start_time),
        now(start_time),
        last_finished(start_time),
        init_stuck_since(start_time),
        mini_batches(the_settings.run_max_try, the_settings.compat == Compat::kV1) {}

  enum class Stage {
    kRunning,
    kDraining,  ///< No new mini-batch; workers end in an orderly way.
    kAborting,  ///< Workers are killed.
    kEnded,
  };

  // One handler an event. Each appends to `commands`.
  void on(const NodeReady& event);
  void on(const NodeLost& event);
  void on(const MiniBatchCreated& event);
  void on(const ListingDone& event);
  void on(const WorkerLoaded& event);
  void on(const WorkerReady& event);
  void on(const WorkerInitFailed& event);
  void on(const RunStarted& event);
  void on(const RunReturned& event);
  void on(const RunFailed& event);
  void on(const Withdrawn& event);
  void on(const WorkerExited& event);
  void on(const Tick&) { ticked = true; }
  void on(const StopRequested& event);
  void on(const SystemFailed& event);

  /// What follows from any event: deadlines, limits, work for idle workers, the end.
  void settle();
  void check_worker_deadlines();
  void check_job_deadlines();
  void check_limits();
  void assign();
  void send_ahead();
  void start_workers();
  void end_if_drained();

  /// The worker that runs this very try, or null.
  Worker* running(WorkerId id, std::int64_t mini_batch, int attempt);
  void end_try(Worker& worker, TryStatus status, const std::string& message);
  /// The worker ends, and any of the mini-batches that it ran together may be why.
  void end_shared_try(Worker& worker, const std::string& message);
  /// The worker takes up what it was sent.
  void begin(Worker& worker, const Assignment& assignment);
  /// After its try: the worker goes on with the next mini-batch that it has, or is idle.
  void go_on(Worker& worker);
  void note_pace(Worker& worker) const;
  void withdraw(Worker& worker);
  void put_back_ahead(Worker& worker);
  void report_return(std::int64_t rows, std::int64_t items);
  void count_init_failure(Worker& worker);
  void blame_gpus(Worker& worker, ExitKind kind);
  /// Workers that the node may have: as many as wanted, less those that were to have one of the
  /// GPUs given up since.
  int capacity(const Node& node) const;
  void kill(Worker& worker, std::string reason);
  void shut_down(Worker& worker);
  void drain(Outcome the_outcome, std::string the_reason);
  void abort(Outcome the_outcome, std::string the_reason);
  void note(Note::Level level, std::string text) {
    commands.emplace_back(Note{level, std::move(text)});
  }
  std::string timeout_text(const Deadline& deadline, const Worker& worker) const;
  Duration init_stuck_limit() const {
    return 3 * settings.run_invocation_timeout + std::chrono::seconds(30);
  }
  std::int64_t init_failure_limit() const {
    return 2LL * settings.node_count * settings.processes_per_node;
  }

  Settings settings;
  Time start;
  Time now;
  Time last_finished;     ///< When a mini-batch was last accepted or given up (W7).
  Time init_stuck_since;  ///< Since when no live worker has done its init (W6 c).
  MiniBatches mini_batches;
  Workers workers;
  std::int64_t init_failures = 0;  ///< Of all nodes since the last success (W6 b).
  Stage stage = Stage::kRunning;
  Outcome outcome = Outcome::kCompleted;
  std::string reason;
  std::int64_t withdrawals = 0;
  bool ticked = false;              ///< By this event: deadlines count.
  std::optional<WorkerId> gone_on;  ///< By this event; it may want more ahead.
  std::vector<int> understaffed;    ///< Nodes that may have fewer workers than they should.
  bool any_banned = false;
  bool first_return_reported = false;
  bool surplus_reported = false;
  std::vector<Command> commands;
};

}  // namespace prs::job
