// Plans of the pools, reductions, Softmax, MeanVarianceNormalization and ArgMax, in f32; MaxPool of
// bytes too.
#include <algorithm>
#include <optional>

#include "backend/plan.hpp"
#include "check.hpp"
#include "ops/arg_max.hpp"
#include "ops/mean_variance.hpp"
#include "ops/pool.hpp"
#include "ops/reduce.hpp"
#include "ops/softmax.hpp"
#include "ops/support.hpp"

namespace prs::cuda {
namespace {

/// The taps that count of each output position, one axis after the other.
std::vector<float> make_divisors(const ops::Window& window, bool count_pads) {
  std::vector<float> divisors;
  for (const ops::WindowAxis& axis : window) {
    for (std::int64_t o = 0; o < axis.out; ++o) {
      divisors.push_back(static_cast<float>(count_pads ? axis.padded_taps(o)
                                                       : axis.end_tap(o) - axis.first_tap(o)));
    }
  }
  return divisors;
}

/// One block a row, as many as a grid takes.
Dim3 grid_of_blocks(std::int64_t rows) {
  constexpr std::int64_t kMost = 1 << 20;
  return {static_cast<unsigned>(std::clamp<std::int64_t>(rows, 1, kMost)), 1, 1};
}

/// Pools of f32, and of the 8-bit integers of quantised models.
KernelId max_pool_kernel(const Call& call) {
  switch (call.inputs[0].type.dtype) {
    case DType::kInt8:
      return KernelId::kMaxPoolI8;
    case DType::kUint8:
      return KernelId::kMaxPoolU8;
    default:
      require_f32(call, kFirst);
      return KernelId::kMaxPoolF32;
  }
}

/// One warp a row.
Dim3 grid_of_warps(std::int64_t rows) { return grid_for(rows * kWarpSize); }

}  // namespace

Plan plan_pool(const Call& call) {
  const bool average = call.kind == OpKind::kAveragePool;
  if (average) require_f32(call, kFirst);
  const KernelId kernel = average ? KernelId::kAveragePool : max_pool_kernel(call);
  const auto& params = std::get<PoolParams>(call.params);
  const Shape& x = call.inputs[0].type.shape;
  const ops::Window window = ops::pool::resolve(params, x);
  PoolArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.column_major = params.storage_order != 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const ops::WindowAxis& axis = window[i];
    args.axes[i] = {axis.in, axis.out, axis.kernel, axis.stride, axis.dilation, axis.pad_begin};
  }
  std::shared_ptr<const void> divisors;
  if (average) divisors = call.constants.upload(make_divisors(window, params.count_include_pad));
  return plan_kernel(
      kernel, grid_for(args.count), args, args.count,
      [divisors, wants_indices = call.wants(1)](PoolArgs& complete, const StepArgs& step) {
        complete.x = step.inputs[0];
        complete.y = step.outputs[0];
        complete.indices = wants_indices ? step.out<std::int64_t>(1) : nullptr;
        complete.divisors = static_cast<const float*>(divisors.get());
      });
}

Plan plan_reduction(Reduction reduction, const Shape& x, std::uint32_t axes) {
  ReduceArgs args{};
  args.reduction = reduction;
  args.outputs = 1;
  args.elements = 1;
  const auto strides = ops::row_major_strides(x);
  bool innermost_reduced = false;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    const bool reduced = (axes >> axis & 1u) != 0;
    push_loop(reduced ? args.reduced : args.kept, x[axis],
              {strides[static_cast<std::size_t>(axis)]});
    (reduced ? args.elements : args.outputs) *= x[axis];
    if (x[axis] != 1) innermost_reduced = reduced;
  }
  // Along the innermost axis a warp's threads read side by side; otherwise a thread each does.
  constexpr std::int64_t kFew = 32;
  const bool block = innermost_reduced && args.elements > kFew;
  return plan_kernel(block ? KernelId::kReduceBlock : KernelId::kReduceThread,
                     block ? grid_of_blocks(args.outputs) : grid_for(args.outputs), args,
                     args.outputs, [](ReduceArgs& complete, const StepArgs& step) {
                       complete.x = step.in<float>(0);
                       complete.y = step.out<float>(0);
                     });
}

