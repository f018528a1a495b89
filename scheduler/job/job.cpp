#include "job/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "job/mini_batches.hpp"
#include "job/workers.hpp"

namespace prs::job {
namespace {

/// W6 (b): not before so much of the job has passed.
constexpr Duration kInitGrace = std::chrono::minutes(2);

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::string process_name(WorkerId worker) { return fmt::format("process{:03}", worker.process); }

const char* try_status_name(TryStatus status) {
  switch (status) {
    case TryStatus::kRunDone:
      return "RUN_DONE";
    case TryStatus::kRunException:
      return "RUN_EXCEPTION";
    case TryStatus::kRunTimeout:
      return "RUN_TIMEOUT";
    case TryStatus::kLoadTimeout:
      return "LOAD_TIMEOUT";
    case TryStatus::kRunCrashed:
      return "RUN_CRASHED";
    case TryStatus::kRunOom:
      return "RUN_OOM";
    case TryStatus::kNodeLost:
      return "NODE_LOST";
  }
  return "?";
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
  void on(const WorkerExited& event);
  void on(const Tick&) {}
  void on(const StopRequested& event);
  void on(const SystemFailed& event);

  /// What follows from any event: deadlines, limits, work for idle workers, the end.
  void settle();
  void check_worker_deadlines();
  void check_job_deadlines();
  void check_limits();
  void assign();
  void start_workers();
  void end_if_drained();

  /// The worker that runs this very try, or null.
  Worker* running(WorkerId id, std::int64_t mini_batch, int attempt);
  void end_try(Worker& worker, TryStatus status, const std::string& message);
  void report_return(std::int64_t rows, std::int64_t items);
  void count_init_failure(Worker& worker);
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
  std::vector<int> understaffed;  ///< Nodes that may have fewer workers than they should.
  bool any_banned = false;
  bool first_return_reported = false;
  bool surplus_reported = false;
  std::vector<Command> commands;
};

void Job::State::on(const NodeReady& event) {
  Node& node = workers.node(event.node);
  if (node.ready && !node.lost) return;
  if (!node.ready) node.next_process = settings.first_process;
  node.ready = true;
  node.lost = false;
  node.slots = gpu::SlotPool(event.gpu_slots);
  understaffed.push_back(event.node);
}

void Job::State::on(const NodeLost& event) {
  if (event.node < 0 || static_cast<std::size_t>(event.node) >= workers.nodes().size()) return;
  Node& node = workers.node(event.node);
  if (!node.ready || node.lost) return;
  node.lost = true;
  for (Worker& worker : node.workers) {
    if (worker.mini_batch >= 0) end_try(worker, TryStatus::kNodeLost, "the node was lost");
  }
  workers.clear(node);
}

void Job::State::on(const MiniBatchCreated& event) { mini_batches.create(event); }

void Job::State::on(const ListingDone&) {
  if (mini_batches.counts().listed) return;
  mini_batches.set_listed();
  if (mini_batches.counts().mini_batches > 0 || stage != Stage::kRunning) return;
  if (settings.fail_on_empty) {
    abort(Outcome::kSystemError, "the input is empty");
  } else {
    note(Note::Level::kWarning, "the input is empty: there is nothing to do");
  }
}

void Job::State::on(const WorkerLoaded& event) {
  Worker* worker = workers.find(event.worker);
  if (worker == nullptr || worker->phase != WorkerPhase::kLoading) return;
  workers.set_phase(*worker, WorkerPhase::kInit, now);
  workers.set_deadline(*worker, init_stuck_limit(), true);
}

void Job::State::on(const WorkerReady& event) {
  Worker* worker = workers.find(event.worker);
  if (worker == nullptr || worker->init_done || worker->phase == WorkerPhase::kStopping) return;
  workers.set_init_done(*worker);
  init_failures = 0;
  workers.node(event.worker.node).init_failures = 0;
  workers.set_phase(*worker, WorkerPhase::kIdle, now);
  if (stage == Stage::kDraining) shut_down(*worker);
}

void Job::State::on(const WorkerInitFailed& event) {
  Worker* worker = workers.find(event.worker);
  if (worker == nullptr || worker->init_done || worker->init_counted) return;
  count_init_failure(*worker);
  if (worker->phase != WorkerPhase::kStopping) kill(*worker, "init failed: " + event.message);
}

void Job::State::on(const RunStarted& event) {
  Worker* worker = running(event.worker, event.mini_batch, event.attempt);
  if (worker == nullptr || worker->phase != WorkerPhase::kLoadingMiniBatch) return;
  workers.set_phase(*worker, WorkerPhase::kRun, now);
  workers.set_deadline(*worker, settings.run_invocation_timeout, true);
}

void Job::State::on(const RunReturned& event) {
  Worker* worker = running(event.worker, event.mini_batch, event.attempt);
  if (worker == nullptr) return;
  const std::int64_t items = mini_batches.items(event.mini_batch);
  if (event.rows > items && settings.strict_return_length) {
    end_try(*worker, TryStatus::kRunException,
            fmt::format("run() returned {} rows for {} items (strict_return_length)", event.rows,
                        items));
  } else {
    report_return(event.rows, items);
    const std::int64_t failed = std::max<std::int64_t>(items - event.rows, 0);  // E6
    const std::int64_t succeeded = items - failed;
    mini_batches.accept(event.mini_batch, succeeded, failed);
    if (failed > 0 && settings.compat == Compat::kStrict) mini_batches.count_short();
    last_finished = now;
    commands.emplace_back(Accept{event.worker, event.mini_batch, event.attempt, succeeded, failed});
    worker->mini_batch = -1;
  }
  workers.set_phase(*worker, WorkerPhase::kIdle, now);
  if (stage == Stage::kDraining) shut_down(*worker);
}

void Job::State::on(const RunFailed& event) {
  Worker* worker = running(event.worker, event.mini_batch, event.attempt);
  if (worker == nullptr) return;
  end_try(*worker, TryStatus::kRunException, event.message);
  workers.set_phase(*worker, WorkerPhase::kIdle, now);
  if (stage == Stage::kDraining) shut_down(*worker);
}

void Job::State::on(const WorkerExited& event) {
  Worker* worker = workers.find(event.worker);
  if (worker == nullptr) return;
  if (worker->mini_batch >= 0) {
    end_try(*worker,
            event.kind == ExitKind::kOutOfMemory ? TryStatus::kRunOom : TryStatus::kRunCrashed,
            event.detail);
  } else if (worker->phase != WorkerPhase::kStopping && !worker->served) {
    // A process that ends before it is of any use must not be replaced for ever.
    count_init_failure(*worker);
  }
  workers.remove(event.worker);
  understaffed.push_back(event.worker.node);
}

void Job::State::on(const StopRequested& event) {
  if (event.now && stage == Stage::kDraining && outcome == Outcome::kCompleted) {
    abort(outcome, reason);  // All results are there: only the workers' shutdown is cut short.
  } else if (event.now) {
    abort(Outcome::kCanceled, "stopped by the user; running mini-batches were killed");
  } else {
    drain(Outcome::kCanceled, "stopped by the user");
  }
}

void Job::State::on(const SystemFailed& event) { abort(Outcome::kSystemError, event.message); }

Worker* Job::State::running(WorkerId id, std::int64_t mini_batch, int attempt) {
  Worker* worker = workers.find(id);
  const bool same = worker != nullptr && mini_batch >= 0 && worker->mini_batch == mini_batch &&
                    worker->attempt == attempt;
  return same ? worker : nullptr;
}

void Job::State::end_try(Worker& worker, TryStatus status, const std::string& message) {
  const std::int64_t id = std::exchange(worker.mini_batch, -1);
  TryFailed failed{worker.id, id, worker.attempt, status, message, false};
  if (stage != Stage::kRunning) {
    // The mini-batch keeps its place for a resume.
    mini_batches.put_back(id);
    commands.emplace_back(std::move(failed));
    return;
  }
  failed.will_retry = mini_batches.end_try(id, status == TryStatus::kNodeLost);
  const bool given_up = !failed.will_retry;
  commands.emplace_back(std::move(failed));
  if (given_up) {
    last_finished = now;
    commands.emplace_back(MiniBatchFailed{id, mini_batches.items(id)});
  }
}

void Job::State::report_return(std::int64_t rows, std::int64_t items) {
  if (!first_return_reported) {
    first_return_reported = true;
    const char* meaning = rows < items ? "; every missing row counts as a failed item" : "";
    note(rows == items ? Note::Level::kInfo : Note::Level::kWarning,
         fmt::format("the first mini-batch returned {} rows for {} items{}", rows, items, meaning));
  }
  if (rows > items && !surplus_reported) {
    surplus_reported = true;
    note(Note::Level::kWarning,
         fmt::format("run() returned {} rows for {} items: all rows are kept, the items count as "
                     "succeeded (strict_return_length makes it a failure)",
                     rows, items));
  }
}

void Job::State::count_init_failure(Worker& worker) {
  if (std::exchange(worker.init_counted, true)) return;
  ++init_failures;
  Node& node = workers.node(worker.id.node);
  ++node.init_failures;
  if (node.banned || node.init_failures < 3LL * settings.processes_per_node) return;
  node.banned = true;
  any_banned = true;
  note(Note::Level::kWarning,
       fmt::format("node {}: init failed {} times on all its workers; no new process is started "
                   "there",
                   worker.id.node, node.init_failures));
}

void Job::State::kill(Worker& worker, std::string why) {
  if (std::exchange(worker.killed, true)) return;
  workers.set_phase(worker, WorkerPhase::kStopping, now);
  commands.emplace_back(KillWorker{worker.id, std::move(why)});
}

void Job::State::shut_down(Worker& worker) {
  workers.set_phase(worker, WorkerPhase::kStopping, now);
  workers.set_deadline(worker, settings.task_overhead_timeout, false);
  commands.emplace_back(ShutdownWorker{worker.id});
}

void Job::State::drain(Outcome the_outcome, std::string the_reason) {
  if (stage != Stage::kRunning) return;
  stage = Stage::kDraining;
  outcome = the_outcome;
  reason = std::move(the_reason);
  for (Node& node : workers.nodes()) {
    for (Worker& worker : node.workers) {
      if (worker.phase == WorkerPhase::kIdle) {
        shut_down(worker);
      } else if (worker.phase == WorkerPhase::kLoading || worker.phase == WorkerPhase::kInit) {
        kill(worker, "no longer needed");
      }
    }
  }
}

void Job::State::abort(Outcome the_outcome, std::string the_reason) {
  if (stage == Stage::kAborting || stage == Stage::kEnded) return;
  stage = Stage::kAborting;
  outcome = the_outcome;
  reason = std::move(the_reason);
  for (Node& node : workers.nodes()) {
    for (Worker& worker : node.workers) {
      if (worker.mini_batch >= 0) mini_batches.put_back(std::exchange(worker.mini_batch, -1));
      kill(worker, "the job ends: " + reason);
    }
  }
}

void Job::State::settle() {
  check_worker_deadlines();
  check_limits();
  check_job_deadlines();
  if (stage == Stage::kRunning) {
    if (mini_batches.counts().listed && mini_batches.unfinished() == 0) {
      const Counts& counts = mini_batches.counts();
      if (settings.append_row && counts.items > 0 && counts.items_succeeded == 0) {
        drain(Outcome::kLimitExceeded, "no result to append: no item succeeded");  // T5
      } else {
        drain(Outcome::kCompleted, "all mini-batches are done");
      }
    } else {
      start_workers();
      assign();
    }
  }
  end_if_drained();
}

std::string Job::State::timeout_text(const Deadline& deadline, const Worker& worker) const {
  const double after = seconds(deadline.at - worker.since);
  if (worker.phase == WorkerPhase::kRun) {
    return fmt::format("run() took longer than run_invocation_timeout ({} s)", after);
  }
  return fmt::format("loading the mini-batch took longer than task_overhead_timeout ({} s)", after);
}

void Job::State::check_worker_deadlines() {
  while (const std::optional<Deadline> due = workers.take_due(now)) {
    Worker& worker = *workers.find(due->worker);
    if (due->kind == Deadline::Kind::kHalf) {
      commands.emplace_back(DumpStacks{worker.id});
    } else if (worker.mini_batch >= 0) {
      const std::string text = timeout_text(*due, worker);
      const bool in_run = worker.phase == WorkerPhase::kRun;
      end_try(worker, in_run ? TryStatus::kRunTimeout : TryStatus::kLoadTimeout, text);
      kill(worker, text);
    } else if (worker.phase == WorkerPhase::kStopping) {
      kill(worker, "shutdown took longer than task_overhead_timeout");
    }
    // A worker stuck in init is the job's concern: W6 (c).
  }
}

void Job::State::check_job_deadlines() {
  if (workers.initialised() > 0 || workers.live() == 0) init_stuck_since = now;
  if (stage != Stage::kRunning) return;
  const Counts& counts = mini_batches.counts();
  const auto passed = [&](Time since, Duration limit) { return now - since >= limit; };
  if (init_failures >= init_failure_limit() && passed(start, kInitGrace)) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("init failed {} times and never succeeded", init_failures));
  }
  const auto usable = [](const Node& node) { return node.ready && !node.lost && !node.banned; };
  if (any_banned && workers.live() == 0 &&
      std::none_of(workers.nodes().begin(), workers.nodes().end(), usable)) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("init failed on every node ({} times)", init_failures));
  }
  if (passed(init_stuck_since, init_stuck_limit())) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("all workers were in init for {} s without success",
                             seconds(init_stuck_limit())));
  }
  if (counts.mini_batches == 0 && !counts.listed &&
      passed(start, settings.first_task_creation_timeout)) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("no mini-batch was created within first_task_creation_timeout ({} s)",
                             seconds(settings.first_task_creation_timeout)));
  }
  if (passed(last_finished, settings.progress_update_timeout)) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("no mini-batch finished for progress_update_timeout ({} s)",
                             seconds(settings.progress_update_timeout)));
  }
}

