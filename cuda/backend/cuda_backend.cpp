// The CUDA backend: compiles a graph into a list of kernel plans over one arena in device memory.
//
// A context owns a stream; contexts of several threads compute side by side. Weights are uploaded
// once and shared by the executables of all batch sizes.
#include "backend/cuda_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "backend/fused/fused.hpp"
#include "backend/measure.hpp"
#include "backend/plan.hpp"
#include "check.hpp"
#include "graph/cost.hpp"
#include "graph/memory_plan.hpp"
#include "graph/step.hpp"

namespace prs::cuda {
namespace {

Plan make_plan(const Call& call) {
  switch (call.kind) {
#define PRS_OP(kind, family, ...) \
  case OpKind::k##kind:           \
    return plan_##family(call);
#include "ops/ops.inc"
#undef PRS_OP
  }
  fail(ErrorCode::kInternal, "an operator without a row in the table");
}

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

  std::unique_ptr<ExecutionContext> new_context() const override {
    std::unique_ptr<CudaContext> context;
    try {
      context = std::make_unique<CudaContext>(device_, arena_bytes_, staging_bytes_);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kOutOfMemory) throw;
      device_->memory->release();
      device_->pinned->release();
      throw Error(error.code(),
                  fmt::format("{}; a batch of this size takes {} bytes on the device and {} of "
                              "page-locked memory; try a smaller batch",
                              error.message(), arena_bytes_, staging_bytes_));
    }
    for (const Place& place : input_places_) context->inputs.push_back(address(place, *context));
    for (const Place& place : output_places_) {
      context->outputs.push_back(const_cast<void*>(address(place, *context)));
    }
    return context;
  }

  void run(ExecutionContext& base, std::span<const void* const> inputs,
           std::span<void* const> outputs) const override {
    auto& context = static_cast<CudaContext&>(base);
    std::byte* staging = context.staging.data();
    stage(context, inputs);
    start(context);
    device_->runtime->synchronize(*context.stream);
    const auto* told = reinterpret_cast<const Complaint*>(staging);
    if (may_complain_ && told->step != 0) {
      const Step& step = steps_[told->step - 1];
      fail_argument("{}: {}", step.node, step.plan.complaint(told->value));
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (outputs_[i].size_bytes == 0) continue;
      std::memcpy(outputs[i], staging + outputs_[i].staging,
                  static_cast<std::size_t>(outputs_[i].size_bytes));
    }
  }

