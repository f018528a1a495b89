#include "runtime/worker.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <prs/error.hpp>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "config/step.hpp"
#include "dataset/dataset.hpp"
#include "entry/entry.hpp"
#include "job/job.hpp"
#include "logs/log_tree.hpp"
#include "monitor/profile.hpp"
#include "output/segment.hpp"
#include "protocol.pb.h"
#include "runtime/claims.hpp"
#include "runtime/clock.hpp"
#include "runtime/frame.hpp"
#include "runtime/protocol.hpp"

namespace prs::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using profile::Stage;

/// Thrown when the agent's end of the socket is closed: nobody is left to work for.
struct AgentGone {};

/// Writes the stack to stderr, which is a file of the log tree. Async-signal-safe once backtrace()
/// has been called before (it loads libgcc then).
void dump_stack(int) {
  static const char kTitle[] = "--- stack of the worker's main thread, asked for by its agent\n";
  void* frames[64];
  const int count = ::backtrace(frames, 64);
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kTitle, sizeof kTitle - 1);
  ::backtrace_symbols_fd(frames, count, STDERR_FILENO);
}

void install_stack_dump() {
  void* frame = nullptr;
  ::backtrace(&frame, 1);
  struct sigaction action {};
  action.sa_handler = dump_stack;
  action.sa_flags = SA_RESTART;
  ::sigaction(kStackSignal, &action, nullptr);
}

