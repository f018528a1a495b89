// The decisions of a job (sections T, W, G and J of docs/semantics.md), as a state machine without
// I/O, clock, threads or randomness of its own:
//
//   commands = job.handle(event, now)
//
// Everything that can happen is an Event, everything the job wants is a Command. The runtime
// carries commands out with real processes; tests/simulation carries them out with seeded faults.
// Events may come late, twice or about workers long gone: such an event changes nothing.
//
//   MiniBatchCreated{10} ... ListingDone{}      mini-batches 0, 1, 2, ...
//   NodeReady{0, 2}                          -> StartWorker{{0, 0}, {0}}, StartWorker{{0, 1}, {1}}
//   WorkerLoaded{{0, 0}}                        loading is done, init begins
//   WorkerReady{{0, 0}}                      -> SendMiniBatch{{0, 0}, 0, 1}
//   RunReturned{{0, 0}, 0, 1, 10}            -> Accept{{0, 0}, 0, ...}, SendMiniBatch{{0, 0}, 1, 1}
//
// A worker whose mini-batches are short is sent some ahead of the one that it runs, so that it
// never waits; what it has not begun is withdrawn when the worker turns out slow or is to end.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace prs::job {

using Duration = std::chrono::nanoseconds;
using Time = std::chrono::nanoseconds;  ///< Since any fixed moment; never runs backwards.

/// W2: process numbers of a node grow and are never used again.
struct WorkerId {
  int node = 0;
  int process = 0;
  auto operator<=>(const WorkerId&) const = default;
};
std::string process_name(WorkerId worker);  ///< "process007"

enum class Compat { kOurs, kV1, kV2, kStrict };

struct Settings {
  int node_count = 1;
  int processes_per_node = 1;
  int first_process = 0;    ///< Number of a node's first worker; more than 0 after a restart.
  int gpus_per_worker = 1;  ///< 0: all of the node.
  int run_max_try = 3;
  Duration run_invocation_timeout = std::chrono::seconds(60);
  Duration task_overhead_timeout = std::chrono::seconds(30);
  Duration progress_update_timeout = std::chrono::seconds(600);
  Duration first_task_creation_timeout = std::chrono::seconds(600);
  std::int64_t error_threshold = -1;
  std::int64_t allowed_failed_count = -1;
  double allowed_failed_percent = 100;
  bool append_row = true;
  bool strict_return_length = false;
  bool fail_on_empty = false;
  Compat compat = Compat::kOurs;
};

/// W10.
enum class TryStatus {
  kRunDone,
  kRunException,
  kRunTimeout,
  kLoadTimeout,
  kRunCrashed,
  kRunOom,
  kNodeLost,
};
const char* try_status_name(TryStatus status);  ///< "RUN_DONE", ...

/// How a worker process ended.
enum class ExitKind { kOrderly, kAbnormal, kOutOfMemory };

// Events.

struct NodeReady {
  int node;
  int gpu_slots;
};
struct NodeLost {
  int node;
};
/// The next id's mini-batch exists. `accepted` (resume, X1): it has its result already.
struct MiniBatchCreated {
  std::int64_t items;
  bool accepted = false;
  std::int64_t succeeded = 0;
};
struct ListingDone {};
/// The process runs and begins to load the entry; then init() begins; then init() is done.
struct WorkerLoaded {
  WorkerId worker;
};
struct WorkerReady {
  WorkerId worker;
};
struct WorkerInitFailed {
  WorkerId worker;
  std::string message;
};
/// The entry's run() was called: from here on run_invocation_timeout counts, before it
/// task_overhead_timeout. `shared`: together with mini-batches that the worker has ahead, whose
/// results follow this one's. Should the process end or the time pass before, nobody knows whose
/// fault it is: no try is counted, and each of them is sent again to run alone.
struct RunStarted {
  WorkerId worker;
  std::int64_t mini_batch;
  int attempt;
  bool shared = false;
};
struct RunReturned {
  WorkerId worker;
  std::int64_t mini_batch;
  int attempt;
  std::int64_t rows;
};
struct RunFailed {
  WorkerId worker;
  std::int64_t mini_batch;
  int attempt;
  std::string message;
};
/// The answer to WithdrawMiniBatches: these had not begun, and never will on that worker. The
/// others that it had been sent have begun. `ticket` is the command's.
struct Withdrawn {
  WorkerId worker;
  std::int64_t ticket;
  std::vector<std::int64_t> mini_batches;
};
/// The process is gone and reaped, for whatever reason. `between`: it had begun nothing of what it
/// has been sent and has not ended.
struct WorkerExited {
  WorkerId worker;
  ExitKind kind;
  std::string detail;
  bool between = false;
};
/// Only at a Tick is a deadline found to have passed: before it, the agent has handed on what came
/// meanwhile. Else, after a moment in which the agent itself was stopped, results that lie waiting
/// would be timeouts.
struct Tick {};
/// Ctrl-C or SIGTERM: running mini-batches may end; with `now` they are killed.
struct StopRequested {
  bool now;
};
/// The orchestrator itself cannot go on: disk full, inputs unreadable, ...
struct SystemFailed {
  std::string message;
};