void Job::State::check_limits() {
  if (stage != Stage::kRunning) return;
  const Counts& counts = mini_batches.counts();
  const std::int64_t failed = mini_batches.failed_for_limits();
  if (settings.error_threshold >= 0 && counts.items_failed > settings.error_threshold) {
    abort(Outcome::kLimitExceeded, fmt::format("{} failed items exceed error_threshold {}",
                                               counts.items_failed, settings.error_threshold));
  } else if (settings.allowed_failed_count >= 0 && failed > settings.allowed_failed_count) {
    abort(Outcome::kLimitExceeded,
          fmt::format("{} failed mini-batches exceed allowed_failed_count {}", failed,
                      settings.allowed_failed_count));
  } else if (counts.listed &&
             static_cast<double>(failed) * 100 >
                 settings.allowed_failed_percent * static_cast<double>(counts.mini_batches)) {
    abort(Outcome::kLimitExceeded,
          fmt::format("{} of {} mini-batches failed: more than allowed_failed_percent {}", failed,
                      counts.mini_batches, settings.allowed_failed_percent));
  }
}

void Job::State::start_workers() {
  // No more workers than mini-batches that still need one.
  const auto wanted = [&] {
    return !mini_batches.counts().listed || workers.live() < mini_batches.unfinished();
  };
  while (!understaffed.empty() && wanted()) {
    const int index = understaffed.back();
    Node& node = workers.node(index);
    const bool full = static_cast<int>(node.workers.size()) >= settings.processes_per_node;
    if (full || !node.ready || node.lost || node.banned) {
      understaffed.pop_back();
      continue;
    }
    const Worker& worker = workers.start(index, node.slots.acquire(settings.gpus_per_worker), now);
    commands.emplace_back(StartWorker{worker.id, worker.gpu_slots});
  }
}

