// The CUDA backend's kernel interface: an operator call with static shapes -> a plan that launches
// kernels for it. As core's CPU backend has it: plans decide everything once; running one launches,
// allocates nothing, and may happen on several streams at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backend/memory.hpp"
#include "kernels/args.hpp"
#include "ops/op.hpp"
#include "prs/precision.hpp"
#include "runtime.hpp"

namespace prs::cuda {

/// Device memory that plans fill once, when a graph is compiled: weights, tables. Thread-safe.
class Constants {
 public:
  Constants(std::shared_ptr<Runtime> runtime, std::shared_ptr<MemoryPool> device,
            std::shared_ptr<MemoryPool> pinned)
      : runtime_(std::move(runtime)), device_(std::move(device)), pinned_(std::move(pinned)) {}

  /// A copy of these bytes on the device, kept as long as the result is.
  std::shared_ptr<const void> upload(const void* data, std::int64_t bytes) const;

  template <typename T>
  std::shared_ptr<const void> upload(const std::vector<T>& values) const {
    return upload(values.data(), static_cast<std::int64_t>(values.size() * sizeof(T)));
  }

  /// What make() makes of `constants`, once for all plans that ask for the same `layout` of them.
  /// Holds nothing alive: it goes with the last plan that uses it.
  template <typename Make>
  std::shared_ptr<const void> packed(std::vector<Tensor> constants, const std::string& layout,
                                     const Make& make) const {
    return share(std::move(constants), layout, [&] { return upload(make()); });
  }

 private:
  struct Packed {
    std::vector<Tensor> constants;  ///< Keep their addresses from being used for others.
    std::shared_ptr<const void> memory;
  };

  std::shared_ptr<const void> share(std::vector<Tensor> constants, const std::string& layout,
                                    const std::function<std::shared_ptr<const void>()>& make) const;

  std::shared_ptr<Runtime> runtime_;
  std::shared_ptr<MemoryPool> device_;
  std::shared_ptr<MemoryPool> pinned_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::weak_ptr<const Packed>> packed_;
};

/// One operator call: kinds, parameters and static types. Outputs that nobody wants are absent.
struct Call {
  OpKind kind;
  const Params& params;
  std::span<const InputInfo> inputs;
  std::span<const TensorType> outputs;
  const Constants& constants;
  const DeviceLimits& limits;
  int step = 0;  ///< Its number in the executable.
  /// What products with constants are computed in.
  Precision precision = Precision::kFp32;

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i].type.present(); }
  bool wants(std::size_t i) const { return i < outputs.size() && outputs[i].present(); }
};

/// Launches on one stream.
class Launcher {
 public:
  Launcher(Runtime& runtime, Stream& stream) : runtime_(runtime), stream_(stream) {}

  template <typename Args>
  void operator()(KernelId kernel, Dim3 grid, const Args& args,
                  std::int64_t dynamic_shared_bytes = 0, unsigned threads = kThreads) const {
    runtime_.launch(stream_,
                    {kernel, grid, {threads, 1, 1}, dynamic_shared_bytes, &args, sizeof(Args)});
  }

 private:
  Runtime& runtime_;
  Stream& stream_;
};

/// Device buffers of one run, in the order of the call's operands; null for absent ones.
struct StepArgs {
  const void* const* inputs;
  void* const* outputs;
  Complaint* complaint;
  const Launcher& launch;

  template <typename T>
  const T* in(std::size_t i) const {
    return static_cast<const T*>(inputs[i]);
  }
  template <typename T>
  T* out(std::size_t i) const {
    return static_cast<T*>(outputs[i]);
  }
};

struct Plan {
  std::string kernel;
  std::function<void(const StepArgs&)> run;
  /// Output 0 may be the same buffer as input 0.
  bool in_place = false;
  /// What a complaint about `value` says, after the node's name. Set when the kernel may complain.
  std::function<std::string(std::int64_t value)> complaint = {};
};

/// Each throws unsupported with the reason when there is no kernel for the call.
#define PRS_OP(kind, family, ...) Plan plan_##family(const Call& call);
#include "ops/ops.inc"
#undef PRS_OP

// ---- shared by the families ---------------------------------------------------------------------

/// One thread an element, kThreads a block; kernels stride over what exceeds the grid.
Dim3 grid_for(std::int64_t count);

/// A plan of one kernel over `count` elements: fill(args, step) completes a copy of `args` with the
/// operands' addresses before each launch. Nothing is launched when there are no elements.
template <typename Args, typename Fill>
Plan plan_kernel(KernelId kernel, Dim3 grid, const Args& args, std::int64_t count, Fill fill,
                 std::int64_t dynamic_shared_bytes = 0, unsigned threads = kThreads) {
  Plan plan;
  plan.kernel = kernel_name(kernel);
  plan.run = [kernel, grid, args, count, fill, dynamic_shared_bytes,
              threads](const StepArgs& step) {
    if (count == 0) return;
    Args complete = args;
    fill(complete, step);
    step.launch(kernel, grid, complete, dynamic_shared_bytes, threads);
  };
  return plan;
}

/// For require_f32(): the first input.
inline constexpr std::size_t kFirst[] = {0};

/// Throws unsupported unless the call's operands are f32.
void require_f32(const Call& call, std::span<const std::size_t> inputs);

/// Adds a loop inside the others, merged with the one around it when all operands allow.
template <int kOperands>
void push_loop(Loops<kOperands>& loops, std::int64_t extent,
               const std::int64_t (&strides)[kOperands]) {
  if (extent == 1) return;
  if (loops.depth > 0) {
    bool mergeable = true;
    for (int k = 0; k < kOperands; ++k) {
      mergeable = mergeable && loops.strides[loops.depth - 1][k] == extent * strides[k];
    }
    if (mergeable) {
      loops.extents[loops.depth - 1] *= extent;
      for (int k = 0; k < kOperands; ++k) loops.strides[loops.depth - 1][k] = strides[k];
      return;
    }
  }
  loops.extents[loops.depth] = extent;
  for (int k = 0; k < kOperands; ++k) loops.strides[loops.depth][k] = strides[k];
  ++loops.depth;
}

Epilogue epilogue_of(const Activation& activation);

/// Of the kernels for elements of 1, 2, 4 and 8 bytes, which follow one another, the one for
/// `bytes`.
KernelId by_size(KernelId b8, std::int64_t bytes);

/// Copies `type`'s elements from input 0 to output 0.
Plan plan_copy(const TensorType& type);

/// Reduces x along the axes of the bit set; y is dense.
Plan plan_reduction(Reduction reduction, const Shape& x, std::uint32_t axes);

}  // namespace prs::cuda