using Event = std::variant<NodeReady, NodeLost, MiniBatchCreated, ListingDone, WorkerLoaded,
                           WorkerReady, WorkerInitFailed, RunStarted, RunReturned, RunFailed,
                           Withdrawn, WorkerExited, Tick, StopRequested, SystemFailed>;

// Commands.

/// `gpu_slots`: of the node; empty: the worker gets no GPU (G3).
struct StartWorker {
  WorkerId worker;
  std::vector<int> gpu_slots;
};
/// A worker that has one already runs this one after it, and after those sent before. A try begins
/// when the worker takes it up: until then it can be withdrawn and has used nothing up. `alone`:
/// the worker must not run it together with others.
struct SendMiniBatch {
  WorkerId worker;
  std::int64_t mini_batch;
  int attempt;
  bool alone = false;
};
/// What the worker has not begun is wanted back; answered by one Withdrawn.
struct WithdrawMiniBatches {
  WorkerId worker;
  std::int64_t ticket;
};
/// Orderly: the entry's shutdown() runs, then the process ends.
struct ShutdownWorker {
  WorkerId worker;
};
/// SIGTERM, then after 5 s SIGKILL, to the process group (W4). `reason` is for the log.
struct KillWorker {
  WorkerId worker;
  std::string reason;
};
/// A worker is past half of a timeout: its stacks are wanted in the log (U2).
struct DumpStacks {
  WorkerId worker;
};
/// The try is the mini-batch's result: its rows become output (O4). Exactly one for a mini-batch.
struct Accept {
  WorkerId worker;
  std::int64_t mini_batch;
  int attempt;
  std::int64_t succeeded;
  std::int64_t failed;
};
/// The end of a try that is not accepted.
struct TryFailed {
  WorkerId worker;
  std::int64_t mini_batch;
  int attempt;
  TryStatus status;
  std::string message;
  bool will_retry;
};
/// The worker failed while it ran this one together with others; each is tried again alone.
struct SharedTryFailed {
  WorkerId worker;
  std::int64_t mini_batch;
  std::string message;
};
/// Out of tries: all its items count as failed.
struct MiniBatchFailed {
  std::int64_t mini_batch;
  std::int64_t items;
};
/// G8: workers keep dying on these slots of the node; no other worker gets them.
struct GiveUpGpus {
  int node;
  std::vector<int> slots;
};
struct Note {
  enum class Level { kInfo, kWarning } level;
  std::string text;
};
/// Why a job ends.
enum class Outcome { kCompleted, kLimitExceeded, kInitOrProgress, kSystemError, kCanceled };
/// The last command; all workers are gone. `reason` is one line.
struct EndJob {
  Outcome outcome;
  std::string reason;
};

using Command = std::variant<StartWorker, SendMiniBatch, WithdrawMiniBatches, ShutdownWorker,
                             KillWorker, DumpStacks, Accept, TryFailed, SharedTryFailed,
                             MiniBatchFailed, GiveUpGpus, Note, EndJob>;

/// A worker is never sent more mini-batches ahead of the one that it runs.
inline constexpr std::int64_t kMostAhead = 64;

/// Everything counted over the whole input.
struct Counts {
  std::int64_t mini_batches = 0;         ///< Known so far.
  std::int64_t mini_batches_done = 0;    ///< Accepted.
  std::int64_t mini_batches_failed = 0;  ///< Out of tries.
  std::int64_t items = 0;
  std::int64_t items_succeeded = 0;
  std::int64_t items_failed = 0;
  bool listed = false;
};

enum class WorkerPhase { kLoading, kInit, kIdle, kLoadingMiniBatch, kRun, kStopping };

struct WorkerView {
  WorkerId id;
  WorkerPhase phase;
  Time since;
  std::int64_t mini_batch;  ///< -1: none.
  std::vector<int> gpu_slots;
};

/// Not thread-safe.
class Job {
 public:
  /// `start`: now. Deadlines count from here.
  Job(const Settings& settings, Time start);
  ~Job();
  Job(Job&&) noexcept;

  /// Takes one event and gives what is to be done, in order. After EndJob it gives nothing.
  std::vector<Command> handle(const Event& event, Time now);

  /// When a Tick is wanted at the latest; nothing when no deadline is pending.
  std::optional<Time> next_deadline() const;

  const Counts& counts() const;
  std::vector<WorkerView> workers() const;
  bool ended() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::job
