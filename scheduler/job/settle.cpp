// What follows from any event: deadlines, limits, work for idle workers, the end.
#include <fmt/format.h>

#include <algorithm>

#include "job/state.hpp"

namespace prs::job {
namespace {

/// A worker is sent so much work ahead, by its pace. It must outlast the time in which a message
/// comes and goes, and what a worker holds keeps no other one from it for longer than this.
constexpr Duration kWorkAhead = std::chrono::milliseconds(20);

/// For an agent to say what it has withdrawn.
constexpr Duration kAnswerTime = std::chrono::seconds(1);

}  // namespace

void Job::State::settle() {
  if (ticked) check_worker_deadlines();
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
      send_ahead();
    }
  }
  gone_on.reset();
  ticked = false;
  end_if_drained();
}

std::string Job::State::timeout_text(const Deadline& deadline, const Worker& worker) const {
  const double after = in_seconds(deadline.at - worker.since);
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
    } else if (due->kind == Deadline::Kind::kRecall) {
      withdraw(worker);
    } else if (worker.withdrawal != 0 && worker.phase == WorkerPhase::kLoadingMiniBatch) {
      // It may not have begun at all: the answer, which is on its way, will tell.
      workers.set_deadline(worker, now - worker.since + kAnswerTime, false);
    } else if (worker.mini_batch >= 0) {
      const std::string text = timeout_text(*due, worker);
      const bool in_run = worker.phase == WorkerPhase::kRun;
      if (in_run && worker.shared) {
        end_shared_try(worker, text);
      } else {
        end_try(worker, in_run ? TryStatus::kRunTimeout : TryStatus::kLoadTimeout, text);
      }
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
  if (!ticked) return;
  if (passed(init_stuck_since, init_stuck_limit())) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("all workers were in init for {} s without success",
                             in_seconds(init_stuck_limit())));
  }
  if (counts.mini_batches == 0 && !counts.listed &&
      passed(start, settings.first_task_creation_timeout)) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("no mini-batch was created within first_task_creation_timeout ({} s)",
                             in_seconds(settings.first_task_creation_timeout)));
  }
  if (passed(last_finished, settings.progress_update_timeout)) {
    return abort(Outcome::kInitOrProgress,
                 fmt::format("no mini-batch finished for progress_update_timeout ({} s)",
                             in_seconds(settings.progress_update_timeout)));
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
    const bool full = static_cast<int>(node.workers.size()) >= capacity(node);
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
    worker->served = true;
    const std::int64_t id = *mini_batches.take();
    begin(*worker, {id, mini_batches.next_attempt(id)});
    commands.emplace_back(SendMiniBatch{worker->id, id, worker->attempt, mini_batches.alone(id)});
  }
}

void Job::State::send_ahead() {
  Worker* worker = gone_on ? workers.find(*gone_on) : nullptr;
  if (worker == nullptr || worker->mini_batch < 0 || worker->withdrawal != 0) return;
  // Of the last mini-batches every worker is to get its share.
  const std::int64_t share = mini_batches.waiting() / (2 * workers.live());
  // What a worker runs together must not take as long as a single run() may.
  const Duration work = std::min(kWorkAhead, settings.run_invocation_timeout / 4);
  const std::int64_t by_pace = work / std::max(worker->pace, Duration(1));
  const std::int64_t wanted = std::min({kMostAhead, by_pace, share});
  auto ahead = static_cast<std::int64_t>(worker->ahead.size());
  // Many at a time: one message to the worker costs as much as several.
  if (2 * ahead > wanted) return;
  for (; ahead < wanted; ++ahead) {
    const std::optional<std::int64_t> id = mini_batches.take();
    if (!id) break;
    const Assignment& one =
        worker->ahead.emplace_back(Assignment{*id, mini_batches.next_attempt(*id)});
    commands.emplace_back(
        SendMiniBatch{worker->id, one.mini_batch, one.attempt, mini_batches.alone(*id)});
  }
  workers.set_recall(*worker, kRecallAfter);
}

void Job::State::end_if_drained() {
  if (stage != Stage::kDraining && stage != Stage::kAborting) return;
  if (workers.live() > 0) return;
  stage = Stage::kEnded;
  commands.emplace_back(EndJob{outcome, reason});
}

}  // namespace prs::job