  /// A step's launches are recorded several times over and timed as one, so that the host's share
  /// of a launch counts no more than in a run.
  RunProfile profile(ExecutionContext& base, std::span<const void* const> inputs,
                     double seconds) const override {
    auto& context = static_cast<CudaContext&>(base);
    Runtime& runtime = *device_->runtime;
    DeviceTimer timer(runtime, *context.stream);
    stage(context, inputs);
    enqueue_inputs(context);
    enqueue_steps(context, 0, steps_.size());
    runtime.synchronize(*context.stream);
    const auto time_steps = [&](std::size_t first, std::size_t end, int times) {
      const std::unique_ptr<Recording> recording = record(context, [&] {
        for (int i = 0; i < times; ++i) enqueue_steps(context, first, end);
      });
      const auto time = timer.time(seconds, [&] { runtime.start(*context.stream, *recording); });
      return time ? std::optional(time->median_us / times) : std::nullopt;
    };
    RunProfile profile;
    profile.resident_us = time_steps(0, steps_.size(), 1);
    // A device that keeps no time has done what there is to see by now.
    constexpr int kTimes = 16;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      profile.steps.push_back(costs_[i]);
      profile.steps.back().step = infos_[i];
      if (profile.resident_us) profile.steps.back().time_us = time_steps(i, i + 1, kTimes);
    }
    return profile;
  }

  std::int64_t arena_bytes() const override { return arena_bytes_; }
  std::span<const StepInfo> steps() const override { return infos_; }
  std::span<const std::string> notes() const override { return notes_; }

 private:
  friend class Compiler;

  /// To page-locked memory.
  void stage(CudaContext& context, std::span<const void* const> inputs) const {
    std::byte* staging = context.staging.data();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].size_bytes == 0) continue;
      std::memcpy(staging + inputs_[i].staging, inputs[i],
                  static_cast<std::size_t>(inputs_[i].size_bytes));
    }
    if (may_complain_) *reinterpret_cast<Complaint*>(staging) = {};
  }

  Complaint* complaint_of(CudaContext& context) const {
    return reinterpret_cast<Complaint*>(context.arena.data() + complaint_.offset);
  }

  void enqueue_inputs(CudaContext& context) const {
    Runtime& runtime = *device_->runtime;
    const std::byte* staging = context.staging.data();
    for (const Port& port : inputs_) {
      if (port.size_bytes == 0) continue;
      runtime.copy_to_device(*context.stream, context.arena.data() + port.place.offset,
                             staging + port.staging, port.size_bytes);
    }
    if (may_complain_) {
      runtime.copy_to_device(*context.stream, complaint_of(context), staging, sizeof(Complaint));
    }
  }

  void enqueue_steps(CudaContext& context, std::size_t first, std::size_t end) const {
    const Launcher launch(*device_->runtime, *context.stream);
    for (std::size_t i = first; i < end; ++i) {
      const Step& step = steps_[i];
      step.plan.run({context.inputs.data() + step.first_input,
                     context.outputs.data() + step.first_output, complaint_of(context), launch});
    }
  }

  /// Copies, launches and copies of one run, in order.
  void enqueue(CudaContext& context) const {
    Runtime& runtime = *device_->runtime;
    std::byte* staging = context.staging.data();
    enqueue_inputs(context);
    enqueue_steps(context, 0, steps_.size());
    for (const Port& port : outputs_) {
      if (port.size_bytes == 0) continue;
      runtime.copy_to_host(*context.stream, staging + port.staging, address(port.place, context),
                           port.size_bytes);
    }
    if (may_complain_) {
      runtime.copy_to_host(*context.stream, staging, complaint_of(context), sizeof(Complaint));
    }
  }

  template <typename Enqueue>
  std::unique_ptr<Recording> record(CudaContext& context, const Enqueue& enqueue_all) const {
    Runtime& runtime = *device_->runtime;
    runtime.begin_recording(*context.stream);
    try {
      enqueue_all();
    } catch (...) {
      // The stream must leave the recording, which is of no use.
      try {
        runtime.end_recording(*context.stream);
      } catch (const Error&) {
      }
      throw;
    }
    return runtime.end_recording(*context.stream);
  }

  /// All addresses of a context are fixed, so that a run is recorded once and then started as a
  /// whole. The first run is not: kernels are loaded by it, which cannot be recorded.
  void start(CudaContext& context) const {
    Runtime& runtime = *device_->runtime;
    if (context.recording == nullptr && context.has_run) {
      context.recording = record(context, [&] { enqueue(context); });
    }
    if (context.recording != nullptr) {
      runtime.start(*context.stream, *context.recording);
    } else {
      enqueue(context);
    }
    context.has_run = true;
  }

  static const void* address(const Place& place, const CudaContext& context) {
    return place.offset < 0 ? place.constant : context.arena.data() + place.offset;
  }

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
  Place complaint_;
  bool may_complain_ = false;
  std::int64_t arena_bytes_ = 0;
  std::int64_t staging_bytes_ = 0;
};

class Compiler {
 public:
  Compiler(const Graph& graph, const CompileOptions& options, std::shared_ptr<Device> device)
      : graph_(graph),
        options_(options),
        device_(device),
        storage_(graph.values.size(), kNone),
        executable_(std::make_unique<CudaExecutable>(std::move(device))) {}

