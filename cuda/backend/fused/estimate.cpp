#include "backend/fused/estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "backend/dot.hpp"
#include "backend/linear.hpp"
#include "graph/cost.hpp"
#include "graph/step.hpp"

namespace prs::cuda {
namespace {

/// From the end of one kernel of a graph to the first instructions of the next, and its first
/// access to memory.
constexpr double kNodeUs = 1.5;
/// Through L2 into one multiprocessor: 64 bytes a cycle at most, of which a block that waits
/// between its stages gets about half.
constexpr double kBytesPerUs = 64e3;

/// Of one multiprocessor, at 1.4 GHz.
double flops_per_us(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kFloatProducts:
      return 2e5;  // Half of 128 FMA a cycle.
    case Arithmetic::kMatrixProducts:
      return 14e5;  // Half of 1024 FMA a cycle.
    case Arithmetic::kGatheredProducts:
      return 5e5;  // Operand A comes element by element: some 500 cycles for 64 x 64 x 32 of them.
  }
  return 1.0;
}

bool in_f32(const Fusion& fusion) { return fusion.precision == Precision::kFp32; }

double weight_bytes(const Fusion& fusion, const Node& node) {
  if (node.inputs.size() < 2 || node.inputs[1] == kNoValue) return 0.0;
  const Value& weights = fusion.graph.value(node.inputs[1]);
  if (weights.constant == nullptr) return 0.0;
  const PackedFormat format(fusion.precision);
  return static_cast<double>(weights.shape->elements() * format.bytes());
}

/// A dense layer in a kernel of its own; `work` has its operations.
void spread_dense(const Fusion& fusion, const Node& node, KernelWork& work) {
  const Shape& y = *fusion.graph.value(node.outputs[0]).shape;
  const Shape& weights = *fusion.graph.value(node.inputs[1]).shape;
  const std::int64_t m = y[0];
  const std::int64_t n = y[1];
  const double bytes = weight_bytes(fusion, node);
  if (takes_dot(m, n, fusion.limits)) {
    const std::int64_t k = weights.elements() / std::max<std::int64_t>(n, 1);
    const DotExtents extents =
        dot_extents(m, n, k * PackedFormat(fusion.precision).bytes(), fusion.limits);
    const std::int64_t row_tiles = tiles(m, kDotRows);
    work.blocks = row_tiles * tiles(n, extents.columns) * extents.splits;
    work.bytes += bytes * static_cast<double>(row_tiles);
    // Every block reads the rows for itself; once they are counted.
    const Shape& x = *fusion.graph.value(node.inputs[0]).shape;
    const auto again = static_cast<double>(tiles(n, extents.columns) - 1);
    work.bytes += again * static_cast<double>(x.elements() *
                                              dtype_size(fusion.graph.value(node.inputs[0]).dtype));
    return;
  }
  const TensorTile tile = in_f32(fusion) ? TensorTile{64, 64} : tensor_tile(fusion.limits, 1, m, n);
  work.blocks = tiles(m, tile.rows) * tiles(n, tile.columns);
  work.bytes += bytes * static_cast<double>(tiles(m, tile.rows));
  if (!in_f32(fusion)) work.arithmetic = Arithmetic::kGatheredProducts;
}

void spread_conv(const Fusion& fusion, const Node& node, KernelWork& work) {
  const Shape& y = *fusion.graph.value(node.outputs[0]).shape;
  const std::int64_t filters = y[1];  // Fused convolutions have one group.
  const std::int64_t positions = filters == 0 ? 0 : y.elements() / filters;
  const TensorTile tile =
      in_f32(fusion) ? TensorTile{64, conv_tile_filters(positions, filters, 1, fusion.limits)}
                     : tensor_tile(fusion.limits, 1, positions, filters);
  work.blocks = tiles(positions, tile.rows) * tiles(filters, tile.columns);
  work.bytes += weight_bytes(fusion, node) * static_cast<double>(tiles(positions, tile.rows));
  if (!in_f32(fusion)) work.arithmetic = Arithmetic::kGatheredProducts;
}

/// The node in a kernel of its own.
KernelWork work_of(const Fusion& fusion, const Node& node) {
  const Cost cost = node_cost(fusion.graph, node);
  KernelWork work;
  work.flops = cost.flops;
  work.bytes = cost.activation_bytes;
  switch (node.kind) {
    case OpKind::kGemm:
    case OpKind::kQuantizedGemm:
      spread_dense(fusion, node, work);
      break;
    case OpKind::kConv:
    case OpKind::kQuantizedConv:
      spread_conv(fusion, node, work);
      break;
    default:
      work.blocks = tiles(fusion.graph.value(node.outputs[0]).shape->elements(), kThreads);
  }
  return work;
}

/// Why `plan`, which takes `chain`, is the slower way; nothing when it is not.
std::string idle_reason(const Fusion& fusion, const Chain& chain, const FusedPlan& plan) {
  if (fusion.images() == 0) return {};
  const std::int64_t blocks = plan.plan.blocks;
  const int multiprocessors = fusion.limits.multiprocessors;
  if (2 * blocks > multiprocessors) return {};
  KernelWork fused;
  fused.blocks = blocks;
  if (!in_f32(fusion)) fused.arithmetic = Arithmetic::kMatrixProducts;
  double separate_us = 0.0;
  int kernels = 0;
  for (std::size_t i = plan.first; i < chain.nodes; ++i) {
    const Node& node = fusion.graph.nodes[i];
    if (is_view(node)) continue;
    const KernelWork own = work_of(fusion, node);
    separate_us += estimate_us(own, multiprocessors);
    ++kernels;
    fused.flops += own.flops;
    fused.bytes += weight_bytes(fusion, node) * static_cast<double>(blocks);
  }
  const double fused_us = estimate_us(fused, multiprocessors);
  if (fused_us <= separate_us) return {};
  return fmt::format(
      "{} image(s) would keep {} of {} multiprocessors busy, for about {:.0f} us; {} kernels that "
      "spread their layers over all take about {:.0f} (counted, not measured)",
      fusion.images(), blocks, multiprocessors, fused_us, kernels, separate_us);
}

}  // namespace

double estimate_us(const KernelWork& work, int multiprocessors) {
  const auto busy =
      static_cast<double>(std::clamp<std::int64_t>(work.blocks, 1, std::max(multiprocessors, 1)));
  return kNodeUs +
         std::max(work.flops / flops_per_us(work.arithmetic), work.bytes / kBytesPerUs) / busy;
}

FusedChoice choose_fused(const Fusion& fusion) {
  FusedChoice choice = plan_fused(fusion);
  if (!choice.plan) return choice;
  // By the plan's blocks. What it packed goes with it, should another way be faster.
  const Chain& taken = choice.plan->front ? *choice.plan->front : fusion.chain;
  std::string idle = idle_reason(fusion, taken, *choice.plan);
  if (!idle.empty()) return {{}, std::move(idle)};
  return choice;
}

}  // namespace prs::cuda
