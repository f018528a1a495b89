// The devices of the test build's program: the emulation, in the place of cuda/probe.cu and
// cuda/runtime_cuda.cu. All else is the program as it is.
//
// PRS_EMULATED_GPUS says what the machine has, "ok" when it is not set: a word for each GPU, "ok",
// or "3 kernels", after which each process that uses it finds it lost, or "1000000 bytes" of memory
// for each process. A process sees those of CUDA_VISIBLE_DEVICES, all when it is not set.
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "emulation/emulated_runtime.hpp"
#include "probe.hpp"
#include "prs/error.hpp"
#include "runtime.hpp"

namespace prs::cuda {
namespace {

DeviceLimits emulated_limits() {
  DeviceLimits limits;
  limits.shared_bytes = 99 << 10;  // As of compute capability 8.6.
  limits.compute_capability = 86;
  return limits;
}

std::vector<std::string> words_of(const char* text) {
  std::vector<std::string> words;
  std::istringstream list(text);
  for (std::string word; std::getline(list, word, ',');) words.push_back(word);
  return words;
}

/// What PRS_EMULATED_GPUS says of those that this process sees.
std::vector<std::string> visible_gpus() {
  const char* described = std::getenv("PRS_EMULATED_GPUS");
  const std::vector<std::string> all = words_of(described == nullptr ? "ok" : described);
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return all;
  std::vector<std::string> gpus;
  for (const std::string& index : words_of(visible)) gpus.push_back(all.at(std::stoul(index)));
  return gpus;
}

}  // namespace

Probe probe_devices() {
  const DeviceLimits limits = emulated_limits();
  Probe probe;
  const std::size_t count = visible_gpus().size();
  for (std::size_t i = 0; i < count; ++i) {
    probe.devices.push_back({"emulated on the CPU", limits.compute_capability / 10,
                             limits.compute_capability % 10, limits.memory_bytes});
  }
  if (count == 0) probe.reason = "no CUDA device is visible (CUDA_VISIBLE_DEVICES is empty)";
  return probe;
}

std::shared_ptr<Runtime> open_device(int index) {
  const std::vector<std::string> gpus = visible_gpus();
  if (index >= static_cast<int>(gpus.size())) {
    throw Error(ErrorCode::kUnavailable, fmt::format("there is no device {}; {} visible, numbered "
                                                     "from 0",
                                                     index, gpus.size()));
  }
  const auto runtime = emulated::make_runtime({}, emulated_limits());
  const std::string& gpu = gpus[static_cast<std::size_t>(index)];
  if (gpu.ends_with(" kernels")) runtime->lose_after(std::stoll(gpu));
  if (gpu.ends_with(" bytes")) runtime->limit_memory(std::stoll(gpu));
  return runtime;
}

}  // namespace prs::cuda