  std::unique_ptr<Executable> run() {
    find_last_readers();
    for (const GraphPort& port : graph_.inputs) new_storage(port.value, 0);
    for (std::size_t i = plan_fused_nodes(); i < graph_.nodes.size(); ++i) {
      plan_node(static_cast<int>(i));
    }
    place_storages();
    link();
    return std::move(executable_);
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  static constexpr int kForever = std::numeric_limits<int>::max();

  struct Planned {
    Plan plan;
    std::string name;  ///< For messages.
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
  };

  std::int64_t bytes_of(ValueId id) const {
    return buffer_bytes(dtype_of(id), *graph_.value(id).shape);
  }
  /// How the value's elements lie on the device.
  DType dtype_of(ValueId id) const {
    if (source_of(id) != rounded_) return graph_.value(id).dtype;
    return options_.precision == Precision::kBf16 ? DType::kBFloat16 : DType::kFloat16;
  }
  static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

  /// The value whose bytes `id` shows: itself, or what a chain of views begins with.
  ValueId source_of(ValueId id) const { return source_[index(id)]; }

  /// The last node that reads each value's bytes, under whatever name.
  void find_last_readers() {
    source_.resize(graph_.values.size());
    for (std::size_t i = 0; i < source_.size(); ++i) source_[i] = static_cast<ValueId>(i);
    last_.assign(graph_.values.size(), -1);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (is_view(node)) {
        source_[index(node.outputs[0])] = source_of(node.inputs[0]);
        continue;
      }
      for (const ValueId id : node.inputs) {
        if (id != kNoValue) last_[index(source_of(id))] = static_cast<int>(i);
      }
    }
    for (const GraphPort& port : graph_.outputs) last_[index(source_of(port.value))] = kForever;
  }

  void new_storage(ValueId id, int step) {
    storage_[index(id)] = lifetimes_.size();
    lifetimes_.push_back({bytes_of(id), step, std::max(last_[index(id)], step)});
  }

  /// One step for the layers that the graph begins with, when a fused kernel takes them; returns
  /// how many nodes that settles.
  std::size_t plan_fused_nodes() {
    const Chain chain = find_chain(graph_);
    FusedChoice choice = plan_fused(
        {graph_, chain, device_->runtime->limits(), device_->constants, options_.precision});
    if (!choice.plan) {
      executable_->notes_.push_back("not fused: " + choice.reason);
      return 0;
    }
    executable_->notes_.push_back("fused: " + choice.plan->detail);
    const Chain& taken = choice.plan->front ? *choice.plan->front : chain;
    if (choice.plan->rounded) rounded_ = taken.output;
    const std::size_t first = choice.plan->first;
    for (std::size_t i = 0; i < first; ++i) plan_node(static_cast<int>(i));
    const ValueId input = first == 0 ? taken.input : graph_.nodes[first - 1].outputs[0];
    const int last = static_cast<int>(taken.nodes) - 1;
    std::string label;
    for (std::size_t i = first; i < taken.nodes; ++i) {
      if (is_view(graph_.nodes[i])) continue;
      label += (label.empty() ? "" : ", ") + step_label(graph_.nodes[i]);
    }
    // The input is read until the last layer is written.
    Lifetime& read = lifetimes_[storage_[index(input)]];
    read.last = std::max(read.last, last);
    planned_.push_back(
        {std::move(choice.plan->plan), graph_.source + ": fused layers", {input}, {taken.output}});
    new_storage(taken.output, last);
    add_info(graph_.nodes[static_cast<std::size_t>(last)].name, std::move(label), taken.output);
    add_cost(first, taken.nodes);
    return taken.nodes;
  }

  void add_info(std::string name, std::string operators, ValueId output) {
    const Value& value = graph_.value(output);
    executable_->infos_.push_back(
        {std::move(name), std::move(operators), planned_.back().plan.kernel,
         device_->runtime->device(),
         std::string(dtype_name(dtype_of(output))) + value.shape->to_string()});
  }