/// What the current exception says.
std::string exception_text() {
  try {
    throw;
  } catch (const entry::Failure& failure) {
    return failure.message();
  } catch (const Error& error) {
    return fmt::format("{}: {}", error_code_name(error.code()), error.message());
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

/// The trace of the user's code that the current exception brings, or "".
std::string exception_trace() {
  try {
    throw;
  } catch (const entry::Failure& failure) {
    return failure.trace();
  } catch (...) {
    return "";
  }
}

/// A device that failed for good in this process: only another one can go on (G8).
bool exception_is_device_lost() {
  try {
    throw;
  } catch (const Error& error) {
    return retry_class(error.code()) == RetryClass::kNewProcess;
  } catch (...) {
    return false;
  }
}

bool exception_is_out_of_memory() {
  try {
    throw;
  } catch (const Error& error) {
    return error.code() == ErrorCode::kOutOfMemory;
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void limit_memory(const config::Step& step) {
  if (step.worker_memory_limit_bytes <= 0) return;
  const auto bytes = static_cast<rlim_t>(step.worker_memory_limit_bytes);
  const rlimit limit{bytes, bytes};
  ::setrlimit(RLIMIT_AS, &limit);
}

/// What a mini-batch frees the next one needs again: it stays in the process. Large blocks would go
/// back to the kernel each time and come in again page by page, which costs more than reading a
/// table does.
void keep_freed_memory() {
  constexpr int kLargestKeptBytes = 32 << 20;  // As far as glibc would go by itself, in time.
  ::mallopt(M_MMAP_THRESHOLD, kLargestKeptBytes);
  ::mallopt(M_TRIM_THRESHOLD, 2 * kLargestKeptBytes);
}

/// S1: what has vanished since the step was checked, or does not exist on this node.
void check_side_inputs(const config::Step& step) {
  for (const auto& [name, path] : step.side_inputs) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) continue;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("side_inputs.{}: {} does not exist on this node", name, path.string()));
  }
}

entry::Context context_of(const wire::Hello& hello) {
  const logs::Paths paths{hello.logs_folder()};
  return {.output_folder = hello.output_folder(),
          .log_folder = paths.entry_log_folder(hello.node_id()),
          .logs = paths.root(),
          .work_folder = hello.work_folder(),
          .metrics_file = hello.metrics_path(),
          .agent_name = hello.agent_name(),
          .run_id = hello.run_id(),
          .node_id = hello.node_id(),
          .process_count = hello.process_count(),
          .stack_signal = kStackSignal,
          .shared_weights = hello.shares_weights() ? kWorkerWeights : -1};
}

/// More of them are not run together: those behind come and go meanwhile.
constexpr std::size_t kMostTogether = static_cast<std::size_t>(job::kMostAhead) / 2;

/// A mini-batch that was sent and has not been taken up.
struct Pending {
  std::int64_t mini_batch = -1;
  int attempt = 0;
  std::uint64_t number = 0;
  bool alone = false;
  dataset::MiniBatch description;
  std::exception_ptr problem;  ///< Why there is no description.
};

/// Mini-batches that are run together, mostly one. Stays where it is once it is read ahead.
struct Group {
  std::vector<Pending> members;
  std::vector<dataset::MiniBatch> mini_batches;  ///< Theirs.
  bool read_ahead = false;
};

class Worker {
 public:
  int run() {
    const wire::Hello hello = receive_hello();
    if (!start(hello)) return kWorkerInitFailed;
    std::unique_ptr<Group> next;
    while (next || wait_for_requests()) {
      const std::unique_ptr<Group> current = next ? std::move(next) : take_group();
      claim(*current);
      if (current->members.empty()) continue;
      next = begin_next(*current);
      const bool reading = next != nullptr && next->read_ahead;
      if (const int code = run_group(*current, reading); code != 0) return code;
    }
    flush();
    const profile::Scope scope(recorder_.get(), Stage::kFinish);
    entry_->shutdown();
    return 0;
  }

 private:
  /// False: there will be none.
  bool wait_for_requests() {
    while (pending_.empty() && !shutting_down_) read_requests(true);
    return !pending_.empty();
  }

  /// Takes what the agent has sent; with `wait`, once there is something.
  void read_requests(bool wait) {
    if (wait) flush();
    {
      const profile::Scope scope(recorder_.get(), wait ? Stage::kWaiting : Stage::kMessages);
      const auto fill = reader_.fill(kWorkerSocket, wait ? 0 : MSG_DONTWAIT);
      if (fill == FrameReader::Fill::kEnded) throw AgentGone{};
    }
    const profile::Scope scope(recorder_.get(), Stage::kMessages);
    while (const std::optional<wire::ToWorker> message = next_message()) {
      if (message->has_shutdown()) shutting_down_ = true;
      if (message->has_run()) pending_.push_back(pending_of(message->run()));
    }
  }

  static Pending pending_of(const wire::RunMiniBatch& request) {
    Pending pending{
        request.mini_batch(), request.attempt(), request.number(), request.alone(), {}, {}};
    try {
      pending.description = dataset::parse(request.description());
    } catch (...) {
      pending.problem = std::current_exception();
      pending.alone = true;
    }
    return pending;
  }

  /// The first of those pending, with what joins it.
  std::unique_ptr<Group> take_group() {
    auto group = std::make_unique<Group>();
    do {
      group->mini_batches.push_back(std::move(pending_.front().description));
      group->members.push_back(std::move(pending_.front()));
      pending_.pop_front();
    } while (!pending_.empty() && !group->members.front().alone && !pending_.front().alone &&
             group->members.size() < kMostTogether &&
             entry_->joins(group->mini_batches, pending_.front().description));
    return group;
  }

  /// Leaves those members that have not been withdrawn.
  void claim(Group& group) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < group.members.size(); ++i) {
      if (!claims_.take(group.members[i].number)) continue;
      if (kept != i) {
        group.members[kept] = std::move(group.members[i]);
        group.mini_batches[kept] = std::move(group.mini_batches[i]);
      }
      ++kept;
    }
    if (kept == group.members.size()) return;
    if (group.read_ahead) entry_->forget();
    group.members.resize(kept);
    group.mini_batches.resize(kept);
  }

  /// What follows `current` is read while that runs, so far as it is there. Nothing for a
  /// mini-batch that must be alone: else what goes wrong might be the other's fault.
  std::unique_ptr<Group> begin_next(const Group& current) {
    read_requests(false);
    if (current.members.front().alone || !entry_->reads_ahead()) return nullptr;
    if (pending_.empty() || pending_.front().alone) return nullptr;
    std::unique_ptr<Group> next = take_group();
    try {
      next->read_ahead = entry_->read_ahead(next->mini_batches);
    } catch (...) {
      // No memory or no thread is left for it: that must not end what is about to run. Where it
      // concerns the next ones too, their own run will say so.
    }
    return next;
  }

  std::optional<wire::ToWorker> next_message() {
    const std::optional<std::string_view> frame = reader_.next();
    if (!frame) return std::nullopt;
    wire::ToWorker message;
    if (!message.ParseFromArray(frame->data(), static_cast<int>(frame->size()))) {
      throw Error(ErrorCode::kInternal, "a message of the agent cannot be read");
    }
    return message;
  }

  /// The message goes out with the next one that is sent, or when the worker is about to wait: the
  /// end of a mini-batch and the beginning of the next are one write.
  void post(const wire::FromWorker& message) {
    message.SerializeToString(&payload_);
    writer_.add(payload_);
  }
  void send(const wire::FromWorker& message) {
    post(message);
    flush();
  }
  void flush() {
    const profile::Scope scope(recorder_.get(), Stage::kMessages);
    if (!writer_.flush(kWorkerSocket)) throw AgentGone{};
  }

  wire::Hello receive_hello() {
    std::optional<wire::ToWorker> first;
    while (!(first = next_message())) {
      if (reader_.fill(kWorkerSocket) == FrameReader::Fill::kEnded) throw AgentGone{};
    }
    const wire::ToWorker& message = *first;
    if (!message.has_hello() || message.hello().protocol_version() != kProtocolVersion) {
      throw Error(ErrorCode::kInternal,
                  fmt::format("the agent speaks another version of the protocol than {}: was "
                              "prs-gpu replaced while the job ran?",
                              kProtocolVersion));
    }
    return message.hello();
  }

  /// Loads the entry and runs its init(). False when that failed; the agent has been told.
  bool start(const wire::Hello& hello) {
    std::string stage = "loading";
    if (!hello.profile_path().empty()) {
      recorder_ = std::make_unique<profile::Recorder>(hello.profile_path(), hello.agent_name());
    }
    const profile::Scope scope(recorder_.get(), profile::Stage::kStart);
    try {
      step_ = config::step_from_json(hello.step_json());
      limit_memory(step_);
      check_side_inputs(step_);
      if (hello.shares_weights()) ::fcntl(kWorkerWeights, F_SETFD, FD_CLOEXEC);
      entry::Context context = context_of(hello);
      context.profile = recorder_.get();
      entry_ = entry::load_entry(step_, context);
      segment_.emplace(hello.segment_path());
      wire::FromWorker loaded;
      loaded.mutable_loaded()->set_protocol_version(kProtocolVersion);
      send(loaded);
      stage = "init";
      entry_->init();
    } catch (const AgentGone&) {
      throw;
    } catch (...) {
      wire::FromWorker failed;
      failed.mutable_init_failed()->set_stage(stage);
      failed.mutable_init_failed()->set_message(exception_text());
      failed.mutable_init_failed()->set_trace(exception_trace());
      send(failed);
      return false;
    }
    wire::FromWorker ready;
    ready.mutable_ready()->set_description(entry_->describe());
    send(ready);
    return true;
  }

  /// How long a group took, which is divided among its members by their work: as if they had run
  /// one after the other.
  class Stopwatch {
   public:
    void run_begins() { run_start_ = Clock::now(); }
    void run_ends() { run_s_ = seconds_since(*run_start_); }
    void set_times(double share, wire::Times& times) {
      const double elapsed_s = seconds_since(start_);
      if (run_start_ && !run_s_) run_ends();
      times.set_start_us(start_us_ + static_cast<std::int64_t>(before_ * elapsed_s * 1e6));
      times.set_elapsed_s(share * elapsed_s);
      times.set_process_s(share * (cpu_seconds() - cpu_start_));
      times.set_run_method_s(share * run_s_.value_or(0));
      before_ += share;
    }

   private:
    const Clock::time_point start_ = Clock::now();
    const double cpu_start_ = cpu_seconds();
    const std::int64_t start_us_ = unix_us();
    std::optional<Clock::time_point> run_start_;
    std::optional<double> run_s_;
    double before_ = 0;  ///< Shares of the members before.
  };

  /// `reading`: the entry reads other mini-batches meanwhile. 0, or the exit code of a
  /// process that must be replaced: without memory (W3), or its device (G8).
  int run_group(const Group& group, bool reading) {
    Stopwatch time;
    bool writing = false;
    try {
      const Pending& first = group.members.front();
      if (first.problem) std::rethrow_exception(first.problem);
      for (std::size_t i = 0; i < group.mini_batches.size(); ++i) {
        entry_->load(group.mini_batches[i], group.members[i].attempt);
      }
      wire::FromWorker started;
      started.mutable_run_started()->set_mini_batch(first.mini_batch);
      started.mutable_run_started()->set_attempt(first.attempt);
      started.mutable_run_started()->set_shared(group.members.size() > 1 || reading);
      send(started);
      time.run_begins();
      const std::vector<entry::SharedResult> results = run_entry(group);
      time.run_ends();
      writing = true;
      post_results(group, results, time);
      return 0;
    } catch (const AgentGone&) {
      throw;
    } catch (...) {
      // On a device that is lost each of them would fail, whosever fault it was.
      if (group.members.size() > 1 && !writing && !exception_is_device_lost()) {
        return run_one_by_one(group, reading);
      }
      return post_failure(group.members.front(), writing, time);
    }
  }

  std::vector<entry::SharedResult> run_entry(const Group& group) {
    // What the built-in entry does besides computing has stages of its own within.
    const profile::Scope scope(recorder_.get(), Stage::kCompute);
    return entry_->run_together(group.mini_batches);
  }

  /// What failed together is each member's own failure only when it fails alone.
  int run_one_by_one(const Group& group, bool reading) {
    for (std::size_t i = 0; i < group.members.size(); ++i) {
      const int code = run_group({{group.members[i]}, {group.mini_batches[i]}}, reading);
      if (code != 0) return code;
    }
    return 0;
  }

  void post_results(const Group& group, const std::vector<entry::SharedResult>& results,
                    Stopwatch& time) {
    std::optional<profile::Scope> append(std::in_place, recorder_.get(), Stage::kAppend);
    std::vector<std::string_view> texts;
    double work_s = 0;
    for (const entry::SharedResult& result : results) {
      work_s += result.work_s;
      texts.push_back(result.rows.text);
    }
    const std::vector<output::Range> ranges = segment_->append(texts);
    append.reset();
    const profile::Scope scope(recorder_.get(), Stage::kMessages);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const entry::Rows& rows = results[i].rows;
      wire::FromWorker answer;
      wire::RunReturned& returned = *answer.mutable_run_returned();
      returned.set_mini_batch(group.members[i].mini_batch);
      returned.set_attempt(group.members[i].attempt);
      returned.set_rows(rows.count);
      if (!rows.text.empty()) {
        returned.set_segment(ranges[i].segment);
        returned.set_offset(ranges[i].offset);
        returned.set_size_bytes(ranges[i].size_bytes);
        returned.set_crc32c(ranges[i].crc32c);
      }
      returned.set_header(rows.header);
      returned.set_has_metrics(rows.has_metrics);
      for (const std::string& error : rows.item_errors) returned.add_item_errors(error);
      const auto members = static_cast<double>(results.size());
      time.set_times(work_s > 0 ? results[i].work_s / work_s : 1 / members,
                     *returned.mutable_times());
      post(answer);
    }
  }

  /// Of the current exception; returns what run_group() does.
  int post_failure(const Pending& pending, bool writing, Stopwatch& time) {
    int exit_code = 0;
    if (exception_is_out_of_memory()) exit_code = kWorkerOutOfMemory;
    if (exception_is_device_lost()) exit_code = kWorkerDeviceLost;
    wire::FromWorker answer;
    wire::RunFailed& failed = *answer.mutable_run_failed();
    failed.set_mini_batch(pending.mini_batch);
    failed.set_attempt(pending.attempt);
    failed.set_message(exception_text());
    failed.set_trace(exception_trace());
    failed.set_out_of_memory(exit_code == kWorkerOutOfMemory);
    failed.set_device_lost(exit_code == kWorkerDeviceLost);
    failed.set_system_error(writing && exit_code == 0);
    time.set_times(1, *failed.mutable_times());
    post(answer);
    if (exit_code != 0) flush();
    return exit_code;
  }

  config::Step step_;
  std::unique_ptr<profile::Recorder> recorder_;  ///< Null: no profile is wanted.
  std::unique_ptr<entry::Entry> entry_;
  std::optional<output::SegmentWriter> segment_;
  Claims claims_ = Claims::inherited(kWorkerClaims);
  std::deque<Pending> pending_;  ///< In the order in which they were sent.
  bool shutting_down_ = false;   ///< Nothing more will be sent.
  FrameReader reader_;
  FrameWriter writer_;
  std::string payload_;
};