Plan plan_global_pool(const Call& call) {
  require_f32(call, kFirst);
  const Shape& x = call.inputs[0].type.shape;
  const Shape planes{x.elements(0, 2), x.elements(2, x.rank())};
  const bool average = call.kind == OpKind::kGlobalAveragePool;
  return plan_reduction(average ? Reduction::kMean : Reduction::kMax, planes, 2);
}

Plan plan_reduce(const Call& call) {
  require_f32(call, kFirst);
  std::optional<std::vector<std::int64_t>> input;
  if (call.has(1)) {
    PRS_CHECK(call.inputs[1].constant != nullptr);
    input = ops::to_ints(*call.inputs[1].constant, "axes");
  }
  const Shape& x = call.inputs[0].type.shape;
  const auto axes = ops::reduce::reduced_axes(std::get<ReduceParams>(call.params), x.rank(), input);
  switch (call.kind) {
    case OpKind::kReduceMean:
      return plan_reduction(Reduction::kMean, x, axes);
    case OpKind::kReduceSum:
      return plan_reduction(Reduction::kSum, x, axes);
    case OpKind::kReduceMax:
      return plan_reduction(Reduction::kMax, x, axes);
    default:
      PRS_CHECK(call.kind == OpKind::kReduceMin);
      return plan_reduction(Reduction::kMin, x, axes);
  }
}

Plan plan_softmax(const Call& call) {
  require_f32(call, kFirst);
  const auto extents =
      ops::softmax::extents(std::get<SoftmaxParams>(call.params), call.inputs[0].type.shape);
  RowArgs args{};
  args.rows = extents.outer * extents.inner;
  args.extent = extents.extent;
  args.inner = extents.inner;
  args.variant = call.kind == OpKind::kLogSoftmax;
  constexpr std::int64_t kLongRow = 1024;
  const bool block = args.extent > kLongRow;
  Plan plan = plan_kernel(block ? KernelId::kSoftmaxBlock : KernelId::kSoftmaxWarp,
                          block ? grid_of_blocks(args.rows) : grid_of_warps(args.rows), args,
                          args.rows * args.extent, [](RowArgs& complete, const StepArgs& step) {
                            complete.x = step.in<float>(0);
                            complete.y = step.outputs[0];
                          });
  plan.in_place = true;
  return plan;
}

Plan plan_arg_max(const Call& call) {
  require_f32(call, kFirst);
  const auto& params = std::get<ArgMaxParams>(call.params);
  const auto extents = ops::arg_max::extents(params, call.inputs[0].type.shape);
  RowArgs args{};
  args.rows = extents.outer * extents.inner;
  args.extent = extents.extent;
  args.inner = extents.inner;
  args.variant = params.select_last_index;
  return plan_kernel(KernelId::kArgMax, grid_of_warps(args.rows), args, args.rows,
                     [](RowArgs& complete, const StepArgs& step) {
                       complete.x = step.in<float>(0);
                       complete.y = step.outputs[0];
                     });
}

Plan plan_mean_variance(const Call& call) {
  require_f32(call, kFirst);
  const Shape& x = call.inputs[0].type.shape;
  const auto groups = ops::mean_variance::split(std::get<MeanVarianceParams>(call.params), x);
  MeanVarianceArgs args{};
  args.groups = groups.count;
  args.elements = groups.size;
  args.epsilon = ops::mean_variance::kEpsilon;
  for (std::int64_t axis = 0; axis < groups.rank; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    push_loop(args.kept, groups.kept_extents[i], {groups.strides[i]});
    push_loop(args.inner, groups.inner_extents[i], {groups.strides[i]});
  }
  return plan_kernel(KernelId::kMeanVariance, grid_of_blocks(args.groups), args, x.elements(),
                     [](MeanVarianceArgs& complete, const StepArgs& step) {
                       complete.x = step.in<float>(0);
                       complete.y = step.out<float>(0);
                     });
}

}  // namespace prs::cuda
