#include "runtime/orchestrator.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <prs/engine.hpp>
#include <prs/error.hpp>
#include <utility>

#include "dataset/parquet.hpp"
#include "entry/entry.hpp"
#include "gpu/nvml.hpp"
#include "runtime/orchestrator_impl.hpp"
#include "store/metric_summary.hpp"

namespace prs::runtime {
namespace {

using profile::Stage;
using std::chrono::milliseconds;

constexpr char kOwnTrack[] = "prs-gpu";

/// How long workers wait for the listing of an input that may need fewer of them.
constexpr auto kShortListing = milliseconds(25);
constexpr auto kProgressInterval = milliseconds(200);
constexpr auto kStatusInterval = std::chrono::seconds(1);
constexpr auto kOverviewInterval = std::chrono::seconds(10);
constexpr auto kMetricsInterval = std::chrono::seconds(10);
constexpr int kMetricsPatience = 50;  ///< Times what writing metrics.prom took.

bool is_parquet(const config::Step& step) {
  return step.output_format == config::OutputFormat::kParquet &&
         step.output_action == config::OutputAction::kAppendRow;
}

}  // namespace

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
      journal_.forget_beyond(output::Assembly::kept_length(folder_.result(step_)));
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

void Orchestrator::begin() {
  logs_.set_level(log_level(step_.logging_level));
  logs_.add_node(0);
  if (options_.profile) {
    profile_parts_.push_back(logs_.paths().perf_folder(0) / "prs-gpu.spans");
    std::filesystem::create_directories(profile_parts_.back().parent_path());
    recorder_ = std::make_unique<profile::Recorder>(profile_parts_.back(), kOwnTrack);
    recorder_->add(Stage::kStart, start_, Clock::now());
  }
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
  if (options_.resume) {
    restore_accepted();
    metric_files_.take_all();
  }
  if (!listing_.finished()) start_listing();
  next_overview_ = start_ + kOverviewInterval;
  feed(job::NodeReady{0, static_cast<int>(gpus_.visible.entries.size())});
}

void Orchestrator::start_listing() {
  if (!partitioner_) {
    partitioner_ = make_partitioner();
    for (std::int64_t id = 0; id < listing_.size(); ++id) partitioner_->skip(listing_.read(id));
  }
  Identify identify = Identify::kNot;
  if (options_.identify_inputs) {
    identify = step_.reuse_by_content ? Identify::kByContent : Identify::kByState;
  }
  lister_.emplace(dataset::input_spec(step_), std::move(partitioner_), identify, recorder_.get());
  loop_.add(lister_->fd(), kListingTag);
  // There are to be no more workers than mini-batches; of a long input they start meanwhile.
  lister_->wait_for(static_cast<std::size_t>(process_count(step_, gpus_)) + 1, kShortListing);
  take_listed();
}

void Orchestrator::restore_accepted() {
  std::map<std::int64_t, std::int64_t> accepted;
  std::optional<std::int64_t> rows_begin;
  journal_.for_each_accepted([&](const store::AcceptedMiniBatch& one) {
    accepted[one.id] = one.succeeded;
    if (one.output_length >= 0) {
      rows_begin = std::min(rows_begin.value_or(one.partial_offset), one.partial_offset);
    }
    if (append_row() && step_.ordered && one.output_length >= 0) {
      assembly("").restore(one.id, one.partial_offset, one.output_length - one.partial_offset);
    }
  });
  // Published already when the job was killed at its very end.
  const std::filesystem::path result = folder_.result(step_);
  if (append_row() && rows_begin && output::Assembly::partial_length(result) >= *rows_begin) {
    header_ = header_line(output::Assembly::partial_head(result, *rows_begin));
  }
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
    if (is_parquet(step_)) options.convert = dataset::write_parquet;
    assembly_.emplace(options, options_.resume ? journal_.last_output_length() : -1);
  }
  return *assembly_;
}

// The loop.

void Orchestrator::turn() {
  try {
    finish_listing();
    // Copied: handling one may wait for others.
    const std::vector<EventLoop::Ready> ready = wait();
    {
      const profile::Scope scope(recorder_.get(), Stage::kDispatch);
      for (const EventLoop::Ready& one : ready) {
        dispatch(one);
        flush_unsent();
      }
      do_what_is_due();
      flush_unsent();
    }
    {
      const profile::Scope scope(recorder_.get(), Stage::kJournal);
      journal_.flush();
    }
    const profile::Scope scope(recorder_.get(), Stage::kLogs);
    if (Clock::now() >= next_metrics_) publish_metrics();
    logs_.flush();
    report_log_problem();
  } catch (const Error& error) {
    // The job ends with what it has; if even that fails, there is nothing left to try.
    if (std::exchange(system_failed_, true)) throw;
    feed(job::SystemFailed{error.message()});
  }
}

std::vector<EventLoop::Ready> Orchestrator::wait() {
  const profile::Scope scope(recorder_.get(), Stage::kWaiting);
  return loop_.wait(wait_time());
}