  /// Of the step that was planned last, which takes nodes [first, end).
  void add_cost(std::size_t first, std::size_t end) {
    StepProfile cost;
    const Planned& step = planned_.back();
    // Kernels are named by what they compute with.
    const bool on_tensor_cores = step.plan.kernel.find("mma_") != std::string::npos;
    cost.precision = on_tensor_cores ? options_.precision : Precision::kFp32;
    const bool half = cost.precision == Precision::kBf16 || cost.precision == Precision::kFp16;
    for (std::size_t i = first; i < end; ++i) {
      const Node& node = graph_.nodes[i];
      cost.flops += node_cost(graph_, node).flops;
      for (const ValueId id : node.inputs) {
        if (id == kNoValue || !graph_.value(id).constant) continue;
        // Matrices are packed in the precision's type, biases are not.
        const bool packed = half && graph_.value(id).shape->rank() > 1;
        cost.bytes += static_cast<double>(bytes_of(id)) * (packed ? 0.5 : 1.0);
      }
    }
    for (const auto* ids : {&step.inputs, &step.outputs}) {
      for (const ValueId id : *ids) {
        if (id != kNoValue && !graph_.value(id).constant) {
          cost.bytes += static_cast<double>(bytes_of(id));
        }
      }
    }
    executable_->costs_.push_back(std::move(cost));
  }

  void plan_node(int i) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(i)];
    if (is_view(node)) return;
    std::vector<InputInfo> inputs;
    for (const ValueId id : node.inputs) {
      InputInfo info;
      if (id != kNoValue) {
        const Value& value = graph_.value(id);
        info = {{dtype_of(id), *value.shape}, value.constant.get()};
      }
      inputs.push_back(info);
    }
    std::vector<TensorType> outputs;
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) {
        outputs.emplace_back();
      } else {
        outputs.push_back({graph_.value(id).dtype, *graph_.value(id).shape});
      }
    }
    try {
      planned_.push_back({make_plan({node.kind, node.params, inputs, outputs, device_->constants,
                                     device_->runtime->limits(), static_cast<int>(planned_.size()),
                                     options_.precision}),
                          describe(graph_, node), node.inputs, node.outputs});
    } catch (const Error& error) {
      throw Error(error.code(), describe(graph_, node) + ": " + error.message());
    }
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      if (id == node.outputs[0] && planned_.back().plan.in_place && may_overwrite(node, i)) {
        const std::size_t storage = storage_[index(source_of(node.inputs[0]))];
        storage_[index(id)] = storage;
        lifetimes_[storage].last = std::max(last_[index(id)], i);
      } else {
        new_storage(id, i);
      }
    }
    add_info(node.name, step_label(node), node.outputs[0]);
    add_cost(static_cast<std::size_t>(i), static_cast<std::size_t>(i) + 1);
  }

  /// Whether nobody needs the bytes of input 0 but this node, which reads them once.
  bool may_overwrite(const Node& node, int i) const {
    const std::size_t storage = storage_[index(source_of(node.inputs[0]))];
    if (storage == kNone || lifetimes_[storage].last != i ||
        lifetimes_[storage].size_bytes != bytes_of(node.outputs[0])) {
      return false;
    }
    return std::none_of(node.inputs.begin() + 1, node.inputs.end(), [&](ValueId id) {
      return id != kNoValue && storage_[index(source_of(id))] == storage;
    });
  }

  void place_storages() {
    CudaExecutable& target = *executable_;
    for (const Planned& planned : planned_) {
      target.may_complain_ = target.may_complain_ || planned.plan.complaint != nullptr;
    }
    memory_ = plan_memory(lifetimes_);
    target.complaint_.offset = memory_.arena_bytes;
    target.arena_bytes_ = memory_.arena_bytes + (target.may_complain_ ? kArenaAlignment : 0);
    if (target.arena_bytes_ > options_.limits.max_arena_bytes) {
      fail(ErrorCode::kOutOfMemory,
           "{}: intermediate tensors of {} bytes exceed the limit of {}; try a smaller batch",
           graph_.source, target.arena_bytes_, options_.limits.max_arena_bytes);
    }
  }

  Place place_of(ValueId id) {
    if (id == kNoValue) return {};
    const ValueId source = source_of(id);
    const std::size_t storage = storage_[index(source)];
    if (storage != kNone) return {nullptr, memory_.offsets[storage]};
    executable_->constants_.push_back(device_->upload(graph_.value(source).constant));
    return {executable_->constants_.back().get(), -1};
  }

  Port port_of(ValueId id) {
    CudaExecutable& target = *executable_;
    const Port port{place_of(id), bytes_of(id), target.staging_bytes_};
    target.staging_bytes_ +=
        (port.size_bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    return port;
  }

  void link() {
    CudaExecutable& target = *executable_;
    target.staging_bytes_ = kArenaAlignment;  // The complaint comes first.
    for (const GraphPort& port : graph_.inputs) target.inputs_.push_back(port_of(port.value));
    for (const GraphPort& port : graph_.outputs) target.outputs_.push_back(port_of(port.value));
    for (Planned& planned : planned_) {
      target.steps_.push_back({std::move(planned.plan), std::move(planned.name),
                               target.input_places_.size(), target.output_places_.size()});
      for (const ValueId id : planned.inputs) target.input_places_.push_back(place_of(id));
      for (const ValueId id : planned.outputs) target.output_places_.push_back(place_of(id));
    }
  }

  const Graph& graph_;
  const CompileOptions& options_;
  std::shared_ptr<Device> device_;
  std::vector<ValueId> source_;
  ValueId rounded_ = kNoValue;        ///< f32 by the graph, but stored in the precision's type.
  std::vector<int> last_;             ///< By source value; -1: nobody reads it.
  std::vector<std::size_t> storage_;  ///< By source value, into lifetimes_; kNone for constants.
  std::vector<Lifetime> lifetimes_;
  std::vector<Planned> planned_;
  MemoryPlan memory_;
  std::unique_ptr<CudaExecutable> executable_;
};

