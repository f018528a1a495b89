#include "runtime/orchestrator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <prs/error.hpp>
#include <utility>

#include "dataset/dataset.hpp"
#include "entry/entry.hpp"
#include "gpu/nvml.hpp"
#include "gpu/visibility.hpp"
#include "job/job.hpp"
#include "monitor/resource_monitor.hpp"
#include "output/assembly.hpp"
#include "protocol.pb.h"
#include "runtime/environment.hpp"
#include "runtime/event_loop.hpp"
#include "runtime/job_folder.hpp"
#include "runtime/protocol.hpp"
#include "runtime/reporting.hpp"
#include "runtime/worker.hpp"
#include "runtime/worker_handle.hpp"
#include "store/journal.hpp"

namespace prs::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// W4: between SIGTERM and SIGKILL.
constexpr auto kKillGrace = std::chrono::seconds(5);
/// Listing takes turns with the workers' messages.
constexpr auto kListingSlice = milliseconds(2);
constexpr auto kProgressInterval = milliseconds(200);
constexpr auto kStatusInterval = std::chrono::seconds(1);
constexpr auto kOverviewInterval = std::chrono::seconds(10);

std::int64_t unix_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

// Sources of the event loop.
constexpr std::uint64_t kExitBit = std::uint64_t{1} << 40;
std::uint64_t socket_tag(job::WorkerId id) { return static_cast<std::uint64_t>(id.process); }
std::uint64_t exit_tag(job::WorkerId id) { return socket_tag(id) | kExitBit; }

class Orchestrator {
 public:
  explicit Orchestrator(const RunOptions& options)
      : options_(options),
        step_(options.step),
        gpus_(find_gpus()),
        partitioner_(options.resume ? nullptr : make_partitioner()),
        folder_(step_.output),
        journal_(open_journal()),
        record_(begin_record()),
        logs_(logs::Paths(folder_.logs()), static_cast<int>(record_.restarts)),
        listing_(folder_.listing(), options.resume),
        job_(job_settings(step_, workers_wanted(), first_process_number(logs_.paths())), now()),
        reporter_(step_, options.run_id, logs_) {}

  RunOutcome run() {
    begin();
    while (!end_) turn();
    return finish();
  }

 private:
  job::Time now() const { return std::chrono::duration_cast<job::Time>(Clock::now() - start_); }
  std::unique_ptr<dataset::Partitioner> make_partitioner() const {
    return std::make_unique<dataset::Partitioner>(dataset::input_spec(step_),
                                                  step_.mini_batch_size);
  }
  store::Journal open_journal();
  store::JobRecord begin_record();
  int workers_wanted() const;
  void begin();
  void restore_accepted();
  RunOutcome finish();
  void publish();

  // The loop.
  void turn();
  std::chrono::nanoseconds wait_time() const;
  void dispatch(const EventLoop::Ready& ready);
  void list_some();
  void do_what_is_due();
  void report_progress(bool last);

  // Workers.
  /// False when there is nothing more to read for now.
  bool read_messages(WorkerHandle& worker);
  void handle_message(WorkerHandle& worker, const wire::FromWorker& message);
  void on_return(WorkerHandle& worker, const wire::RunReturned& returned);
  void on_failure(WorkerHandle& worker, const wire::RunFailed& failed);
  void on_exit(WorkerHandle& worker);
  void send(WorkerHandle& worker, const wire::ToWorker& message);
  void flush(WorkerHandle& worker);
  void log_try(WorkerHandle& worker, const char* status, const std::string& message,
               std::int64_t succeeded, std::int64_t failed);

  /// Gives the job an event and carries its commands out; events that arise meanwhile wait.
  void feed(job::Event event);
  void carry_out(const job::StartWorker& command);
  void carry_out(const job::SendMiniBatch& command);
  void carry_out(const job::ShutdownWorker& command);
  void carry_out(const job::KillWorker& command);
  void carry_out(const job::DumpStacks& command);
  void carry_out(const job::Accept& command);
  void carry_out(const job::TryFailed& command);
  void carry_out(const job::MiniBatchFailed& command);
  void carry_out(const job::Note& command);
  void carry_out(const job::EndJob& command) { end_ = command; }

  WorkerHandle* find(job::WorkerId id) {
    const auto found = workers_.find(id);
    return found == workers_.end() ? nullptr : &found->second;
  }
  void note(const std::string& text) {
    logs_.overview(text);
    logs_.master(text);
    if (options_.on_note) options_.on_note(text);
  }
  bool append_row() const { return step_.output_action == config::OutputAction::kAppendRow; }
  output::Assembly& assembly(const std::string& header);