std::chrono::nanoseconds Orchestrator::wait_time() const {
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
                 : "stopping: running mini-batches may end (once more to kill them)",
           logs::Level::kWarning);
      feed(job::StopRequested{again});
    }
    return;
  }
  if (ready.tag == kListingTag) {
    if (lister_) take_listed();
    return;
  }
  const bool exited = (ready.tag & kExitBit) != 0;
  WorkerHandle* worker = find({0, static_cast<int>(ready.tag & ~kExitBit)});
  if (worker == nullptr) return;
  if (exited) return on_exit(*worker);
  if (ready.writable) flush(*worker);
  if (ready.readable) read_messages(*worker);
}

void Orchestrator::take_listed() {
  Lister::Listed listed;
  try {
    listed = lister_->take();
    listing_.append(listed.mini_batches);
    for (const dataset::MiniBatch& mini_batch : listed.mini_batches) {
      feed(job::MiniBatchCreated{mini_batch.items()});
    }
    if (!listed.complete) return;
  } catch (const Error& error) {
    // A resume goes on with what stands in the list.
    end_listing();
    return feed(job::SystemFailed{"listing the inputs: " + error.message()});
  }
  input_identity_ = listed.input_identity;
  listing_to_finish_ = true;
  end_listing();
  logs_.overview(fmt::format("scheduling done: {} mini-batches, {} items, {:.3f} seconds",
                             job_.counts().mini_batches, job_.counts().items,
                             std::chrono::duration<double>(now()).count()));
  feed(job::ListingDone{});
}

/// Apart from take_listed(): this waits for the disk, and the workers started meanwhile load.
void Orchestrator::finish_listing() {
  if (std::exchange(listing_to_finish_, false)) listing_.finish();
}

void Orchestrator::end_listing() {
  loop_.remove(lister_->fd());
  lister_.reset();
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
    replace_file(folder_.status(), monitor::to_json(status) + '\n');
  }
  if (!last && time >= next_overview_) {
    next_overview_ = time + kOverviewInterval;
    logs_.overview(reporter_.overview(status));
  }
  if (options_.on_progress) options_.on_progress(status);
}

void Orchestrator::publish_metrics() {
  next_metrics_ = Clock::now() + kMetricsInterval;
  if (!metric_files_.has_news()) return;
  const Clock::time_point begin = Clock::now();
  replace_file(logs_.paths().metrics(),
               store::to_prometheus(store::summarize_metrics(journal_), options_.run_id));
  // All metrics are read again each time: of very many rarely.
  next_metrics_ += kMetricsPatience * (Clock::now() - begin);
}

void Orchestrator::report_log_problem() {
  if (log_problem_told_ || logs_.problem().empty()) return;
  log_problem_told_ = true;
  note("warning: the logs are not complete: " + logs_.problem() + "; the job goes on",
       logs::Level::kWarning);
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
  finish_start_ = Clock::now();
  // Beside what follows: it looks at every process of the machine.
  guard_.begin_end();
  if (monitor_) monitor_->stop();
  bool has_all_metrics = false;
  try {
    finish_listing();
    metric_files_.take_all();
    journal_.flush();
    has_all_metrics = true;
    publish();
    publish_metrics();
  } catch (const Error& error) {
    *end_ = {job::Outcome::kSystemError, error.message()};
  }
  RunOutcome outcome = reporter_.outcome(job_.counts(), *end_, folder_, now());
  outcome.input_identity = input_identity_;
  record_.status = status_word(end_->outcome);
  record_.reason = end_->reason;
  record_.finished_us = unix_us();
  report_progress(true);
  logs_.finish(outcome.result);
  report_log_problem();
  std::error_code ignored;
  std::filesystem::remove_all(folder_.segments(), ignored);
  journal_.set_job(record_);
  if (has_all_metrics) metric_files_.remove();
  monitor_.reset();
  outcome.profile = finish_profile();
  return outcome;
}

std::string Orchestrator::finish_profile() {
  if (recorder_ == nullptr) return "";
  lister_.reset();  // It uses the recorder.
  recorder_->add(Stage::kFinish, finish_start_, Clock::now());
  recorder_.reset();
  const std::filesystem::path folder = logs_.paths().perf_folder(0);
  try {
    const std::string table =
        profile::write_profile(profile_parts_, kOwnTrack, folder / "profile.json");
    std::ofstream(folder / "profile.txt") << table;
    std::error_code ignored;
    for (const std::filesystem::path& part : profile_parts_) {
      std::filesystem::remove(part, ignored);
    }
    return fmt::format("{}The trace is {}: open it in https://ui.perfetto.dev\n", table,
                       (folder / "profile.json").string());
  } catch (const Error& error) {
    note("warning: there is no profile: " + error.message(), logs::Level::kWarning);
    return "";
  }
}

RunOutcome run_job(const RunOptions& options) {
  // Before the output folder is touched.
  NodeGpus gpus = find_gpus();
  entry::check_entry(options.step,
                     why_gpuless(options.step, gpus, process_count(options.step, gpus)));
  if (is_parquet(options.step)) dataset::require_parquet();
  return Orchestrator(options, std::move(gpus)).run();
}

}  // namespace prs::runtime
