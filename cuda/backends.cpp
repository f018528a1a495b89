// Where the engine gets its backends: the one place that knows both core and cuda.
#include <algorithm>
#include <charconv>
#include <vector>

#include "backend.hpp"
#include "backend/cuda_backend.hpp"
#include "check.hpp"

namespace prs {
namespace {

/// The GPU, and the CPU for graphs and precisions that the GPU has no kernels for.
class AutoBackend : public Backend {
 public:
  explicit AutoBackend(std::unique_ptr<Backend> gpu) : gpu_(std::move(gpu)) {
    const auto add = [this](const Backend& backend) {
      for (const Precision one : backend.precisions()) {
        if (std::find(precisions_.begin(), precisions_.end(), one) == precisions_.end()) {
          precisions_.push_back(one);
        }
      }
    };
    add(*gpu_);
    add(*cpu_);
  }

  std::string name() const override { return gpu_->name(); }
  std::span<const Precision> precisions() const override { return precisions_; }

  int lanes(int threads) const override { return gpu_->lanes(threads); }
  PieceSize piece_size(std::int64_t arena_bytes, std::int64_t input_bytes) const override {
    return gpu_->piece_size(arena_bytes, input_bytes);
  }

  DevicePeaks measure(double seconds) const override { return gpu_->measure(seconds); }

  /// Where a graph ended up is told by the device of its steps.
  std::unique_ptr<Executable> compile(const Graph& graph,
                                      const CompileOptions& options) const override {
    try {
      return gpu_->compile(graph, options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      return cpu_->compile(graph, options);
    }
  }

 private:
  std::unique_ptr<Backend> gpu_;
  std::unique_ptr<Backend> cpu_ = cpu::make_backend();
  std::vector<Precision> precisions_;  ///< The GPU's, then the CPU's own.
};

/// The N of "cuda:N", 0 for "cuda"; -1 for anything else.
int device_index(std::string_view device) {
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) return -1;
  const std::string_view digits = device.substr(5);
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  return error == std::errc{} && end == digits.data() + digits.size() ? index : -1;
}

}  // namespace

std::unique_ptr<Backend> make_backend(std::string_view device) {
  if (device == "cpu") return cpu::make_backend();
  if (device == "auto") {
    try {
      return std::make_unique<AutoBackend>(cuda::make_backend(cuda::open_device(0)));
    } catch (const Error&) {
      return cpu::make_backend();  // Why there is no GPU, gpu_status() tells.
    }
  }
  const int index = device_index(device);
  if (index < 0) fail_argument("device '{}'; expected auto, cpu, cuda or cuda:N", device);
  try {
    return cuda::make_backend(cuda::open_device(index));
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("device '{}': {}; use --device cpu", device, error.message()));
  }
}

}  // namespace prs