  const RunOptions& options_;
  const config::Step& step_;
  const Clock::time_point start_ = Clock::now();
  NodeGpus gpus_;
  /// While the listing goes on. Before the folder: it looks at the inputs.
  std::unique_ptr<dataset::Partitioner> partitioner_;
  JobFolder folder_;
  EventLoop loop_;
  store::Journal journal_;
  store::JobRecord record_;
  logs::LogTree logs_;
  dataset::ListingWriter listing_;
  job::Job job_;
  Reporter reporter_;
  std::optional<monitor::ResourceMonitor> monitor_;
  std::optional<output::Assembly> assembly_;
  std::map<job::WorkerId, WorkerHandle> workers_;
  std::deque<job::Event> events_;
  bool feeding_ = false;
  bool system_failed_ = false;
  int signals_ = 0;
  const wire::RunReturned* returned_ = nullptr;  ///< The message being handled.
  const wire::Times* times_ = nullptr;           ///< Its times.
  std::optional<job::EndJob> end_;
  Clock::time_point next_progress_ = start_;
  Clock::time_point next_status_ = start_;
  Clock::time_point next_overview_ = start_ + kOverviewInterval;
};

// The beginning.

store::Journal Orchestrator::open_journal() {
  if (options_.resume) {
    folder_.prepare_resume();
  } else {
    folder_.prepare_new(step_);
  }
  return store::Journal(folder_.store());
}

store::JobRecord Orchestrator::begin_record() {
  store::JobRecord record;
  if (options_.resume) {
    if (const std::optional<store::JobRecord> old = journal_.job()) record = *old;
    ++record.restarts;
    // A power failure may have kept the journal and lost the end of the output.
    if (append_row()) {
      journal_.forget_beyond(output::Assembly::partial_length(folder_.result(step_)));
    }
  } else {
    record.created_us = unix_us();
  }
  record.run_id = options_.run_id;
  record.step_json = config::to_json(step_);
  record.status = "running";
  record.reason.clear();
  record.finished_us = 0;
  journal_.set_job(record);
  return record;
}

int Orchestrator::workers_wanted() const {
  return step_.process_count_per_node > 0 ? step_.process_count_per_node
                                          : default_process_count(gpus_.visible.entries.size());
}

void Orchestrator::begin() {
  logs_.add_node(0);
  logs_.master(
      fmt::format("run {} of step {} begins, process {}", options_.run_id, step_.name, ::getpid()));
  for (const std::string& line : reporter_.settings_lines()) logs_.master(line);
  for (const std::string& text : gpus_.visible.notes) note(text);
  if (!gpus_.driver_problem.empty()) logs_.master(gpus_.driver_problem);
  for (const std::string& text : step_.notes) logs_.master(text);
  if (step_.resource_monitor_interval_s > 0) {
    monitor_.emplace(logs_.paths().perf_folder(0), folder_.output(),
                     std::chrono::seconds(step_.resource_monitor_interval_s),
                     [] { return gpu::query_usage(); });
  }
  if (options_.resume) restore_accepted();
  if (!listing_.finished() && !partitioner_) {
    partitioner_ = make_partitioner();
    // What an interrupted listing holds already has its ids.
    for (std::int64_t id = 0; id < listing_.size(); ++id) partitioner_->next();
  }
  // A short input is known whole before any worker starts, so that there are not too many.
  list_some();
  feed(job::NodeReady{0, static_cast<int>(gpus_.visible.entries.size())});
}

void Orchestrator::restore_accepted() {
  std::map<std::int64_t, std::int64_t> accepted;
  journal_.for_each_accepted([&](const store::AcceptedMiniBatch& one) {
    accepted[one.id] = one.succeeded;
    if (append_row() && step_.ordered && one.output_length >= 0) {
      assembly("").restore(one.id, one.partial_offset, one.output_length - one.partial_offset);
    }
  });
  for (std::int64_t id = 0; id < listing_.size(); ++id) {
    const auto found = accepted.find(id);
    feed(job::MiniBatchCreated{listing_.read(id).items(), found != accepted.end(),
                               found == accepted.end() ? 0 : found->second});
  }
  note(fmt::format("resumed: {} of {} mini-batches listed so far are accepted already",
                   accepted.size(), listing_.size()));
  if (listing_.finished()) feed(job::ListingDone{});
}

