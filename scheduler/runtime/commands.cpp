// Carrying out what the job wants.
#include <fmt/format.h>

#include <csignal>
#include <prs/error.hpp>
#include <utility>
#include <variant>

#include "gpu/health.hpp"
#include "gpu/visibility.hpp"
#include "runtime/orchestrator_impl.hpp"
#include "runtime/protocol.hpp"

namespace prs::runtime {
namespace {

/// W4: between SIGTERM and SIGKILL.
constexpr auto kKillGrace = std::chrono::seconds(5);

}  // namespace

void Orchestrator::feed(job::Event event) {
  events_.push_back(std::move(event));
  if (std::exchange(feeding_, true)) return;
  while (!events_.empty()) {
    const job::Event next = std::move(events_.front());
    events_.pop_front();
    for (const job::Command& command : job_.handle(next, now())) {
      try {
        std::visit([&](const auto& one) { carry_out(one); }, command);
      } catch (const Error& error) {
        // The other commands still count: the job relies on every one of them.
        logs_.system_error(0, "orchestrator", error.message());
        events_.emplace_back(job::SystemFailed{error.message()});
        if (const auto* start = std::get_if<job::StartWorker>(&command)) {
          workers_.erase(start->worker);
          events_.emplace_back(
              job::WorkerExited{start->worker, job::ExitKind::kAbnormal, "could not be started"});
        }
      }
    }
  }
  feeding_ = false;
}

void Orchestrator::carry_out(const job::StartWorker& command) {
  const std::string process = job::process_name(command.worker);
  const logs::Paths& paths = logs_.paths();
  WorkerHandle worker;
  worker.id = command.worker;
  worker.segment = fmt::format("{}.{}", process, record_.restarts);
  worker.oom_kills_before = kernel_oom_kills();
  const std::optional<std::string> devices = worker_devices(step_, gpus_, command.gpu_slots);
  ChildOptions child;
  child.arguments = {options_.program.string(), "worker"};
  child.environment = worker_environment(step_, options_.run_id, gpus_, devices);
  child.environment.push_back(guard_.variable());
  child.stdout_file = paths.worker_stdout(0, process);
  child.stderr_file = paths.worker_stderr(0, process);
  child.shared_weights = weights_.get();
  worker.child = std::make_unique<Child>(child);
  worker.report.process = process;
  worker.report.pid = worker.child->pid();
  worker.report.gpus = devices.value_or("(unset)");
  worker.report.start_us = unix_us();
  loop_.add(worker.child->socket(), socket_tag(worker.id));
  loop_.add(worker.child->pidfd(), exit_tag(worker.id));
  logs_.process_started(worker.report);
  logs_.master(fmt::format("{} started: pid {}, CUDA_VISIBLE_DEVICES \"{}\"", process,
                           worker.report.pid, worker.report.gpus));
  WorkerHandle& kept = workers_.emplace(command.worker, std::move(worker)).first->second;

  wire::ToWorker message;
  wire::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_step_json(record_.step_json);
  hello.set_output_folder(folder_.output().string());
  hello.set_logs_folder(folder_.logs().string());
  hello.set_run_id(options_.run_id);
  hello.set_agent_name(process);
  hello.set_process_count(process_count(step_, gpus_));
  hello.set_work_folder(folder_.work().string());
  hello.set_shares_weights(static_cast<bool>(weights_));
  hello.set_metrics_path(metric_files_.path(process).string());
  if (recorder_ != nullptr) {
    profile_parts_.push_back(paths.perf_folder(0) / (process + ".spans"));
    hello.set_profile_path(profile_parts_.back().string());
  }
  hello.set_segment_path((folder_.segments() / kept.segment).string());
  send(kept, message);
}

void Orchestrator::carry_out(const job::SendMiniBatch& command) {
  WorkerHandle& worker = *find(command.worker);
  SentMiniBatch sent{command.mini_batch, command.attempt, worker.next_number++,
                     listing_.read_serialized(command.mini_batch)};
  wire::ToWorker message;
  message.mutable_run()->set_mini_batch(sent.mini_batch);
  message.mutable_run()->set_attempt(sent.attempt);
  message.mutable_run()->set_number(sent.number);
  message.mutable_run()->set_alone(command.alone);
  message.mutable_run()->set_description(sent.description);
  send(worker, message);
  if (logs_.writes(logs::Level::kDebug)) {
    logs_.master(
        fmt::format("mini-batch {} try {}: {} items sent to {}", sent.mini_batch, sent.attempt,
                    dataset::parse(sent.description).items(), worker.report.process),
        logs::Level::kDebug);
  }
  if (worker.sent.empty()) worker.front_since = Clock::now();
  worker.sent.push_back(std::move(sent));
}

void Orchestrator::carry_out(const job::WithdrawMiniBatches& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  job::Withdrawn answer{command.worker, command.ticket, {}};
  const std::uint64_t first = worker->child->claims().withdraw(worker->next_number);
  std::erase_if(worker->sent, [&](const SentMiniBatch& one) {
    if (one.number < first) return false;
    answer.mini_batches.push_back(one.mini_batch);
    return true;
  });
  feed(std::move(answer));
}

void Orchestrator::carry_out(const job::ShutdownWorker& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  worker->shutting_down = true;
  wire::ToWorker message;
  message.mutable_shutdown();
  send(*worker, message);
}

void Orchestrator::carry_out(const job::KillWorker& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr || !worker->killed_for.empty()) return;
  worker->killed_for = command.reason;
  worker->kill_at = Clock::now() + kKillGrace;
  worker->child->signal_group(SIGTERM);
}

