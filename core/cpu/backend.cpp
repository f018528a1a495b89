// The CPU backend: compiles a graph into a list of kernel plans over one arena.
//
// One run is single-threaded; the engine runs several contexts at once, each on its share of the
// batch.
#include "backend.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "check.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/kernel.hpp"
#include "cpu/lane_chain.hpp"
#include "cpu/pack_cache.hpp"
#include "graph/memory_plan.hpp"
#include "graph/step.hpp"

namespace prs::cpu {
namespace {

Plan make_plan(const Call& call, const Isa& isa) {
  switch (call.kind) {
#define PRS_OP(kind, family, ...) \
  case OpKind::k##kind:           \
    return plan_##family(call, isa);
#include "ops/ops.inc"
#undef PRS_OP
  }
  fail(ErrorCode::kInternal, "an operator without a row in the table");
}

/// Where the bytes of a value lie during a run.
struct Place {
  enum class Kind { kArena, kInput, kOutput, kConstant };
  Kind kind = Kind::kArena;
  std::int64_t index = 0;  ///< Arena: byte offset. Input, output: port.
  const void* constant = nullptr;
};

struct Step {
  Plan plan;
  std::size_t first_input = 0;  ///< Into the flat table of operand places.
  std::size_t first_output = 0;
};

/// A graph output that no step writes directly: an input, a constant or a second name of a buffer.
struct OutputCopy {
  Place from;
  std::size_t output = 0;
  std::int64_t size_bytes = 0;
};

class CpuContext : public ExecutionContext {
 public:
  CpuContext(std::int64_t arena_bytes, std::int64_t scratch_bytes, std::size_t inputs,
             std::size_t outputs)
      : arena(DType::kUint8, Shape{arena_bytes}),
        scratch(DType::kUint8, Shape{scratch_bytes}),
        input_table(inputs, nullptr),
        output_table(outputs, nullptr) {}

  Tensor arena;
  Tensor scratch;
  std::vector<const void*> input_table;
  std::vector<void*> output_table;
};

class CpuExecutable : public Executable {
 public:
  std::unique_ptr<ExecutionContext> new_context() const override {
    auto context = std::make_unique<CpuContext>(arena_bytes_, scratch_bytes_, input_places_.size(),
                                                output_places_.size());
    for (std::size_t i = 0; i < input_places_.size(); ++i) {
      context->input_table[i] = fixed_address(input_places_[i], *context);
    }
    for (std::size_t i = 0; i < output_places_.size(); ++i) {
      context->output_table[i] = const_cast<void*>(fixed_address(output_places_[i], *context));
    }
    return context;
  }

  void run(ExecutionContext& base, std::span<const void* const> inputs,
           std::span<void* const> outputs) const override {
    auto& context = static_cast<CpuContext&>(base);
    for (const std::size_t i : caller_inputs_) {
      context.input_table[i] = caller_address(input_places_[i], inputs, outputs);
    }
    for (const std::size_t i : caller_outputs_) {
      context.output_table[i] = outputs[static_cast<std::size_t>(output_places_[i].index)];
    }
    for (const Step& step : steps_) {
      step.plan.run({context.input_table.data() + step.first_input,
                     context.output_table.data() + step.first_output,
                     context.scratch.as<std::byte>(), context.crew});
    }
    for (const OutputCopy& copy : copies_) {
      const void* from = fixed_address(copy.from, context);
      if (from == nullptr) from = caller_address(copy.from, inputs, outputs);
      if (copy.size_bytes > 0) {
        std::memcpy(outputs[copy.output], from, static_cast<std::size_t>(copy.size_bytes));
      }
    }
  }

  std::int64_t arena_bytes() const override { return arena_bytes_ + scratch_bytes_; }
  std::int64_t block_images() const override { return block_images_; }
  std::span<const StepInfo> steps() const override { return infos_; }

 private:
  friend class Compiler;

  /// Null when the caller provides the memory.
  static const void* fixed_address(const Place& place, const CpuContext& context) {
    if (place.kind == Place::Kind::kArena) return context.arena.as<std::byte>() + place.index;
    return place.kind == Place::Kind::kConstant ? place.constant : nullptr;
  }

  static const void* caller_address(const Place& place, std::span<const void* const> inputs,
                                    std::span<void* const> outputs) {
    const auto index = static_cast<std::size_t>(place.index);
    return place.kind == Place::Kind::kInput ? inputs[index] : outputs[index];
  }

  std::vector<Step> steps_;
  std::vector<StepInfo> infos_;
  std::vector<Place> input_places_;
  std::vector<Place> output_places_;
  std::vector<std::size_t> caller_inputs_;  ///< Entries of the tables that change every run.
  std::vector<std::size_t> caller_outputs_;
  std::vector<OutputCopy> copies_;
  std::vector<std::shared_ptr<const Tensor>> constants_;
  std::int64_t arena_bytes_ = 0;
  std::int64_t scratch_bytes_ = 0;
  std::int64_t block_images_ = 1;
};

/// A run of bytes that one or several values name; views share their input's.
struct Storage {
  std::int64_t size_bytes = 0;
  int first = 0;
  int last = 0;
  std::optional<Place> place;  ///< Set unless the arena is to hold it.
};

class Compiler {
 public:
  Compiler(const Graph& graph, const Isa& isa, const CompileOptions& options, PackCache& packed)
      : graph_(graph),
        isa_(isa),
        options_(options),
        packed_(packed),
        chains_(graph, isa, options, packed),
        storage_(graph.values.size(), -1) {}

