#include "runtime/foreground.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <prs/error.hpp>
#include <system_error>
#include <vector>

#include "entry/entry.hpp"
#include "gpu/pool.hpp"
#include "logs/log_tree.hpp"
#include "protocol.pb.h"
#include "runtime/environment.hpp"
#include "runtime/job_folder.hpp"
#include "runtime/protocol.hpp"
#include "runtime/worker.hpp"

namespace prs::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProcess = "process000";

[[noreturn]] void fail_io(const std::string& what, int error) {
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::generic_category().message(error)));
}

/// The folders that an entry finds in a job.
void make_folders(const JobFolder& folder) {
  const logs::Paths paths(folder.logs());
  for (const fs::path& path : {folder.work(), paths.worker_profile(0, kProcess).parent_path()}) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) fail_io("cannot create the folder " + path.string(), error.value());
  }
}

/// Puts the message where the worker finds it after exec.
void hand_over(const wire::Foreground& request) {
  const int file = ::memfd_create("prs-gpu-foreground", 0);
  if (file < 0) fail_io("memfd_create", errno);
  if (!request.SerializeToFileDescriptor(file) || ::lseek(file, 0, SEEK_SET) != 0) {
    fail_io("writing the worker's task", errno);
  }
  if (file == kWorkerSocket) return;
  if (::dup2(file, kWorkerSocket) < 0) fail_io("dup2", errno);
  ::close(file);
}

}  // namespace

dataset::MiniBatch first_mini_batch(const config::Step& step) {
  dataset::Partitioner partitioner(dataset::input_spec(step), step.mini_batch_size);
  if (std::optional<dataset::MiniBatch> first = partitioner.next()) return *std::move(first);
  throw Error(ErrorCode::kInvalidArgument, "inputs: there is no item in them");
}

dataset::MiniBatch recorded_mini_batch(const fs::path& output, std::int64_t id) {
  return dataset::read_listed(JobFolder(output).listing(), id);
}

void run_in_foreground(const config::Step& step, const dataset::MiniBatch& mini_batch,
                       const ForegroundOptions& options) {
  const NodeGpus gpus = find_gpus();
  entry::check_entry(step, why_gpuless(step, gpus, 1));
  config::Step own = step;
  own.output = step.output / "debug";
  const JobFolder folder(own.output);
  make_folders(folder);

  gpu::SlotPool slots(static_cast<int>(gpus.visible.entries.size()));
  std::vector<std::string> variables = worker_environment(
      own, options.run_id, gpus, worker_devices(own, gpus, slots.acquire(own.gpus_per_worker)));
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);

  wire::Foreground request;
  wire::Hello& hello = *request.mutable_hello();
  hello.set_step_json(config::to_json(own));
  hello.set_output_folder(folder.output().string());
  hello.set_logs_folder(folder.logs().string());
  hello.set_run_id(options.run_id);
  hello.set_agent_name(kProcess);
  hello.set_process_count(1);
  hello.set_work_folder(folder.work().string());
  request.set_description(dataset::serialize(mini_batch));
  request.set_debugpy_port(options.debugpy_port);
  hand_over(request);

  std::string program = options.program.string();
  std::string arguments[] = {program, "worker", "--foreground"};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  ::execve(program.c_str(), argv, environment.data());
  fail_io(program, errno);
}

}  // namespace prs::runtime