/// The life of a worker in the foreground. Gives its exit code.
int run_one(const wire::Foreground& request) {
  const config::Step step = config::step_from_json(request.hello().step_json());
  const dataset::MiniBatch mini_batch = dataset::parse(request.description());
  limit_memory(step);
  check_side_inputs(step);
  entry::Context context = context_of(request.hello());
  context.foreground = true;
  context.debugpy_port = request.debugpy_port();
  const std::unique_ptr<entry::Entry> entry = entry::load_entry(step, context);
  entry->init();
  fmt::print(stderr, "prs-gpu: {}\n", entry->describe());
  entry->load(mini_batch, 1);
  const Clock::time_point start = Clock::now();
  const entry::Rows rows = entry->run(mini_batch);
  const double run_s = seconds_since(start);
  fmt::print("{}{}", rows.header, rows.text);
  std::fflush(stdout);
  entry->shutdown();
  for (const std::string& error : rows.item_errors) fmt::print(stderr, "failed: {}\n", error);
  fmt::print(stderr, "prs-gpu: mini-batch {}: {} rows for {} items, run() took {:.6f} s{}\n",
             mini_batch.id, rows.count, mini_batch.items(), run_s,
             step.output_action == config::OutputAction::kSummaryOnly
                 ? "; summary_only: rows are counted, not kept"
                 : "");
  return 0;
}

}  // namespace

int run_foreground_worker() {
  install_stack_dump();
  try {
    wire::Foreground request;
    const bool read = request.ParseFromFileDescriptor(kWorkerSocket);
    ::close(kWorkerSocket);
    if (!read) {
      throw Error(ErrorCode::kInternal, "worker --foreground is started by run --debug and replay");
    }
    return run_one(request);
  } catch (...) {
    const std::string trace = exception_trace();
    fmt::print(stderr, "{}prs-gpu: error: {}\n", trace, exception_text());
    return kForegroundFailed;
  }
}

int run_worker() {
  // The worker ends with its agent, also when that is killed in the middle of a run().
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  install_stack_dump();
  keep_freed_memory();
  // What the entry starts is no worker: it must not hold the socket open.
  ::fcntl(kWorkerSocket, F_SETFD, FD_CLOEXEC);
  ::fcntl(kWorkerClaims, F_SETFD, FD_CLOEXEC);
  try {
    return Worker().run();
  } catch (const AgentGone&) {
    return kWorkerLostAgent;
  } catch (...) {
    fmt::print(stderr, "prs-gpu worker: {}\n", exception_text());
    return 1;
  }
}

}  // namespace prs::runtime
