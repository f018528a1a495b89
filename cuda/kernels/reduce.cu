// Everything that folds many elements into one: reductions, Softmax, MeanVarianceNormalization,
// ArgMax. Sums run in double, by trees of fixed shape: the same bits every time.
#include "kernels/common.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

PRS_DEVICE double identity(Reduction reduction) {
  if (reduction == Reduction::kMax) return -static_cast<double>(infinity());
  if (reduction == Reduction::kMin) return static_cast<double>(infinity());
  return 0.0;
}

PRS_DEVICE double fold(Reduction reduction, double a, double b) {
  if (reduction == Reduction::kMax) return Larger()(a, b);
  if (reduction == Reduction::kMin) return Smaller()(a, b);
  return a + b;
}

PRS_DEVICE float finish(const ReduceArgs& args, double value) {
  const bool mean = args.reduction == Reduction::kMean;
  return static_cast<float>(mean ? value / static_cast<double>(args.elements) : value);
}

/// For few elements each, or elements far apart: neighbouring threads read neighbouring elements.
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) reduce_thread(ReduceArgs args) {
  for (std::int64_t i = global_thread(); i < args.outputs; i += global_threads()) {
    const float* x = args.x + offset_at(args.kept, i);
    double value = identity(args.reduction);
    for (std::int64_t k = 0; k < args.elements; ++k) {
      value = fold(args.reduction, value, static_cast<double>(x[offset_at(args.reduced, k)]));
    }
    args.y[i] = finish(args, value);
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) reduce_block(ReduceArgs args) {
  for (std::int64_t i = block_x(); i < args.outputs; i += grid_x()) {
    const float* x = args.x + offset_at(args.kept, i);
    double value = identity(args.reduction);
    for (std::int64_t k = thread_x(); k < args.elements; k += block_dim_x()) {
      value = fold(args.reduction, value, static_cast<double>(x[offset_at(args.reduced, k)]));
    }
    const Reduction reduction = args.reduction;
    value = block_combine(value, [=](double a, double b) { return fold(reduction, a, b); });
    if (thread_x() == 0) args.y[i] = finish(args, value);
  }
}

PRS_DEVICE std::int64_t row_start(const RowArgs& args, std::int64_t row) {
  return row / args.inner * args.extent * args.inner + row % args.inner;
}

/// A row of a softmax by `workers` threads of which this is number `worker`; `combine` folds one
/// value a worker into one that all of them have.
template <typename CombineMax, typename CombineSum>
PRS_DEVICE void softmax_row(const RowArgs& args, std::int64_t row, std::int64_t worker,
                            std::int64_t workers, const CombineMax& combine_max,
                            const CombineSum& combine_sum) {
  const float* x = args.x + row_start(args, row);
  float* y = static_cast<float*>(args.y) + row_start(args, row);
  float most = -infinity();
  for (std::int64_t i = worker; i < args.extent; i += workers) {
    most = larger(x[i * args.inner], most);
  }
  most = combine_max(most);
  double sum = 0.0;
  for (std::int64_t i = worker; i < args.extent; i += workers) {
    sum += static_cast<double>(expf(x[i * args.inner] - most));
  }
  sum = combine_sum(sum);
  const float total = static_cast<float>(sum);
  const float logarithm = static_cast<float>(log(sum));
  for (std::int64_t i = worker; i < args.extent; i += workers) {
    const float shifted = x[i * args.inner] - most;
    y[i * args.inner] = args.variant ? shifted - logarithm : expf(shifted) / total;
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) softmax_warp(RowArgs args) {
  const std::int64_t warps = global_threads() / kWarpSize;
  for (std::int64_t row = global_thread() / kWarpSize; row < args.rows; row += warps) {
    softmax_row(
        args, row, lane(), kWarpSize, [](float value) { return warp_max(value); },
        [](double value) { return warp_sum(value); });
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) softmax_block(RowArgs args) {
  for (std::int64_t row = block_x(); row < args.rows; row += grid_x()) {
    softmax_row(
        args, row, thread_x(), block_dim_x(),
        [](float value) {
          return static_cast<float>(block_combine(static_cast<double>(value), Larger()));
        },
        [](double value) { return block_combine(value, Add()); });
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) mean_variance(MeanVarianceArgs args) {
  const double count = static_cast<double>(args.elements);
  for (std::int64_t group = block_x(); group < args.groups; group += grid_x()) {
    const std::int64_t base = offset_at(args.kept, group);
    double sum = 0.0;
    for (std::int64_t i = thread_x(); i < args.elements; i += block_dim_x()) {
      sum += static_cast<double>(args.x[base + offset_at(args.inner, i)]);
    }
    const double mean = block_combine(sum, Add()) / count;
    double squares = 0.0;
    for (std::int64_t i = thread_x(); i < args.elements; i += block_dim_x()) {
      const double centred = static_cast<double>(args.x[base + offset_at(args.inner, i)]) - mean;
      squares += centred * centred;
    }
    const double factor = 1.0 / (sqrt(block_combine(squares, Add()) / count) + args.epsilon);
    for (std::int64_t i = thread_x(); i < args.elements; i += block_dim_x()) {
      const std::int64_t at = base + offset_at(args.inner, i);
      args.y[at] = static_cast<float>((static_cast<double>(args.x[at]) - mean) * factor);
    }
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) arg_max(RowArgs args) {
  const std::int64_t warps = global_threads() / kWarpSize;
  for (std::int64_t row = global_thread() / kWarpSize; row < args.rows; row += warps) {
    const float* x = args.x + row_start(args, row);
    const std::int64_t index =
        warp_arg_max(args.extent, args.variant, [&](std::int64_t i) { return x[i * args.inner]; });
    if (lane() == 0) static_cast<std::int64_t*>(args.y)[row] = index;
  }
}

}  // namespace

void add_reduce_kernels(KernelTable& table) {
  add(table, KernelId::kReduceThread, reduce_thread);
  add(table, KernelId::kReduceBlock, reduce_block);
  add(table, KernelId::kSoftmaxWarp, softmax_warp);
  add(table, KernelId::kSoftmaxBlock, softmax_block);
  add(table, KernelId::kMeanVariance, mean_variance);
  add(table, KernelId::kArgMax, arg_max);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