void Job::State::assign() {
  while (mini_batches.any_waiting()) {
    Worker* worker = workers.take_idle();
    if (worker == nullptr) return;
    worker->mini_batch = *mini_batches.take();
    worker->attempt = mini_batches.next_attempt(worker->mini_batch);
    worker->served = true;
    workers.set_phase(*worker, WorkerPhase::kLoadingMiniBatch, now);
    workers.set_deadline(*worker, settings.task_overhead_timeout, true);
    commands.emplace_back(SendMiniBatch{worker->id, worker->mini_batch, worker->attempt});
  }
}

void Job::State::end_if_drained() {
  if (stage != Stage::kDraining && stage != Stage::kAborting) return;
  if (workers.live() > 0) return;
  stage = Stage::kEnded;
  commands.emplace_back(EndJob{outcome, reason});
}

Job::Job(const Settings& settings, Time start) : state_(std::make_unique<State>(settings, start)) {}
Job::~Job() = default;
Job::Job(Job&&) noexcept = default;

std::vector<Command> Job::handle(const Event& event, Time now) {
  State& state = *state_;
  if (state.stage == State::Stage::kEnded) return {};
  state.now = std::max(state.now, now);
  std::visit([&](const auto& one) { state.on(one); }, event);
  state.settle();
  return std::exchange(state.commands, {});
}

