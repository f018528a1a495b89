#include "runtime/worker.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <prs/error.hpp>
#include <string>
#include <system_error>

#include "config/step.hpp"
#include "dataset/dataset.hpp"
#include "entry/entry.hpp"
#include "logs/log_tree.hpp"
#include "output/segment.hpp"
#include "protocol.pb.h"
#include "runtime/claims.hpp"
#include "runtime/clock.hpp"
#include "runtime/frame.hpp"
#include "runtime/protocol.hpp"

namespace prs::runtime {
namespace {

using Clock = std::chrono::steady_clock;

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
          .agent_name = hello.agent_name(),
          .run_id = hello.run_id(),
          .node_id = hello.node_id(),
          .process_count = hello.process_count(),
          .stack_signal = kStackSignal};
}

class Worker {
 public:
  int run() {
    const wire::Hello hello = receive_hello();
    if (!start(hello)) return kWorkerInitFailed;
    while (true) {
      const wire::ToWorker message = receive();
      if (message.has_shutdown()) break;
      if (!message.has_run() || !claims_.take(message.run().number())) continue;
      if (const int code = run_mini_batch(message.run()); code != 0) return code;
    }
    flush();
    entry_->shutdown();
    return 0;
  }

 private:
  wire::ToWorker receive() {
    while (true) {
      if (const std::optional<std::string_view> frame = reader_.next()) {
        wire::ToWorker message;
        if (!message.ParseFromArray(frame->data(), static_cast<int>(frame->size()))) {
          throw Error(ErrorCode::kInternal, "a message of the agent cannot be read");
        }
        return message;
      }
      flush();
      if (reader_.fill(kWorkerSocket) == FrameReader::Fill::kEnded) throw AgentGone{};
    }
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
    if (!writer_.flush(kWorkerSocket)) throw AgentGone{};
  }

  wire::Hello receive_hello() {
    const wire::ToWorker message = receive();
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
    try {
      step_ = config::step_from_json(hello.step_json());
      limit_memory(step_);
      check_side_inputs(step_);
      entry_ = entry::load_entry(step_, context_of(hello));
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

  /// 0, or the exit code of a process that must be replaced: without memory (W3), or its device.
  int run_mini_batch(const wire::RunMiniBatch& request) {
    const Clock::time_point start = Clock::now();
    const double cpu_start = cpu_seconds();
    std::optional<Clock::time_point> run_start;
    double run_s = 0;
    const std::int64_t start_us = unix_us();
    const auto set_times = [&](wire::Times& times) {
      times.set_start_us(start_us);
      times.set_elapsed_s(seconds_since(start));
      times.set_process_s(cpu_seconds() - cpu_start);
      times.set_run_method_s(run_s);
    };
    wire::FromWorker answer;
    int exit_code = 0;
    bool writing = false;
    try {
      const dataset::MiniBatch mini_batch = dataset::parse(request.description());
      entry_->load(mini_batch);
      wire::FromWorker started;
      started.mutable_run_started()->set_mini_batch(request.mini_batch());
      started.mutable_run_started()->set_attempt(request.attempt());
      send(started);
      run_start = Clock::now();
      entry::Rows rows = entry_->run(mini_batch);
      run_s = seconds_since(*run_start);
      wire::RunReturned& returned = *answer.mutable_run_returned();
      returned.set_mini_batch(request.mini_batch());
      returned.set_attempt(request.attempt());
      returned.set_rows(rows.count);
      if (!rows.text.empty()) {
        writing = true;
        const output::Range range = segment_->append(rows.text);
        returned.set_segment(range.segment);
        returned.set_offset(range.offset);
        returned.set_size_bytes(range.size_bytes);
        returned.set_crc32c(range.crc32c);
      }
      returned.set_header(rows.header);
      for (std::string& error : rows.item_errors) returned.add_item_errors(std::move(error));
      set_times(*returned.mutable_times());
    } catch (const AgentGone&) {
      throw;
    } catch (...) {
      if (exception_is_out_of_memory()) exit_code = kWorkerOutOfMemory;
      if (exception_is_device_lost()) exit_code = kWorkerDeviceLost;
      if (run_start && run_s == 0) run_s = seconds_since(*run_start);
      wire::RunFailed& failed = *answer.mutable_run_failed();
      failed.set_mini_batch(request.mini_batch());
      failed.set_attempt(request.attempt());
      failed.set_message(exception_text());
      failed.set_trace(exception_trace());
      failed.set_out_of_memory(exit_code == kWorkerOutOfMemory);
      failed.set_device_lost(exit_code == kWorkerDeviceLost);
      failed.set_system_error(writing && exit_code == 0);
      set_times(*failed.mutable_times());
    }
    if (exit_code != 0) {
      send(answer);
    } else {
      post(answer);
    }
    return exit_code;
  }

  config::Step step_;
  std::unique_ptr<entry::Entry> entry_;
  std::optional<output::SegmentWriter> segment_;
  Claims claims_ = Claims::inherited(kWorkerClaims);
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
  entry->load(mini_batch);
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
