#include "job/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "job/state.hpp"

namespace prs::job {

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

void Job::State::on(const NodeReady& event) {
  Node& node = workers.node(event.node);
  if (node.ready && !node.lost) return;
  if (!node.ready) node.next_process = settings.first_process;
  node.ready = true;
  node.lost = false;
  node.slots = gpu::SlotPool(event.gpu_slots);
  node.health = gpu::SlotHealth(event.gpu_slots);
  understaffed.push_back(event.node);
}

void Job::State::on(const NodeLost& event) {
  if (event.node < 0 || static_cast<std::size_t>(event.node) >= workers.nodes().size()) return;
  Node& node = workers.node(event.node);
  if (!node.ready || node.lost) return;
  node.lost = true;
  for (Worker& worker : node.workers) {
    if (worker.mini_batch >= 0) end_try(worker, TryStatus::kNodeLost, "the node was lost");
    put_back_ahead(worker);
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
  const bool begins = worker != nullptr && worker->phase == WorkerPhase::kLoadingMiniBatch;
  // What failed together is run again alone, at once.
  const bool begins_alone =
      worker != nullptr && worker->phase == WorkerPhase::kRun && worker->shared && !event.shared;
  if (!begins && !begins_alone) return;
  worker->shared = event.shared;
  workers.set_phase(*worker, WorkerPhase::kRun, now);
  workers.set_deadline(*worker, settings.run_invocation_timeout, true);
  workers.set_recall(*worker, kRecallAfter);
}

void Job::State::on(const RunReturned& event) {
  Worker* worker = running(event.worker, event.mini_batch, event.attempt);
  if (worker == nullptr) return;
  const std::int64_t items = mini_batches.items(event.mini_batch);
  // Where there is no input (D9), rows are compared with nothing.
  if (items > 0 && event.rows > items && settings.strict_return_length) {
    end_try(*worker, TryStatus::kRunException,
            fmt::format("run() returned {} rows for {} items (strict_return_length)", event.rows,
                        items));
  } else {
    if (items > 0) report_return(event.rows, items);
    const std::int64_t failed = std::max<std::int64_t>(items - event.rows, 0);  // E6
    const std::int64_t succeeded = items - failed;
    mini_batches.accept(event.mini_batch, succeeded, failed);
    workers.node(event.worker.node).health.succeeded(worker->gpu_slots);
    if (failed > 0 && settings.compat == Compat::kStrict) mini_batches.count_short();
    last_finished = now;
    commands.emplace_back(Accept{event.worker, event.mini_batch, event.attempt, succeeded, failed});
    worker->mini_batch = -1;
  }
  note_pace(*worker);
  go_on(*worker);
}

void Job::State::on(const RunFailed& event) {
  Worker* worker = running(event.worker, event.mini_batch, event.attempt);
  if (worker == nullptr) return;
  end_try(*worker, TryStatus::kRunException, event.message);
  note_pace(*worker);
  go_on(*worker);
}

void Job::State::on(const Withdrawn& event) {
  Worker* worker = workers.find(event.worker);
  if (worker == nullptr || worker->withdrawal != event.ticket) return;
  worker->withdrawal = 0;
  const auto back = [&](std::int64_t id) {
    return std::find(event.mini_batches.begin(), event.mini_batches.end(), id) !=
           event.mini_batches.end();
  };
  // By what is known here the worker may have taken one up that it had not begun yet.
  const bool current = worker->phase == WorkerPhase::kLoadingMiniBatch && back(worker->mini_batch);
  if (current) mini_batches.put_back(std::exchange(worker->mini_batch, -1));
  std::erase_if(worker->ahead, [&](const Assignment& one) {
    if (!back(one.mini_batch)) return false;
    mini_batches.put_back(one.mini_batch);
    return true;
  });
  if (current) go_on(*worker);
}

void Job::State::on(const WorkerExited& event) {
  Worker* worker = workers.find(event.worker);
  if (worker == nullptr) return;
  blame_gpus(*worker, event.kind);
  if (worker->mini_batch >= 0 && worker->was_ahead && event.between) {
    mini_batches.put_back(std::exchange(worker->mini_batch, -1));
  } else if (worker->mini_batch >= 0 && worker->shared) {
    end_shared_try(*worker, event.detail);
  } else if (worker->mini_batch >= 0) {
    // W3. Also one that was sent alone and not begun: else a process that always ends just then
    // would be replaced for ever.
    end_try(*worker,
            event.kind == ExitKind::kOutOfMemory ? TryStatus::kRunOom : TryStatus::kRunCrashed,
            event.detail);
  } else if (worker->phase != WorkerPhase::kStopping && !worker->served) {
    // A process that ends before it is of any use must not be replaced for ever.
    count_init_failure(*worker);
  }
  put_back_ahead(*worker);
  workers.remove(event.worker);
  understaffed.push_back(event.worker.node);
}

/// G8. A worker that we ended for other reasons than its init says nothing of its GPUs.
void Job::State::blame_gpus(Worker& worker, ExitKind kind) {
  const bool by_itself = worker.init_counted || (kind == ExitKind::kAbnormal && !worker.killed);
  if (!by_itself || worker.gpu_slots.empty() || stage != Stage::kRunning) return;
  Node& node = workers.node(worker.id.node);
  std::vector<int> held;
  for (const Worker& other : node.workers) {
    held.insert(held.end(), other.gpu_slots.begin(), other.gpu_slots.end());
  }
  const std::vector<int> given_up = node.health.died(worker.gpu_slots, worker.mini_batch, held);
  if (given_up.empty()) return;
  // Never released: they stay held.
  std::erase_if(worker.gpu_slots, [&](int slot) {
    return std::find(given_up.begin(), given_up.end(), slot) != given_up.end();
  });
  commands.emplace_back(GiveUpGpus{worker.id.node, given_up});
}

int Job::State::capacity(const Node& node) const {
  const auto with_gpus = [&](int slots) {
    const int each = settings.gpus_per_worker == 0 ? slots : settings.gpus_per_worker;
    return each == 0 ? 0 : std::min(settings.processes_per_node, slots / each);
  };
  return settings.processes_per_node - with_gpus(node.slots.slots()) +
         with_gpus(node.health.usable());
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

void Job::State::end_shared_try(Worker& worker, const std::string& message) {
  const std::int64_t id = std::exchange(worker.mini_batch, -1);
  mini_batches.put_back_alone(id);
  commands.emplace_back(SharedTryFailed{worker.id, id, message});
}

void Job::State::begin(Worker& worker, const Assignment& assignment) {
  worker.mini_batch = assignment.mini_batch;
  worker.attempt = assignment.attempt;
  worker.was_ahead = false;
  // Else it stays so until the worker says what it runs next: it may have prepared that already.
  if (mini_batches.alone(assignment.mini_batch)) worker.shared = false;
  worker.began = now;
  workers.set_phase(worker, WorkerPhase::kLoadingMiniBatch, now);
  workers.set_deadline(worker, settings.task_overhead_timeout, true);
  workers.set_recall(worker, kRecallAfter);
}

void Job::State::go_on(Worker& worker) {
  gone_on = worker.id;
  if (!worker.ahead.empty()) {
    const Assignment next = worker.ahead.front();
    worker.ahead.erase(worker.ahead.begin());
    begin(worker, next);
    worker.was_ahead = true;
    return;
  }
  workers.set_phase(worker, WorkerPhase::kIdle, now);
  if (stage == Stage::kDraining) shut_down(worker);
}

void Job::State::note_pace(Worker& worker) const {
  const Duration taken = now - worker.began;
  if (worker.pace == kNever) {
    worker.pace = taken;
  } else {
    // Mini-batches that become slower are believed sooner than those that become faster.
    worker.pace += (taken - worker.pace) / (taken > worker.pace ? 2 : 8);
  }
}

void Job::State::withdraw(Worker& worker) {
  if (worker.ahead.empty() || worker.withdrawal != 0) return;
  worker.withdrawal = ++withdrawals;
  commands.emplace_back(WithdrawMiniBatches{worker.id, worker.withdrawal});
}

void Job::State::put_back_ahead(Worker& worker) {
  for (const Assignment& one : std::exchange(worker.ahead, {})) {
    if (worker.shared) {
      mini_batches.put_back_alone(one.mini_batch);
    } else {
      mini_batches.put_back(one.mini_batch);
    }
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
  withdraw(worker);
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
      } else {
        withdraw(worker);
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
      put_back_ahead(worker);
      kill(worker, "the job ends: " + reason);
    }
  }
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