void Orchestrator::carry_out(const job::GiveUpGpus& command) {
  note(fmt::format(
      "GPU {}: {} workers in a row died on it; no other worker gets it, the job goes on "
      "with the others",
      gpu::worker_value(gpus_.visible, command.slots), gpu::kMostDeaths));
}

void Orchestrator::carry_out(const job::DumpStacks& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  worker->child->signal(kStackSignal);
  logs_.master(fmt::format("{} is past half of its time{}; its stack is asked for: {}",
                           worker->report.process, kernel_state(worker->child->pid()),
                           logs_.paths().worker_stderr(0, worker->report.process).string()),
               logs::Level::kWarning);
}

void Orchestrator::carry_out(const job::Accept& command) {
  WorkerHandle& worker = *find(command.worker);
  const SentMiniBatch sent = take_back(worker, command.mini_batch);
  store::AcceptedMiniBatch accepted;
  accepted.id = command.mini_batch;
  accepted.items = command.succeeded + command.failed;
  accepted.succeeded = command.succeeded;
  accepted.output_length = -1;
  accepted.process = worker.report.process;
  accepted.attempt = sent.attempt;
  if (append_row() && !returned_->segment().empty()) {
    output::Range range;
    range.segment = returned_->segment();
    range.offset = returned_->offset();
    range.size_bytes = returned_->size_bytes();
    range.crc32c = returned_->crc32c();
    if (!header_) header_ = header_line(returned_->header());
    const profile::Scope scope(recorder_.get(), profile::Stage::kAccept);
    const output::Placement place = assembly(returned_->header()).accept(command.mini_batch, range);
    accepted.output_length = place.length;
    accepted.partial_offset = place.offset;
  }
  journal_.accept(accepted);
  if (logs_.writes(logs::Level::kDebug)) {
    logs_.master(fmt::format("mini-batch {} accepted from {}: {} of {} items, rows up to byte {}",
                             accepted.id, worker.report.process, accepted.succeeded, accepted.items,
                             accepted.output_length),
                 logs::Level::kDebug);
  }
  reporter_.count(command.worker, accepted.items);
  log_try(worker, sent, job::try_status_name(job::TryStatus::kRunDone), "", command.succeeded,
          command.failed);
}

void Orchestrator::carry_out(const job::TryFailed& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  const char* status = job::try_status_name(command.status);
  const SentMiniBatch sent = take_back(*worker, command.mini_batch);
  log_try(*worker, sent, status, command.message, 0, dataset::parse(sent.description).items());
  logs_.master(fmt::format("mini-batch {} try {} on {}: {}: {}{}", command.mini_batch,
                           command.attempt, worker->report.process, status, command.message,
                           command.will_retry ? "; it will be tried again" : ""),
               logs::Level::kWarning);
  reporter_.remember_failure(
      fmt::format("{} of mini-batch {} on {}", status, command.mini_batch, worker->report.process),
      command.message, logs_.paths().user_error(0, worker->report.process).string());
}

void Orchestrator::carry_out(const job::SharedTryFailed& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  take_back(*worker, command.mini_batch);
  logs_.master(fmt::format("{} ran mini-batch {} together with others: {}; each of them will be "
                           "tried alone, and this counts as no try",
                           worker->report.process, command.mini_batch, command.message),
               logs::Level::kWarning);
}

void Orchestrator::carry_out(const job::MiniBatchFailed& command) {
  note(fmt::format("mini-batch {} failed all its tries: {} items count as failed",
                   command.mini_batch, command.items),
       logs::Level::kWarning);
}

void Orchestrator::carry_out(const job::Note& command) {
  const bool warning = command.level == job::Note::Level::kWarning;
  note((warning ? "warning: " : "") + command.text,
       warning ? logs::Level::kWarning : logs::Level::kInfo);
}

}  // namespace prs::runtime