constexpr Precision kPrecisions[] = {Precision::kFp32, Precision::kTf32, Precision::kBf16,
                                     Precision::kFp16, Precision::kInt8};

/// Small images come to a few MiB then, which hides a copy's and a launch's fixed costs.
constexpr std::int64_t kPreferredImages = 4096;

constexpr int kFewestLanes = 3;
constexpr int kMostLanes = 8;
/// All lanes' intermediates together take one part in so many of the device's memory: other
/// processes use it too.
constexpr std::int64_t kMemoryShare = 8;
/// To copy and start less at once costs more than it hides.
constexpr std::int64_t kLeastPieceBytes = 512 << 10;

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(std::shared_ptr<Runtime> runtime)
      : device_(std::make_shared<Device>(std::move(runtime))) {}

  std::string name() const override { return device_->runtime->device(); }
  std::span<const Precision> precisions() const override {
    const bool all = device_->runtime->limits().compute_capability >= kTensorCores;
    return std::span(kPrecisions).first(all ? std::size(kPrecisions) : 1);
  }
  std::string precisions_need() const override {
    if (precisions().size() > 1) return {};
    const int capability = device_->runtime->limits().compute_capability;
    return fmt::format("others need compute capability {}.{}, it has {}.{}", kTensorCores / 10,
                       kTensorCores % 10, capability / 10, capability % 10);
  }
  /// While one piece is computed the next is copied to the device, and results of the one before
  /// are copied back.
  int lanes(int threads) const override { return std::clamp(threads, kFewestLanes, kMostLanes); }
  std::int64_t preferred_images() const override { return kPreferredImages; }
  PieceSize piece_size(std::int64_t arena_bytes, std::int64_t input_bytes) const override {
    const std::int64_t memory = device_->runtime->limits().memory_bytes;
    return {.most = memory / kMemoryShare / kMostLanes / arena_bytes,
            .least = kLeastPieceBytes / std::max<std::int64_t>(input_bytes, 1)};
  }
  DevicePeaks measure(double seconds) const override {
    return measure_peaks(device_->runtime, seconds);
  }
  std::unique_ptr<Executable> compile(const Graph& graph,
                                      const CompileOptions& options) const override {
    require_precision(*this, options.precision);
    return Compiler(graph, options, device_).run();
  }

 private:
  std::shared_ptr<Device> device_;
};

}  // namespace

std::unique_ptr<Backend> make_backend(std::shared_ptr<Runtime> runtime) {
  return std::make_unique<CudaBackend>(std::move(runtime));
}

}  // namespace prs::cuda