output::Assembly& Orchestrator::assembly(const std::string& header) {
  if (!assembly_) {
    output::AssemblyOptions options;
    options.final_path = folder_.result(step_);
    options.segment_folder = folder_.segments();
    options.header = header;
    options.ordered = step_.ordered;
    assembly_.emplace(options, options_.resume ? journal_.last_output_length() : -1);
  }
  return *assembly_;
}

// The loop.

void Orchestrator::turn() {
  try {
    // Copied: handling one may wait for others.
    const std::vector<EventLoop::Ready> ready = loop_.wait(wait_time());
    for (const EventLoop::Ready& one : ready) dispatch(one);
    list_some();
    do_what_is_due();
    journal_.flush();
    logs_.flush();
  } catch (const Error& error) {
    // The job ends with what it has; if even that fails, there is nothing left to try.
    if (std::exchange(system_failed_, true)) throw;
    feed(job::SystemFailed{error.message()});
  }
}

std::chrono::nanoseconds Orchestrator::wait_time() const {
  if (partitioner_) return std::chrono::nanoseconds(0);
  Clock::time_point next = std::min(next_progress_, next_overview_);
  if (const std::optional<job::Time> deadline = job_.next_deadline()) {
    next = std::min(next, start_ + std::chrono::duration_cast<Clock::duration>(*deadline));
  }
  for (const auto& [id, worker] : workers_) {
    if (worker.kill_at) next = std::min(next, *worker.kill_at);
  }
  return std::max<std::chrono::nanoseconds>(next - Clock::now(), std::chrono::nanoseconds(0));
}

void Orchestrator::dispatch(const EventLoop::Ready& ready) {
  if (ready.tag == kSignalTag) {
    for (int count = loop_.take_signals(); count > 0; --count) {
      const bool again = signals_++ > 0;
      note(again ? "stopping at once: running mini-batches are killed"
                 : "stopping: running mini-batches may end (once more to kill them)");
      feed(job::StopRequested{again});
    }
    return;
  }
  const bool exited = (ready.tag & kExitBit) != 0;
  WorkerHandle* worker = find({0, static_cast<int>(ready.tag & ~kExitBit)});
  if (worker == nullptr) return;
  if (exited) return on_exit(*worker);
  if (ready.writable) flush(*worker);
  if (ready.readable) read_messages(*worker);
}

void Orchestrator::list_some() {
  if (!partitioner_) return;
  const Clock::time_point until = Clock::now() + kListingSlice;
  while (std::optional<dataset::MiniBatch> mini_batch = partitioner_->next()) {
    listing_.append(*mini_batch);
    feed(job::MiniBatchCreated{mini_batch->items()});
    if (Clock::now() >= until) return;
  }
  listing_.finish();
  partitioner_.reset();
  logs_.overview(fmt::format("scheduling done: {} mini-batches, {} items, {:.3f} seconds",
                             job_.counts().mini_batches, job_.counts().items,
                             std::chrono::duration<double>(now()).count()));
  feed(job::ListingDone{});
}

void Orchestrator::do_what_is_due() {
  const Clock::time_point time = Clock::now();
  for (auto& [id, worker] : workers_) {
    if (!worker.kill_at || *worker.kill_at > time) continue;
    worker.kill_at.reset();
    worker.child->signal_group(SIGKILL);
  }
  const std::optional<job::Time> deadline = job_.next_deadline();
  if (deadline && *deadline <= now()) feed(job::Tick{});
  report_progress(false);
}

void Orchestrator::report_progress(bool last) {
  const Clock::time_point time = Clock::now();
  if (!last && time < next_progress_) return;
  next_progress_ = time + kProgressInterval;
  const monitor::JobStatus status =
      reporter_.status(job_, workers_, now(), end_ ? &*end_ : nullptr, signals_ > 0);
  if (last || time >= next_status_) {
    next_status_ = time + kStatusInterval;
    write_status(folder_.status(), status);
  }
  if (!last && time >= next_overview_) {
    next_overview_ = time + kOverviewInterval;
    logs_.overview(reporter_.overview(status));
  }
  if (options_.on_progress) options_.on_progress(status);
}

// Workers.

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
    logs_.user_error(0, worker.report.process, stage, text);
    reporter_.remember_failure(stage + " failed in " + worker.report.process, text, "");
    feed(job::WorkerInitFailed{worker.id, text});
  } else if (message.has_run_started()) {
    const wire::RunStarted& started = message.run_started();
    feed(job::RunStarted{worker.id, started.mini_batch(), started.attempt()});
  } else if (message.has_run_returned()) {
    on_return(worker, message.run_returned());
  } else if (message.has_run_failed()) {
    on_failure(worker, message.run_failed());
  }
}

