// The CUDA backend: compiles a graph into a list of kernel plans over one arena in device memory.
//
// A context owns a stream; contexts of several threads compute side by side. Weights are uploaded
// once and shared by the executables of all batch sizes.
#include "backend/cuda_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "backend/executable.hpp"
#include "backend/fused/estimate.hpp"
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

}  // namespace

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
  static std::int64_t aligned(std::int64_t bytes) {
    return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
  }

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
    FusedChoice choice = choose_fused(
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
    const bool of_bytes = step.plan.kernel.find("_u8s8_") != std::string::npos;
    cost.precision = on_tensor_cores || of_bytes ? options_.precision : Precision::kFp32;
    const bool half = step.plan.kernel.find("_bf16_") != std::string::npos ||
                      step.plan.kernel.find("_f16_") != std::string::npos;
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
    Scratch most;
    for (const Planned& planned : planned_) {
      target.may_complain_ = target.may_complain_ || planned.plan.complaint != nullptr;
      most.tickets = std::max(most.tickets, planned.plan.scratch.tickets);
      most.bytes = std::max(most.bytes, planned.plan.scratch.bytes);
    }
    memory_ = plan_memory(lifetimes_);
    const std::int64_t complaint_bytes = target.may_complain_ ? kArenaAlignment : 0;
    target.zero_bytes_ =
        complaint_bytes + aligned(most.tickets * static_cast<std::int64_t>(sizeof(unsigned)));
    target.complaint_.offset = memory_.arena_bytes;
    target.tickets_.offset = target.complaint_.offset + complaint_bytes;
    target.scratch_.offset = target.complaint_.offset + target.zero_bytes_;
    target.arena_bytes_ = target.scratch_.offset + aligned(most.bytes);
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
    target.staging_bytes_ += aligned(port.size_bytes);
    return port;
  }

  void link() {
    CudaExecutable& target = *executable_;
    target.staging_bytes_ = kArenaAlignment;  // The complaint comes first.
    for (const GraphPort& port : graph_.inputs) target.inputs_.push_back(port_of(port.value));
    for (const GraphPort& port : graph_.outputs) target.outputs_.push_back(port_of(port.value));
    // Before the first run the zeros come from there.
    target.staging_bytes_ = std::max(target.staging_bytes_, target.zero_bytes_);
    for (Planned& planned : planned_) {
      const std::uint32_t unread = planned.plan.unread;
      target.steps_.push_back({std::move(planned.plan), std::move(planned.name),
                               target.input_places_.size(), target.output_places_.size()});
      for (std::size_t i = 0; i < planned.inputs.size(); ++i) {
        const bool reads = i >= 32 || (unread >> i & 1U) == 0;
        target.input_places_.push_back(reads ? place_of(planned.inputs[i]) : Place{});
      }
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

namespace {

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
