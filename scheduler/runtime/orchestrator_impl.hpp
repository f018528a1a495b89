// The orchestrator, for the files that define it: orchestrator.cpp (beginning, loop, end),
// messages.cpp (what workers say and how they end), commands.cpp (what the job wants).
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataset/dataset.hpp"
#include "job/job.hpp"
#include "monitor/profile.hpp"
#include "monitor/resource_monitor.hpp"
#include "output/assembly.hpp"
#include "protocol.pb.h"
#include "runtime/clock.hpp"
#include "runtime/environment.hpp"
#include "runtime/event_loop.hpp"
#include "runtime/guard.hpp"
#include "runtime/job_folder.hpp"
#include "runtime/lister.hpp"
#include "runtime/metric_files.hpp"
#include "runtime/orchestrator.hpp"
#include "runtime/reporting.hpp"
#include "runtime/worker_handle.hpp"
#include "store/journal.hpp"

namespace prs::runtime {

// Sources of the event loop.
inline constexpr std::uint64_t kExitBit = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kListingTag = kSignalTag - 1;
inline std::uint64_t socket_tag(job::WorkerId id) { return static_cast<std::uint64_t>(id.process); }
inline std::uint64_t exit_tag(job::WorkerId id) { return socket_tag(id) | kExitBit; }

/// A header without its line end, as it is compared.
inline std::string header_line(std::string header) {
  while (header.ends_with('\n')) header.pop_back();
  return header;
}

class Orchestrator {
 public:
  Orchestrator(const RunOptions& options, NodeGpus gpus)
      : options_(options),
        step_(options.step),
        gpus_(std::move(gpus)),
        partitioner_(options.resume ? nullptr : make_partitioner()),
        folder_(step_.output),
        journal_(open_journal()),
        metric_files_(folder_.metrics(), journal_),
        record_(begin_record()),
        logs_(logs::Paths(folder_.logs()), static_cast<int>(record_.restarts)),
        listing_(folder_.listing(), options.resume),
        job_(job_settings(step_, process_count(step_, gpus_), first_process_number(logs_.paths())),
             now()),
        reporter_(step_, options.run_id, logs_) {}

  RunOutcome run() {
    begin();
    while (!end_) turn();
    return finish();
  }

 private:
  using Clock = std::chrono::steady_clock;

  job::Time now() const { return std::chrono::duration_cast<job::Time>(Clock::now() - start_); }
  std::unique_ptr<dataset::Partitioner> make_partitioner() const {
    return std::make_unique<dataset::Partitioner>(dataset::input_spec(step_),
                                                  step_.mini_batch_size);
  }
  std::string finish_profile();
  store::Journal open_journal();
  store::JobRecord begin_record();
  bool shares_weights() const {
    return step_.entry.kind == config::EntrySpec::Kind::kModel && process_count(step_, gpus_) > 1;
  }
  void begin();
  void restore_accepted();
  RunOutcome finish();
  void publish();

  // The loop.
  void turn();
  std::vector<EventLoop::Ready> wait();
  std::chrono::nanoseconds wait_time() const;
  void dispatch(const EventLoop::Ready& ready);
  void start_listing();
  void take_listed();
  void finish_listing();
  void end_listing();
  void do_what_is_due();
  void report_progress(bool last);
  void publish_metrics();
  void report_log_problem();

  // Workers.
  /// False when there is nothing more to read for now.
  bool read_messages(WorkerHandle& worker);
  void handle_message(WorkerHandle& worker, const wire::FromWorker& message);
  void on_return(WorkerHandle& worker, const wire::RunReturned& returned);
  void on_failure(WorkerHandle& worker, const wire::RunFailed& failed);
  void log_user_error(const WorkerHandle& worker, const std::string& stage,
                      const std::string& message, const std::string& trace);
  void on_exit(WorkerHandle& worker);
  /// Until flush_unsent(): what goes to a worker at one time is one write.
  void send(WorkerHandle& worker, const wire::ToWorker& message);
  void flush_unsent();
  void flush(WorkerHandle& worker);
  /// What it was sent, which is not its any more.
  SentMiniBatch take_back(WorkerHandle& worker, std::int64_t mini_batch);
  void log_try(const WorkerHandle& worker, const SentMiniBatch& sent, const char* status,
               const std::string& message, std::int64_t succeeded, std::int64_t failed);

