// Does a graph treat its batch entry by entry, and can a fixed batch be opened?
//
// A forward walk tags every value: it hangs on the batch along its axis 0 ("batched": entry n on
// entry n of the inputs alone) or not at all. An operator that would mix entries, or move them off
// axis 0, ends the walk.
#include <algorithm>
#include <variant>

#include "graph/passes.hpp"
#include "ops/support.hpp"

namespace prs {
namespace {

class BatchWalk {
 public:
  explicit BatchWalk(Graph& graph) : graph_(graph), batched_(graph.values.size(), false) {}

  BatchAnalysis run() {
    if (graph_.inputs.size() != 1) return no("the model has several inputs");
    const Value& input = graph_.value(graph_.inputs[0].value);
    if (!input.shape || input.shape->rank() == 0) return no("the input's shape is not known");
    batch_ = (*input.shape)[0];
    batched_[static_cast<std::size_t>(graph_.inputs[0].value)] = true;
    for (const Node& node : graph_.nodes) {
      if (!visit(node)) {
        return no("node '" + printable(node.name) + "' (" + std::string(op_def(node.kind).name) +
                  ") may mix the images of a batch");
      }
    }
    for (const GraphPort& output : graph_.outputs) {
      if (!is_batched(output.value)) return no("an output does not hang on the batch");
    }
    rewrite();
    graph_.batch_opened = true;
    return {true, ""};
  }

 private:
  static BatchAnalysis no(std::string reason) { return {false, std::move(reason)}; }

  bool is_batched(ValueId id) const {
    return id != kNoValue && batched_[static_cast<std::size_t>(id)];
  }
  const Shape& shape(ValueId id) const { return *graph_.value(id).shape; }

  /// Tags the outputs; false when the node may mix entries.
  bool visit(const Node& node) {
    const bool any = std::any_of(node.inputs.begin(), node.inputs.end(),
                                 [&](ValueId id) { return is_batched(id); });
    if (!any) return true;
    if (!keeps_batch(node)) return false;
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) batched_[static_cast<std::size_t>(id)] = true;
    }
    return true;
  }