void Orchestrator::on_return(WorkerHandle& worker, const wire::RunReturned& returned) {
  for (const std::string& error : returned.item_errors()) {
    logs_.user_error(0, worker.report.process,
                     fmt::format("an item of mini-batch {}", returned.mini_batch()), error);
    reporter_.remember_failure("a failed item", error, "");
  }
  returned_ = &returned;
  times_ = &returned.times();
  feed(job::RunReturned{worker.id, returned.mini_batch(), returned.attempt(), returned.rows()});
  returned_ = nullptr;
  times_ = nullptr;
}

void Orchestrator::on_failure(WorkerHandle& worker, const wire::RunFailed& failed) {
  if (failed.system_error()) {
    logs_.system_error(0, worker.report.process, failed.message());
    feed(job::SystemFailed{failed.message()});
    return;
  }
  // Without memory the worker ends by itself: its exit is the event (W3).
  logs_.user_error(0, worker.report.process,
                   fmt::format("run of mini-batch {}", failed.mini_batch()), failed.message());
  if (failed.out_of_memory()) return;
  times_ = &failed.times();
  feed(job::RunFailed{worker.id, failed.mini_batch(), failed.attempt(), failed.message()});
  times_ = nullptr;
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
  std::string detail = status.to_string();
  job::ExitKind kind = job::ExitKind::kAbnormal;
  const bool killed_by_kernel = status.signaled && status.code == SIGKILL &&
                                worker.killed_for.empty() &&
                                kernel_oom_kills() > worker.oom_kills_before;
  if ((!status.signaled && status.code == kWorkerOutOfMemory) || killed_by_kernel) {
    kind = job::ExitKind::kOutOfMemory;
    detail = "out of memory (" + detail + ")";
  } else if (!status.signaled && status.code == 0 && worker.shutting_down) {
    kind = job::ExitKind::kOrderly;
  }
  worker.report.end = kind == job::ExitKind::kOrderly ? "shutdown"
                      : worker.killed_for.empty()     ? detail
                                                      : "killed: " + worker.killed_for;
  logs_.process_ended(worker.report);
  logs_.master(fmt::format("{} (pid {}) ended: {}", worker.report.process, worker.report.pid,
                           worker.report.end));
  if (kind != job::ExitKind::kOrderly && worker.killed_for.empty()) {
    logs_.system_error(0, worker.report.process, "the process ended: " + detail);
    reporter_.remember_failure(worker.report.process + " ended: " + detail, "",
                               logs_.paths().worker_stderr(0, worker.report.process).string());
  }
  feed(job::WorkerExited{worker.id, kind, detail});
  // Every accepted range has been copied; the rest of the segment is of no use to anybody.
  std::error_code ignored;
  std::filesystem::remove(folder_.segments() / worker.segment, ignored);
  workers_.erase(worker.id);
}

void Orchestrator::send(WorkerHandle& worker, const wire::ToWorker& message) {
  worker.writer.add(message.SerializeAsString());
  flush(worker);
}

void Orchestrator::flush(WorkerHandle& worker) {
  if (worker.socket_ended) return;
  // A peer that is gone shows by its exit.
  if (!worker.writer.flush(worker.child->socket())) return;
  if (worker.writer.pending() == worker.wants_write) return;
  worker.wants_write = worker.writer.pending();
  loop_.set_writable(worker.child->socket(), socket_tag(worker.id), worker.wants_write);
}

void Orchestrator::log_try(WorkerHandle& worker, const char* status, const std::string& message,
                           std::int64_t succeeded, std::int64_t failed) {
  logs::TryReport report;
  report.mini_batch = worker.mini_batch.id;
  report.picked_count = worker.attempt;
  report.process = worker.report.process;
  report.pid = worker.report.pid;
  report.start_us = worker.try_start_us;
  report.total = worker.mini_batch.items();
  report.succeeded = succeeded;
  report.failed = failed;
  report.elapsed_s = std::chrono::duration<double>(Clock::now() - worker.try_start).count();
  if (times_ != nullptr) {
    report.process_s = times_->process_s();
    report.run_method_s = times_->run_method_s();
  }
  report.status = status;
  report.error_message = message;
  report.detail_json = describe_json(worker.mini_batch);
  logs_.try_ended(report);
}