  /// Gives the job an event and carries its commands out; events that arise meanwhile wait.
  void feed(job::Event event);
  void carry_out(const job::StartWorker& command);
  void carry_out(const job::SendMiniBatch& command);
  void carry_out(const job::WithdrawMiniBatches& command);
  void carry_out(const job::ShutdownWorker& command);
  void carry_out(const job::KillWorker& command);
  void carry_out(const job::GiveUpGpus& command);
  void carry_out(const job::DumpStacks& command);
  void carry_out(const job::Accept& command);
  void carry_out(const job::TryFailed& command);
  void carry_out(const job::SharedTryFailed& command);
  void carry_out(const job::MiniBatchFailed& command);
  void carry_out(const job::Note& command);
  void carry_out(const job::EndJob& command) { end_ = command; }

  WorkerHandle* find(job::WorkerId id) {
    const auto found = workers_.find(id);
    return found == workers_.end() ? nullptr : &found->second;
  }
  void note(const std::string& text, logs::Level level = logs::Level::kInfo) {
    logs_.overview(text);
    logs_.master(text, level);
    if (options_.on_note) options_.on_note(text);
  }
  bool append_row() const { return step_.output_action == config::OutputAction::kAppendRow; }
  output::Assembly& assembly(const std::string& header);

  const RunOptions& options_;
  const config::Step& step_;
  const Clock::time_point start_ = Clock::now();
  /// Ends last, and before anything is open that its process would hold.
  Guard guard_;
  NodeGpus gpus_;
  /// What workers have in common of their model; none when there is only one.
  const Fd weights_ = shares_weights() ? shared_weights_file() : Fd();
  /// Until the listing starts. Before the folder: it looks at the inputs.
  std::unique_ptr<dataset::Partitioner> partitioner_;
  JobFolder folder_;
  EventLoop loop_;
  store::Journal journal_;
  MetricFiles metric_files_;
  store::JobRecord record_;
  logs::LogTree logs_;
  std::unique_ptr<profile::Recorder> recorder_;  ///< Null: no profile is wanted.
  std::vector<std::filesystem::path> profile_parts_;
  dataset::ListingWriter listing_;
  std::optional<Lister> lister_;    ///< While the listing goes on.
  bool listing_to_finish_ = false;  ///< All is listed, and its file does not say so yet.
  std::string input_identity_;
  job::Job job_;
  Reporter reporter_;
  std::optional<monitor::ResourceMonitor> monitor_;
  std::optional<output::Assembly> assembly_;
  std::optional<std::string> header_;  ///< Of the rows that were accepted: header_line().
  std::map<job::WorkerId, WorkerHandle> workers_;
  std::vector<job::WorkerId> unsent_;  ///< Those with messages to be written.
  std::deque<job::Event> events_;
  bool feeding_ = false;
  bool system_failed_ = false;
  bool log_problem_told_ = false;
  int signals_ = 0;
  const wire::RunReturned* returned_ = nullptr;  ///< The message being handled.
  const wire::Times* times_ = nullptr;           ///< Its times,
  const WorkerHandle* speaker_ = nullptr;        ///< and whose it is.
  std::optional<job::EndJob> end_;
  Clock::time_point finish_start_;
  Clock::time_point next_progress_ = start_;
  Clock::time_point next_status_ = start_;
  Clock::time_point next_overview_ = start_;
  Clock::time_point next_metrics_ = start_;
};

}  // namespace prs::runtime