std::optional<Time> Job::next_deadline() const {
  State& state = *state_;
  if (state.stage == State::Stage::kEnded) return std::nullopt;
  std::optional<Time> next = state.workers.next_deadline();
  if (state.stage != State::Stage::kRunning) return next;
  const auto add = [&](Time at) { next = next ? std::min(*next, at) : at; };
  const Counts& counts = state.mini_batches.counts();
  add(state.last_finished + state.settings.progress_update_timeout);
  if (state.workers.live() > 0 && state.workers.initialised() == 0) {
    add(state.init_stuck_since + state.init_stuck_limit());
  }
  if (state.init_failures >= state.init_failure_limit()) add(state.start + kInitGrace);
  if (counts.mini_batches == 0 && !counts.listed) {
    add(state.start + state.settings.first_task_creation_timeout);
  }
  return next;
}

const Counts& Job::counts() const { return state_->mini_batches.counts(); }

std::vector<WorkerView> Job::workers() const {
  std::vector<WorkerView> views;
  for (const Node& node : state_->workers.nodes()) {
    for (const Worker& worker : node.workers) {
      views.push_back({worker.id, worker.phase, worker.since, worker.mini_batch, worker.gpu_slots});
    }
  }
  return views;
}

bool Job::ended() const { return state_->stage == State::Stage::kEnded; }

}  // namespace prs::job