  /// Only input 0 hangs on the batch.
  bool only_first(const Node& node) const {
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (is_batched(node.inputs[i])) return false;
    }
    return is_batched(node.inputs[0]);
  }

  /// Elementwise with broadcasting: no operand may stretch, or be read along, axis 0.
  bool elementwise(const Node& node) const {
    const std::int64_t rank = shape(node.outputs[0]).rank();
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      const Shape& operand = shape(id);
      if (is_batched(id)) {
        if (operand.rank() != rank) return false;
      } else if (operand.rank() == rank && rank > 0 && operand[0] != 1) {
        return false;
      }
    }
    if (const auto* binary = std::get_if<BinaryParams>(&node.params)) {
      if (binary->legacy_broadcast && binary->legacy_axis.value_or(1) == 0 &&
          shape(node.inputs[1]).rank() > 0) {
        return is_batched(node.inputs[1]);
      }
    }
    return true;
  }

  /// Every axis of the list is away from axis 0. An empty list means all axes.
  bool axes_spare_batch(const Node& node, const std::optional<std::vector<std::int64_t>>& legacy,
                        std::int64_t rank, bool empty_is_all) const {
    std::vector<std::int64_t> axes;
    if (legacy) {
      axes = *legacy;
    } else if (node.inputs.size() > 1 && node.inputs[1] != kNoValue) {
      const auto& constant = graph_.value(node.inputs[1]).constant;
      if (!constant) return false;
      axes = ops::to_ints(*constant, "axes");
    }
    if (axes.empty()) return !empty_is_all;
    return std::none_of(axes.begin(), axes.end(),
                        [&](std::int64_t axis) { return axis == 0 || axis == -rank; });
  }

  bool keeps_batch(const Node& node) const {
    const std::int64_t rank =
        node.inputs.empty() || node.inputs[0] == kNoValue ? 0 : shape(node.inputs[0]).rank();
    const auto off_batch = [&](std::int64_t axis) { return axis != 0 && axis != -rank; };
    switch (node.kind) {
      case OpKind::kAdd:
      case OpKind::kSub:
      case OpKind::kMul:
      case OpKind::kDiv:
      case OpKind::kMin:
      case OpKind::kMax:
      case OpKind::kSum:
        return elementwise(node);
      case OpKind::kConv:
      case OpKind::kMaxPool:
      case OpKind::kAveragePool:
      case OpKind::kGlobalAveragePool:
      case OpKind::kGlobalMaxPool:
        // MaxPool's indices count through the whole batch.
        return only_first(node) && node.outputs.size() == 1;
      case OpKind::kNeg:
      case OpKind::kRelu:
      case OpKind::kLeakyRelu:
      case OpKind::kSigmoid:
      case OpKind::kTanh:
      case OpKind::kClip:
      case OpKind::kIdentity:
      case OpKind::kDropout:
      case OpKind::kCast:
      case OpKind::kNormalize:
      case OpKind::kQuantizedConv:
      case OpKind::kQuantizedGemm:
        return only_first(node);
      case OpKind::kQuantizeLinear:
      case OpKind::kDequantizeLinear:
        return only_first(node) && (shape(node.inputs[1]).elements() == 1 ||
                                    off_batch(std::get<QuantizeParams>(node.params).axis));
      case OpKind::kBatchNormalization:
        return only_first(node) && !std::get<BatchNormParams>(node.params).training_mode;
      case OpKind::kGemm: {
        const auto& params = std::get<GemmParams>(node.params);
        const bool bias_spares = node.inputs.size() < 3 || node.inputs[2] == kNoValue ||
                                 shape(node.inputs[2]).rank() < 2 || shape(node.inputs[2])[0] == 1;
        return only_first(node) && !params.trans_a && bias_spares;
      }
      case OpKind::kMatMul:
        return only_first(node) && rank >= 2 && shape(node.inputs[1]).rank() <= rank &&
               (shape(node.inputs[1]).rank() < rank || rank == 2 || shape(node.inputs[1])[0] == 1);
      case OpKind::kSoftmax:
      case OpKind::kLogSoftmax:
        return off_batch(std::get<SoftmaxParams>(node.params).axis);
      case OpKind::kArgMax:
        return off_batch(std::get<ArgMaxParams>(node.params).axis);
      case OpKind::kReduceMax:
      case OpKind::kReduceMean:
      case OpKind::kReduceMin:
      case OpKind::kReduceSum: {
        const auto& params = std::get<ReduceParams>(node.params);
        return only_first(node) &&
               axes_spare_batch(node, params.legacy_axes, rank, !params.noop_with_empty_axes);
      }
      case OpKind::kMeanVarianceNormalization: {
        const auto& axes = std::get<MeanVarianceParams>(node.params).axes;
        // Over a batch of one, axis 0 adds nothing to the statistics: rewrite() takes it out.
        return batch_ == 1 || std::all_of(axes.begin(), axes.end(), off_batch);
      }
      case OpKind::kSqueeze:
        return only_first(node) &&
               axes_spare_batch(node, std::get<AxesParams>(node.params).legacy_axes, rank, true);
      case OpKind::kUnsqueeze:
        return only_first(node) &&
               axes_spare_batch(node, std::get<AxesParams>(node.params).legacy_axes,
                                shape(node.outputs[0]).rank(), true);
      case OpKind::kFlatten: {
        const std::int64_t axis = std::get<FlattenParams>(node.params).axis;
        return rank > 1 && (axis == 1 || axis == 1 - rank);
      }
      case OpKind::kReshape:
        // Row-major: an unchanged first extent keeps every entry's elements together. Entries
        // without elements could not be resolved by rewrite().
        return only_first(node) && shape(node.outputs[0]).rank() > 0 &&
               shape(node.outputs[0])[0] == batch_ && shape(node.inputs[0])[0] == batch_ &&
               shape(node.outputs[0]).elements(1, shape(node.outputs[0]).rank()) > 0;
      case OpKind::kTranspose: {
        const auto& perm = std::get<TransposeParams>(node.params).perm;
        return !perm.empty() && perm[0] == 0;
      }
      case OpKind::kConcat:
        return off_batch(std::get<ConcatParams>(node.params).axis) &&
               std::all_of(node.inputs.begin(), node.inputs.end(),
                           [&](ValueId id) { return is_batched(id); });
      case OpKind::kGather:
        return only_first(node) && off_batch(std::get<GatherParams>(node.params).axis);
      case OpKind::kPad:
      case OpKind::kSlice:
        // The shape rule resolved them: equal extents mean that axis 0 is left alone, unless Slice
        // reverses it or Pad crops one end and fills the other.
        return only_first(node) && spares_axis_0(node);
      default:
        return false;
    }
  }

  bool spares_axis_0(const Node& node) const {
    const std::int64_t rank = shape(node.inputs[0]).rank();
    const auto ints = [&](std::size_t i) -> std::vector<std::int64_t> {
      if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return {};
      const auto& constant = graph_.value(node.inputs[i]).constant;
      return constant ? ops::to_ints(*constant, "axes") : std::vector<std::int64_t>{0};
    };
    if (const auto* pad = std::get_if<PadParams>(&node.params)) {
      const std::vector<std::int64_t> pads = pad->legacy_pads ? *pad->legacy_pads : ints(1);
      const std::vector<std::int64_t> axes = ints(3);
      if (!axes.empty()) {
        return std::none_of(axes.begin(), axes.end(),
                            [&](std::int64_t axis) { return axis == 0 || axis == -rank; });
      }
      const std::size_t half = pads.size() / 2;
      return half > 0 && pads[0] == 0 && pads[half] == 0;
    }
    const auto& slice = std::get<SliceParams>(node.params);
    const std::vector<std::int64_t> axes = slice.legacy_axes ? *slice.legacy_axes : ints(3);
    return !axes.empty() && std::none_of(axes.begin(), axes.end(), [&](std::int64_t axis) {
      return axis == 0 || axis == -rank;
    });
  }

  /// Reshape targets that name the batch's extent get -1 there, all other extents spelled out;
  /// statistics over a batch of one spare axis 0.
  void rewrite() {
    for (Node& node : graph_.nodes) {
      if (auto* params = std::get_if<MeanVarianceParams>(&node.params)) {
        const std::int64_t rank = shape(node.inputs[0]).rank();
        std::erase_if(params->axes, [&](std::int64_t axis) { return axis == 0 || axis == -rank; });
      }
      if (node.kind != OpKind::kReshape || !is_batched(node.inputs[0])) continue;
      const Shape& output = shape(node.outputs[0]);
      std::vector<std::int64_t> target(output.begin(), output.end());
      target[0] = -1;
      node.params = ReshapeParams{false, std::move(target)};
      node.inputs.resize(1);
    }
  }

  Graph& graph_;
  std::vector<bool> batched_;
  std::int64_t batch_ = 0;
};

}  // namespace

BatchAnalysis open_batch(Graph& graph) { return BatchWalk(graph).run(); }

}  // namespace prs
