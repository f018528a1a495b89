// What workers say, and how they end.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <prs/error.hpp>
#include <system_error>
#include <utility>

#include "runtime/orchestrator_impl.hpp"
#include "runtime/worker.hpp"

namespace prs::runtime {
namespace {

/// A header for people.
std::string header_text(const std::string& header) {
  return header.empty() ? "none" : '"' + header + '"';
}

/// Of a worker that ended by itself: ": " and what it said of it, without further lines; or "".
std::string why(const WorkerHandle& worker) {
  if (!worker.last_failure) return "";
  const std::string& message = worker.last_failure->message();
  return ": " + message.substr(0, message.find('\n'));
}

}  // namespace

bool Orchestrator::read_messages(WorkerHandle& worker) {
  if (worker.socket_ended) return false;
  const FrameReader::Fill fill = worker.reader.fill(worker.child->socket());
  while (const std::optional<std::string_view> frame = worker.reader.next()) {
    wire::FromWorker message;
    if (!message.ParseFromArray(frame->data(), static_cast<int>(frame->size()))) {
      throw Error(ErrorCode::kInternal,
                  "a message of " + worker.report.process + " cannot be read");
    }
    handle_message(worker, message);
  }
  if (fill != FrameReader::Fill::kEnded) return fill == FrameReader::Fill::kData;
  worker.socket_ended = true;
  loop_.remove(worker.child->socket());
  return false;
}

void Orchestrator::handle_message(WorkerHandle& worker, const wire::FromWorker& message) {
  if (message.has_loaded()) {
    feed(job::WorkerLoaded{worker.id});
  } else if (message.has_ready()) {
    logs_.master(
        fmt::format("{} is ready: {}", worker.report.process, message.ready().description()));
    feed(job::WorkerReady{worker.id});
  } else if (message.has_init_failed()) {
    const std::string& stage = message.init_failed().stage();
    const std::string& text = message.init_failed().message();
    const std::string& trace = message.init_failed().trace();
    log_user_error(worker, stage, text, trace);
    reporter_.remember_failure(
        stage + " failed in " + worker.report.process, text,
        trace.empty() ? "" : logs_.paths().user_error(0, worker.report.process).string());
    feed(job::WorkerInitFailed{worker.id, text});
  } else if (message.has_run_started()) {
    const wire::RunStarted& started = message.run_started();
    feed(job::RunStarted{worker.id, started.mini_batch(), started.attempt(), started.shared()});
  } else if (message.has_run_returned()) {
    on_return(worker, message.run_returned());
  } else if (message.has_run_failed()) {
    on_failure(worker, message.run_failed());
  }
}

void Orchestrator::on_return(WorkerHandle& worker, const wire::RunReturned& returned) {
  // The rows' header stands once at the top: rows with another one cannot follow.
  const std::string header = header_line(returned.header());
  if (!returned.segment().empty() && header_ && *header_ != header) {
    wire::RunFailed failed;
    failed.set_mini_batch(returned.mini_batch());
    failed.set_attempt(returned.attempt());
    failed.set_message(
        fmt::format("the columns of its rows are not those of the rows before: {} instead of {}",
                    header_text(header), header_text(*header_)));
    *failed.mutable_times() = returned.times();
    return on_failure(worker, failed);
  }
  for (const std::string& error : returned.item_errors()) {
    logs_.user_error(0, worker.report.process,
                     fmt::format("an item of mini-batch {}", returned.mini_batch()), error);
    reporter_.remember_failure("a failed item", error, "");
  }
  if (returned.has_metrics()) metric_files_.take(worker.report.process);
  returned_ = &returned;
  times_ = &returned.times();
  speaker_ = &worker;
  feed(job::RunReturned{worker.id, returned.mini_batch(), returned.attempt(), returned.rows()});
  returned_ = nullptr;
  times_ = nullptr;
  speaker_ = nullptr;
}

void Orchestrator::log_user_error(const WorkerHandle& worker, const std::string& stage,
                                  const std::string& message, const std::string& trace) {
  if (trace.empty()) return logs_.user_error(0, worker.report.process, stage, message);
  logs_.user_error(0, worker.report.process, stage, trace, message);
}

void Orchestrator::on_failure(WorkerHandle& worker, const wire::RunFailed& failed) {
  if (failed.system_error()) {
    logs_.system_error(0, worker.report.process, failed.message());
    feed(job::SystemFailed{failed.message()});
    return;
  }
  // Without memory or its device the worker ends by itself: its exit is the event (W3).
  log_user_error(worker, fmt::format("run of mini-batch {}", failed.mini_batch()), failed.message(),
                 failed.trace());
  if (failed.out_of_memory() || failed.device_lost()) {
    worker.last_failure = failed;
    return;
  }
  times_ = &failed.times();
  speaker_ = &worker;
  feed(job::RunFailed{worker.id, failed.mini_batch(), failed.attempt(), failed.message()});
  times_ = nullptr;
  speaker_ = nullptr;
}

void Orchestrator::on_exit(WorkerHandle& worker) {
  // What it said before it ended counts. The stream itself may stay open: a child of the entry may
  // have inherited it.
  while (read_messages(worker)) {
  }
  loop_.remove(worker.child->pidfd());
  if (!worker.socket_ended) loop_.remove(worker.child->socket());
  const ExitStatus status = worker.child->reap();
  worker.report.end_us = unix_us();
  const std::uint64_t first_not_begun = worker.child->claims().withdraw(worker.next_number);
  const bool between = !worker.sent.empty() && worker.sent.front().number >= first_not_begun;
  std::string detail = status.to_string();
  job::ExitKind kind = job::ExitKind::kAbnormal;
  const bool killed_by_kernel = status.signaled && status.code == SIGKILL &&
                                worker.killed_for.empty() &&
                                kernel_oom_kills() > worker.oom_kills_before;
  if ((!status.signaled && status.code == kWorkerOutOfMemory) || killed_by_kernel) {
    kind = job::ExitKind::kOutOfMemory;
    detail = "out of memory (" + detail + ")" + why(worker);
  } else if (!status.signaled && status.code == kWorkerDeviceLost) {
    detail = "its device failed (" + detail + ")" + why(worker);
  } else if (!status.signaled && status.code == 0 && worker.shutting_down) {
    kind = job::ExitKind::kOrderly;
  }
  worker.report.end = kind == job::ExitKind::kOrderly ? "shutdown"
                      : worker.killed_for.empty()     ? detail
                                                      : "killed: " + worker.killed_for;
  logs_.process_ended(worker.report);
  logs_.master(fmt::format("{} (pid {}) ended: {}", worker.report.process, worker.report.pid,
                           worker.report.end),
               kind == job::ExitKind::kOrderly ? logs::Level::kInfo : logs::Level::kWarning);
  if (kind != job::ExitKind::kOrderly && worker.killed_for.empty()) {
    logs_.system_error(0, worker.report.process, "the process ended: " + detail);
    reporter_.remember_failure(worker.report.process + " ended: " + detail, "",
                               logs_.paths().worker_stderr(0, worker.report.process).string());
  }
  if (worker.last_failure) {
    times_ = &worker.last_failure->times();
    speaker_ = &worker;
  }
  feed(job::WorkerExited{worker.id, kind, detail, between});
  times_ = nullptr;
  speaker_ = nullptr;
  // Every accepted range has been copied; the rest of the segment is of no use to anybody.
  if (assembly_) assembly_->forget_segment(worker.segment);
  std::error_code ignored;
  std::filesystem::remove(folder_.segments() / worker.segment, ignored);
  const std::string process = worker.report.process;
  workers_.erase(worker.id);
  // Last: should it fail, the job still knows that the worker is gone.
  metric_files_.take(process);
}

void Orchestrator::send(WorkerHandle& worker, const wire::ToWorker& message) {
  worker.writer.add(message.SerializeAsString());
  if (!std::exchange(worker.has_unsent, true)) unsent_.push_back(worker.id);
}

void Orchestrator::flush_unsent() {
  for (const job::WorkerId id : std::exchange(unsent_, {})) {
    WorkerHandle* worker = find(id);
    if (worker == nullptr) continue;
    worker->has_unsent = false;
    flush(*worker);
  }
}

void Orchestrator::flush(WorkerHandle& worker) {
  if (worker.socket_ended) return;
  // A peer that is gone shows by its exit.
  if (!worker.writer.flush(worker.child->socket())) return;
  if (worker.writer.pending() == worker.wants_write) return;
  worker.wants_write = worker.writer.pending();
  loop_.set_writable(worker.child->socket(), socket_tag(worker.id), worker.wants_write);
}

SentMiniBatch Orchestrator::take_back(WorkerHandle& worker, std::int64_t mini_batch) {
  const auto found = std::find_if(worker.sent.begin(), worker.sent.end(),
                                  [&](const auto& one) { return one.mini_batch == mini_batch; });
  if (found == worker.sent.end()) {
    throw Error(ErrorCode::kInternal, fmt::format("{} was not sent mini-batch {} [this is a bug]",
                                                  worker.report.process, mini_batch));
  }
  SentMiniBatch sent = std::move(*found);
  worker.sent.erase(found);
  sent.since = std::exchange(worker.front_since, Clock::now());
  return sent;
}

void Orchestrator::log_try(const WorkerHandle& worker, const SentMiniBatch& sent,
                           const char* status, const std::string& message, std::int64_t succeeded,
                           std::int64_t failed) {
  logs::TryReport report;
  report.mini_batch = sent.mini_batch;
  report.picked_count = sent.attempt;
  report.process = worker.report.process;
  report.pid = worker.report.pid;
  report.total = succeeded + failed;
  report.succeeded = succeeded;
  report.failed = failed;
  // Another worker's try may end at the same event, by a timeout.
  if (speaker_ == &worker) {
    report.start_us = times_->start_us();
    report.elapsed_s = times_->elapsed_s();
    report.process_s = times_->process_s();
    report.run_method_s = times_->run_method_s();
  } else {
    // The worker did not come to say it.
    const auto elapsed = Clock::now() - sent.since;
    report.elapsed_s = std::chrono::duration<double>(elapsed).count();
    report.start_us =
        unix_us() - std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count();
  }
  report.status = status;
  report.error_message = message;
  report.detail_json = describe_json(dataset::parse(sent.description));
  logs_.try_ended(report);
}

}  // namespace prs::runtime
