// A graph as the CUDA backend runs it: a list of plans over one arena in device memory, for
// contexts of which each has a stream, an arena and page-locked memory of its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backend.hpp"
#include "backend/memory.hpp"
#include "backend/plan.hpp"

namespace prs::cuda {

/// What the executables of a backend share. The graphs' constants on the device: one copy each, as
/// long as anything uses it.
struct Device {
  explicit Device(std::shared_ptr<Runtime> owned_runtime)
      : runtime(std::move(owned_runtime)),
        memory(std::make_shared<MemoryPool>(runtime, MemoryPool::Kind::kDevice)),
        pinned(std::make_shared<MemoryPool>(runtime, MemoryPool::Kind::kPinned)),
        constants(runtime, memory, pinned) {}

  std::shared_ptr<const void> upload(const std::shared_ptr<const Tensor>& tensor) {
    const std::lock_guard lock(mutex);
    Uploaded& entry = uploaded[tensor.get()];
    // The address may have belonged to another tensor before.
    std::shared_ptr<const void> copy = entry.tensor.lock() == tensor ? entry.copy.lock() : nullptr;
    if (copy == nullptr) {
      copy = constants.upload(tensor->data(), tensor->bytes());
      entry = {tensor, copy};
      std::erase_if(uploaded, [](const auto& item) { return item.second.copy.expired(); });
    }
    return copy;
  }

  struct Uploaded {
    std::weak_ptr<const Tensor> tensor;
    std::weak_ptr<const void> copy;
  };

  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<MemoryPool> memory;
  std::shared_ptr<MemoryPool> pinned;
  Constants constants;
  std::mutex mutex;
  std::map<const Tensor*, Uploaded> uploaded;
};

/// Where the bytes of a value lie on the device.
struct Place {
  const void* constant = nullptr;  ///< Set, or:
  std::int64_t offset = -1;        ///< In the arena; -1: the operand is absent.
};

struct Step {
  Plan plan;
  std::string node;             ///< For messages.
  std::size_t first_input = 0;  ///< Into the flat table of operand places.
  std::size_t first_output = 0;
};

struct Port {
  Place place;
  std::int64_t size_bytes = 0;
  std::int64_t staging = 0;  ///< Offset in page-locked memory.
};

class CudaContext : public ExecutionContext {
 public:
  CudaContext(std::shared_ptr<Device> owner, std::int64_t arena_bytes, std::int64_t staging_bytes)
      : device(std::move(owner)),
        stream(device->runtime->new_stream()),
        arena(device->memory, arena_bytes),
        staging(device->pinned, staging_bytes) {}

  ~CudaContext() override {
    // A run that failed may have left work behind, which must not find its memory given away. What
    // it ends with was told already, or belongs to nobody.
    try {
      device->runtime->synchronize(*stream);
    } catch (const std::exception&) {
    }
  }

  const std::shared_ptr<Device> device;
  const std::unique_ptr<Stream> stream;
  const Buffer arena;
  const Buffer staging;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  std::unique_ptr<Recording> recording;  ///< A whole run.
  bool has_run = false;
};

class CudaExecutable : public Executable {
 public:
  explicit CudaExecutable(std::shared_ptr<Device> device) : device_(std::move(device)) {}

  std::unique_ptr<ExecutionContext> new_context() const override;

  void run(ExecutionContext& base, std::span<const void* const> inputs,
           std::span<void* const> outputs) const override;

  /// A step's launches are recorded several times over and timed as one, so that the host's share
  /// of a launch counts no more than in a run.
  RunProfile profile(ExecutionContext& base, std::span<const void* const> inputs,
                     double seconds) const override;

  std::int64_t arena_bytes() const override { return arena_bytes_; }
  std::span<const StepInfo> steps() const override { return infos_; }
  std::span<const std::string> notes() const override { return notes_; }

 private:
  friend class Compiler;

  /// To page-locked memory.
  void stage(CudaContext& context, std::span<const void* const> inputs) const;

  /// The complaint and the tickets. Runs leave them so: whoever takes tickets puts them back, and a
  /// complaint ends the run.
  void clear_zeros(CudaContext& context) const;

  void fail_if_told(CudaContext& context) const;
  Complaint* complaint_of(CudaContext& context) const;
  void enqueue_inputs(CudaContext& context) const;
  void enqueue_steps(CudaContext& context, std::size_t first, std::size_t end) const;

  /// Copies, launches and copies of one run, in order.
  void enqueue(CudaContext& context) const;

  template <typename Enqueue>
  std::unique_ptr<Recording> record(CudaContext& context, const Enqueue& enqueue_all) const;

  /// All addresses of a context are fixed, so that a run is recorded once and then started as a
  /// whole. The first run is not: kernels are loaded by it, which cannot be recorded.
  void start(CudaContext& context) const;

  static const void* address(const Place& place, const CudaContext& context);

  std::shared_ptr<Device> device_;
  std::vector<Step> steps_;
  std::vector<StepInfo> infos_;
  std::vector<StepProfile> costs_;  ///< Of each step, not measured.
  std::vector<std::string> notes_;
  std::vector<Place> input_places_;
  std::vector<Place> output_places_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
  std::vector<std::shared_ptr<const void>> constants_;
  // Behind what lives for some steps only: all steps' own. The first two are zeros between runs.
  Place complaint_;
  Place tickets_;
  Place scratch_;
  bool may_complain_ = false;
  std::int64_t zero_bytes_ = 0;
  std::int64_t arena_bytes_ = 0;
  std::int64_t staging_bytes_ = 0;
};

}  // namespace prs::cuda