// Commands.

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
  child.stdout_file = paths.worker_stdout(0, process);
  child.stderr_file = paths.worker_stderr(0, process);
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
  hello.set_segment_path((folder_.segments() / kept.segment).string());
  send(kept, message);
}

void Orchestrator::carry_out(const job::SendMiniBatch& command) {
  WorkerHandle& worker = *find(command.worker);
  worker.mini_batch = listing_.read(command.mini_batch);
  worker.attempt = command.attempt;
  worker.try_start = Clock::now();
  worker.try_start_us = unix_us();
  wire::ToWorker message;
  message.mutable_run()->set_mini_batch(command.mini_batch);
  message.mutable_run()->set_attempt(command.attempt);
  message.mutable_run()->set_description(dataset::serialize(worker.mini_batch));
  send(worker, message);
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

void Orchestrator::carry_out(const job::DumpStacks& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  worker->child->signal(kStackSignal);
  logs_.master(fmt::format("{} is past half of its time{}; its stack is asked for: {}",
                           worker->report.process, kernel_state(worker->child->pid()),
                           logs_.paths().worker_stderr(0, worker->report.process).string()));
}

void Orchestrator::carry_out(const job::Accept& command) {
  WorkerHandle& worker = *find(command.worker);
  store::AcceptedMiniBatch accepted;
  accepted.id = command.mini_batch;
  accepted.items = worker.mini_batch.items();
  accepted.succeeded = command.succeeded;
  accepted.output_length = -1;
  if (append_row() && !returned_->segment().empty()) {
    output::Range range;
    range.segment = returned_->segment();
    range.offset = returned_->offset();
    range.size_bytes = returned_->size_bytes();
    range.crc32c = returned_->crc32c();
    const output::Placement place = assembly(returned_->header()).accept(command.mini_batch, range);
    accepted.output_length = place.length;
    accepted.partial_offset = place.offset;
  }
  journal_.accept(accepted);
  reporter_.count(command.worker, accepted.items);
  log_try(worker, job::try_status_name(job::TryStatus::kRunDone), "", command.succeeded,
          command.failed);
}

void Orchestrator::carry_out(const job::TryFailed& command) {
  WorkerHandle* worker = find(command.worker);
  if (worker == nullptr) return;
  const char* status = job::try_status_name(command.status);
  log_try(*worker, status, command.message, 0, worker->mini_batch.items());
  logs_.master(fmt::format("mini-batch {} try {} on {}: {}: {}{}", command.mini_batch,
                           command.attempt, worker->report.process, status, command.message,
                           command.will_retry ? "; it will be tried again" : ""));
  reporter_.remember_failure(
      fmt::format("{} of mini-batch {} on {}", status, command.mini_batch, worker->report.process),
      command.message, logs_.paths().user_error(0, worker->report.process).string());
}

void Orchestrator::carry_out(const job::MiniBatchFailed& command) {
  note(fmt::format("mini-batch {} failed all its tries: {} items count as failed",
                   command.mini_batch, command.items));
}

void Orchestrator::carry_out(const job::Note& command) {
  note((command.level == job::Note::Level::kWarning ? "warning: " : "") + command.text);
}

// The end.

void Orchestrator::publish() {
  if (!append_row()) return;
  if (end_->outcome == job::Outcome::kCompleted) {
    assembly("").publish();
  } else if (assembly_) {
    assembly_->keep_partial();
  }
}

RunOutcome Orchestrator::finish() {
  monitor_.reset();
  try {
    journal_.flush();
    publish();
  } catch (const Error& error) {
    *end_ = {job::Outcome::kSystemError, error.message()};
  }
  RunOutcome outcome = reporter_.outcome(job_.counts(), *end_, folder_, now());
  record_.status = status_word(end_->outcome);
  record_.reason = end_->reason;
  record_.finished_us = unix_us();
  report_progress(true);
  logs_.finish(outcome.result);
  std::error_code ignored;
  std::filesystem::remove_all(folder_.segments(), ignored);
  journal_.set_job(record_);
  return outcome;
}

}  // namespace

int default_process_count(std::size_t gpus) {
  if (gpus > 0) return 1;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  ::sched_getaffinity(0, sizeof cores, &cores);
  return std::max(1, CPU_COUNT(&cores));
}

RunOutcome run_job(const RunOptions& options) {
  // Before the output folder is touched.
  entry::check_entry(options.step);
  return Orchestrator(options).run();
}

}  // namespace prs::runtime