  std::unique_ptr<Executable> run() {
    place_inputs();
    std::vector<bool> planned(graph_.nodes.size(), false);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (planned[i]) continue;
      if (std::optional<LaneChain> chain = chains_.find(i)) {
        for (const std::size_t node : chain->nodes) planned[node] = true;
        plan_chain(std::move(*chain));
      } else {
        plan_node(graph_.nodes[i]);
      }
    }
    place_outputs();
    merge_in_place();
    place_arena();
    link();
    return std::move(executable_);
  }

 private:
  std::size_t new_storage(Storage storage) {
    storages_.push_back(storage);
    merged_into_.push_back(storages_.size() - 1);
    return storages_.size() - 1;
  }
  std::int64_t bytes_of(ValueId id) const {
    const Value& value = graph_.value(id);
    return buffer_bytes(value.dtype, *value.shape);
  }
  /// The storage of a value, which must have one.
  std::size_t storage_index(ValueId id) const {
    const int index = storage_[static_cast<std::size_t>(id)];
    PRS_CHECK(index >= 0);
    return merged_into_[static_cast<std::size_t>(index)];
  }
  void set_storage(ValueId id, std::size_t index) {
    storage_[static_cast<std::size_t>(id)] = static_cast<int>(index);
  }

  void place_inputs() {
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      const ValueId id = graph_.inputs[i].value;
      Storage storage{bytes_of(id), 0, 0, Place{Place::Kind::kInput, static_cast<std::int64_t>(i)}};
      set_storage(id, new_storage(storage));
    }
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
      const Value& value = graph_.values[i];
      if (!value.constant || storage_[i] >= 0) continue;
      Place place{Place::Kind::kConstant, 0, value.constant->data()};
      set_storage(static_cast<ValueId>(i), new_storage({value.constant->bytes(), 0, 0, place}));
      executable_->constants_.push_back(value.constant);
    }
  }

  /// Lets the inputs live until the next step and gives the outputs memory.
  void place_operands(const Node& node) {
    const int step = static_cast<int>(planned_.size());
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      Storage& storage = storages_[storage_index(id)];
      storage.last = std::max(storage.last, step);
    }
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) set_storage(id, new_storage({bytes_of(id), step, step, std::nullopt}));
    }
  }

  /// A chain stands where its first node does: its other operands are constants.
  void plan_chain(LaneChain chain) {
    const Node& first = graph_.nodes[chain.nodes.front()];
    const Node& last = graph_.nodes[chain.nodes.back()];
    chains_as_nodes_.push_back(
        {first.kind, first.name, std::monostate{}, {first.inputs[0]}, {last.outputs[0]}});
    place_operands(chains_as_nodes_.back());
    planned_.push_back({&chains_as_nodes_.back(), std::move(chain.plan)});
    executable_->infos_.insert(executable_->infos_.end(), chain.stages.begin(), chain.stages.end());
    executable_->block_images_ = isa_.lanes.lanes;
  }

  void plan_node(const Node& node) {
    if (is_view(node)) {
      set_storage(node.outputs[0], storage_index(node.inputs[0]));
      return;
    }
    place_operands(node);
    std::vector<InputInfo> inputs;
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) {
        inputs.emplace_back();
        continue;
      }
      const Value& value = graph_.value(id);
      inputs.push_back({{value.dtype, *value.shape}, value.constant.get()});
    }
    std::vector<TensorType> outputs;
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) {
        outputs.emplace_back();
        continue;
      }
      outputs.push_back({graph_.value(id).dtype, *graph_.value(id).shape});
    }
    try {
      planned_.push_back({&node, make_plan({node.kind, node.params, inputs, outputs,
                                            options_.precision, &packed_, options_.sharing},
                                           isa_)});
    } catch (const Error& error) {
      throw Error(error.code(), describe(graph_, node) + ": " + error.message());
    }
    const Value& output = graph_.value(node.outputs[0]);
    executable_->infos_.push_back(
        {node.name, step_label(node),
         planned_.back().plan.kernel + "[" + std::string(isa_.name) + "]", "cpu",
         std::string(dtype_name(output.dtype)) + output.shape->to_string()});
  }

  /// Lets the step that makes a graph output write straight into the caller's buffer.
  void place_outputs() {
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      const ValueId id = graph_.outputs[i].value;
      Storage& storage = storages_[storage_index(id)];
      if (!storage.place) {
        storage.place = Place{Place::Kind::kOutput, static_cast<std::int64_t>(i)};
      } else {
        copied_outputs_.push_back(i);
      }
    }
  }

  /// Elementwise steps overwrite an input that nobody reads later.
  void merge_in_place() {
    for (std::size_t i = 0; i < planned_.size(); ++i) {
      const Planned& planned = planned_[i];
      if (!planned.plan.in_place) continue;
      const ValueId input = planned.node->inputs[0];
      const std::size_t from = storage_index(input);
      const std::size_t to = storage_index(planned.node->outputs[0]);
      const Storage& source = storages_[from];
      const bool read_twice =
          std::count(planned.node->inputs.begin(), planned.node->inputs.end(), input) > 1;
      if (source.place || storages_[to].place || read_twice || source.last != static_cast<int>(i) ||
          source.size_bytes != storages_[to].size_bytes ||
          shares_with_another_operand(*planned.node, from)) {
        continue;
      }
      storages_[from].last = storages_[to].last;
      // Nothing was merged into `to` yet: its first step is this one. So one step leads to the end.
      merged_into_[to] = from;
    }
  }

  bool shares_with_another_operand(const Node& node, std::size_t storage) const {
    for (std::size_t k = 1; k < node.inputs.size(); ++k) {
      if (node.inputs[k] != kNoValue && storage_index(node.inputs[k]) == storage) return true;
    }
    return false;
  }

  void place_arena() {
    std::vector<Lifetime> lifetimes;
    std::vector<std::size_t> owners;
    for (std::size_t i = 0; i < storages_.size(); ++i) {
      if (merged_into_[i] != i || storages_[i].place) continue;
      lifetimes.push_back({storages_[i].size_bytes, storages_[i].first, storages_[i].last});
      owners.push_back(i);
    }
    const MemoryPlan plan = plan_memory(lifetimes);
    for (std::size_t i = 0; i < owners.size(); ++i) {
      storages_[owners[i]].place = Place{Place::Kind::kArena, plan.offsets[i]};
    }
    executable_->arena_bytes_ = plan.arena_bytes;
    for (const Planned& planned : planned_) {
      executable_->scratch_bytes_ =
          std::max(executable_->scratch_bytes_, planned.plan.scratch_bytes);
    }
    if (executable_->arena_bytes() > options_.limits.max_arena_bytes) {
      fail(ErrorCode::kOutOfMemory,
           "{}: intermediate tensors of {} bytes exceed the limit of {}; try a smaller batch",
           graph_.source, executable_->arena_bytes(), options_.limits.max_arena_bytes);
    }
  }

  Place place_of(ValueId id) const { return *storages_[storage_index(id)].place; }

  void link() {
    CpuExecutable& target = *executable_;
    const auto is_callers = [](const Place& place) {
      return place.kind == Place::Kind::kInput || place.kind == Place::Kind::kOutput;
    };
    // An absent operand keeps a null pointer in the tables: a constant without an address.
    const Place absent{Place::Kind::kConstant, 0, nullptr};
    for (Planned& planned : planned_) {
      Step step{std::move(planned.plan), target.input_places_.size(), target.output_places_.size()};
      for (const ValueId id : planned.node->inputs) {
        const Place place = id == kNoValue ? absent : place_of(id);
        if (is_callers(place)) target.caller_inputs_.push_back(target.input_places_.size());
        target.input_places_.push_back(place);
      }
      for (const ValueId id : planned.node->outputs) {
        const Place place = id == kNoValue ? absent : place_of(id);
        if (is_callers(place)) target.caller_outputs_.push_back(target.output_places_.size());
        target.output_places_.push_back(place);
      }
      target.steps_.push_back(std::move(step));
    }
    for (const std::size_t output : copied_outputs_) {
      const ValueId id = graph_.outputs[output].value;
      target.copies_.push_back({place_of(id), output, bytes_of(id)});
    }
  }

  struct Planned {
    const Node* node;
    Plan plan;
  };

  const Graph& graph_;
  const Isa& isa_;
  const CompileOptions& options_;
  PackCache& packed_;
  const LaneChainFinder chains_;
  std::deque<Node> chains_as_nodes_;  ///< Addresses stay.
  std::unique_ptr<CpuExecutable> executable_ = std::make_unique<CpuExecutable>();
  std::vector<int> storage_;  ///< Value -> storage, -1: none yet.
  std::vector<Storage> storages_;
  std::vector<std::size_t> merged_into_;  ///< Storage -> the one that holds its bytes.
  std::vector<Planned> planned_;
  std::vector<std::size_t> copied_outputs_;
};

constexpr Precision kPrecisions[] = {Precision::kFp32, Precision::kBf16, Precision::kInt8};

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const Isa& isa) : isa_(isa) {}
  std::string name() const override { return "cpu"; }
  std::span<const Precision> precisions() const override { return kPrecisions; }
  std::unique_ptr<Executable> compile(const Graph& graph,
                                      const CompileOptions& options) const override {
    require_precision(*this, options.precision);
    packed_.share_through(options.constants);
    return Compiler(graph, isa_, options, packed_).run();
  }

 private:
  const Isa& isa_;
  mutable PackCache packed_;
};

}  // namespace

std::unique_ptr<Backend> make_backend() { return make_backend(selected_isa()); }
std::unique_ptr<Backend> make_backend(const Isa& isa) { return std::make_unique<CpuBackend>(isa); }

}  // namespace prs::cpu
