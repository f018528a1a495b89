// ReduceMean, ReduceSum, ReduceMax, ReduceMin and ArgMax on the CPU: f32 reductions through the
// instruction-set levels' loops, the rest through plain templates.
#include "ops/reduce.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <type_traits>
#include <variant>
#include <vector>

#include "check.hpp"
#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "ops/arg_max.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

/// Some axes of a tensor as a box of their own, in row-major order.
struct Box {
  std::int64_t rank = 0;
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  std::int64_t count = 1;

  /// Adds an axis inside the others; neighbours in memory become one.
  void add(std::int64_t extent, std::int64_t stride) {
    count *= extent;
    if (extent == 1) return;
    const auto last = static_cast<std::size_t>(rank) - 1;
    if (rank > 0 && strides[last] == extent * stride) {
      extents[last] *= extent;
      strides[last] = stride;
      return;
    }
    extents[static_cast<std::size_t>(rank)] = extent;
    strides[static_cast<std::size_t>(rank)] = stride;
    ++rank;
  }

  std::int64_t offset(std::int64_t index) const {
    std::int64_t result = 0;
    for (auto axis = static_cast<std::size_t>(rank); axis-- > 0;) {
      result += index % extents[axis] * strides[axis];
      index /= extents[axis];
    }
    return result;
  }
};

/// A reduction: every element of `kept` folds a box `reduced` of the input.
struct Reduction {
  Box kept;
  Box reduced;
};

Reduction split(const Shape& x, ops::reduce::AxisSet axes) {
  const std::vector<std::int64_t> strides = ops::row_major_strides(x);
  Reduction result;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    Box& box = ((axes >> axis) & 1u) != 0 ? result.reduced : result.kept;
    box.add(x[axis], strides[static_cast<std::size_t>(axis)]);
  }
  return result;
}

/// Folds boxes whose innermost axis is contiguous: runs go through functions.block.
template <typename Accumulator, typename Finish>
void reduce_runs(const Reduction& shape, const ReduceFunctions<float, Accumulator>& functions,
                 Accumulator initial, const float* x, const Finish& finish) {
  const auto inner = static_cast<std::size_t>(std::max<std::int64_t>(shape.reduced.rank, 1)) - 1;
  const std::int64_t run = shape.reduced.rank > 0 ? shape.reduced.extents[inner] : 1;
  for (std::int64_t i = 0; i < shape.kept.count; ++i) {
    const float* from = x + shape.kept.offset(i);
    Accumulator result = initial;
    for (std::int64_t k = 0; k < shape.reduced.count; k += run) {
      result = functions.block(from + shape.reduced.offset(k), 1, run, run, result);
    }
    finish(i, result);
  }
}

/// Folds boxes whose neighbours in the output are neighbours in the input: a block of outputs at a
/// time through functions.columns.
template <typename Accumulator, typename Finish>
void reduce_columns(const Reduction& shape, const ReduceFunctions<float, Accumulator>& functions,
                    Accumulator initial, const float* x, const Finish& finish) {
  const auto inner = static_cast<std::size_t>(shape.kept.rank) - 1;
  const std::int64_t width = shape.kept.extents[inner];
  const auto last = static_cast<std::size_t>(std::max<std::int64_t>(shape.reduced.rank, 1)) - 1;
  const bool has_rows = shape.reduced.rank > 0;
  const std::int64_t rows = has_rows ? shape.reduced.extents[last] : 1;
  const std::int64_t row_stride = has_rows ? shape.reduced.strides[last] : 0;
  Accumulator accumulators[kMaxColumns];
  for (std::int64_t i = 0; i < shape.kept.count; i += width) {
    for (std::int64_t first = 0; first < width; first += kMaxColumns) {
      const std::int64_t columns = std::min(kMaxColumns, width - first);
      std::fill_n(accumulators, columns, initial);
      const float* from = x + shape.kept.offset(i) + first;
      for (std::int64_t k = 0; k < shape.reduced.count; k += rows) {
        functions.columns(from + shape.reduced.offset(k), rows, row_stride, columns, accumulators);
      }
      for (std::int64_t c = 0; c < columns; ++c) finish(i + first + c, accumulators[c]);
    }
  }
}

template <typename Accumulator, typename Finish>
void reduce_f32(const Reduction& shape, const ReduceFunctions<float, Accumulator>& functions,
                Accumulator initial, const float* x, const Finish& finish) {
  const auto contiguous = [](const Box& box) {
    return box.rank > 0 && box.strides[static_cast<std::size_t>(box.rank) - 1] == 1;
  };
  if (contiguous(shape.kept) && !contiguous(shape.reduced)) {
    reduce_columns(shape, functions, initial, x, finish);
  } else {
    reduce_runs(shape, functions, initial, x, finish);
  }
}

template <typename T>
T extreme_of_none(bool largest) {
  using Limits = std::numeric_limits<T>;
  if (Limits::has_infinity) return largest ? -Limits::infinity() : Limits::infinity();
  return largest ? Limits::lowest() : Limits::max();
}

/// Any type: element by element. Sums of floats in double, of integers wrapping in 64 bits.
template <typename T>
T reduce_generic(OpKind kind, const Box& box, const T* x) {
  if (kind == OpKind::kReduceMax || kind == OpKind::kReduceMin) {
    const bool largest = kind == OpKind::kReduceMax;
    T result = extreme_of_none<T>(largest);
    for (std::int64_t i = 0; i < box.count; ++i) {
      const T value = x[box.offset(i)];
      // A NaN replaces and is never replaced.
      if (result == result && (value != value || (largest ? value > result : value < result))) {
        result = value;
      }
    }
    return result;
  }
  const bool mean = kind == OpKind::kReduceMean;
  if constexpr (std::is_floating_point_v<T>) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < box.count; ++i) sum += static_cast<double>(x[box.offset(i)]);
    return static_cast<T>(mean ? sum / static_cast<double>(box.count) : sum);
  } else {
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < box.count; ++i)
      sum += static_cast<std::uint64_t>(x[box.offset(i)]);
    if (!mean) return static_cast<T>(sum);
    if (box.count == 0) return T{0};
    if (std::is_signed_v<T>) return static_cast<T>(static_cast<std::int64_t>(sum) / box.count);
    return static_cast<T>(sum / static_cast<std::uint64_t>(box.count));
  }
}

const char* name_of(OpKind kind) {
  switch (kind) {
    case OpKind::kReduceMax:
      return "reduce_max";
    case OpKind::kReduceMin:
      return "reduce_min";
    case OpKind::kReduceMean:
      return "reduce_mean";
    default:
      return "reduce_sum";
  }
}

template <typename T>
void arg_max(const ops::arg_max::Extents& extents, bool last, const T* x, std::int64_t* y) {
  for (std::int64_t row = 0; row < extents.outer * extents.inner; ++row) {
    const T* values =
        x + row / extents.inner * extents.extent * extents.inner + row % extents.inner;
    std::int64_t best = 0;
    T largest = values[0];
    for (std::int64_t i = 1; i < extents.extent; ++i) {
      const T value = values[i * extents.inner];
      // NaN counts as larger than any number, and as equal to NaN.
      const bool value_is_nan = value != value;
      const bool largest_is_nan = largest != largest;
      const bool larger = value_is_nan ? !largest_is_nan : value > largest;
      const bool equal = value_is_nan ? largest_is_nan : value == largest;
      if (larger || (last && equal)) {
        best = i;
        largest = value;
      }
    }
    y[row] = best;
  }
}

}  // namespace

Plan plan_reduce(const Call& call, const Isa& isa) {
  const auto& params = std::get<ReduceParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  std::optional<std::vector<std::int64_t>> axes;
  if (call.has(1)) {
    if (call.inputs[1].constant == nullptr)
      fail_unsupported("axes that are known only at run time");
    axes = ops::to_ints(*call.inputs[1].constant, "axes");
  }
  const Reduction shape = split(x.shape, ops::reduce::reduced_axes(params, x.shape.rank(), axes));
  const OpKind kind = call.kind;
  Plan plan;
  plan.kernel = std::string(name_of(kind)) + "_" + std::string(dtype_name(x.dtype));
  if (x.dtype == DType::kFloat32) {
    const ElementwiseKernels& kernels = isa.elementwise;
    if (kind == OpKind::kReduceMax || kind == OpKind::kReduceMin) {
      const bool largest = kind == OpKind::kReduceMax;
      const auto functions = largest ? kernels.max : kernels.min;
      plan.run = [=](const StepArgs& args) {
        float* y = static_cast<float*>(args.outputs[0]);
        reduce_f32(shape, functions, extreme_of_none<float>(largest),
                   static_cast<const float*>(args.inputs[0]),
                   [&](std::int64_t i, float result) { y[i] = result; });
      };
      return plan;
    }
    const auto functions = kernels.sum;
    const double divisor =
        kind == OpKind::kReduceMean ? static_cast<double>(shape.reduced.count) : 1.0;
    plan.run = [=](const StepArgs& args) {
      float* y = static_cast<float*>(args.outputs[0]);
      reduce_f32(shape, functions, 0.0, static_cast<const float*>(args.inputs[0]),
                 [&](std::int64_t i, double sum) { y[i] = static_cast<float>(sum / divisor); });
    };
    return plan;
  }
  ops::visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      const T* from = static_cast<const T*>(args.inputs[0]);
      T* y = static_cast<T*>(args.outputs[0]);
      for (std::int64_t i = 0; i < shape.kept.count; ++i) {
        y[i] = reduce_generic<T>(kind, shape.reduced, from + shape.kept.offset(i));
      }
    };
  });
  return plan;
}

Plan plan_arg_max(const Call& call, const Isa&) {
  const auto& params = std::get<ArgMaxParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  const ops::arg_max::Extents extents = ops::arg_max::extents(params, x.shape);
  const bool last = params.select_last_index;
  Plan plan;
  plan.kernel = "arg_max_" + std::string(dtype_name(x.dtype));
  ops::visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      arg_max(extents, last, static_cast<const T*>(args.inputs[0]),
              static_cast<std::int64_t*>(args.outputs[0]));
    };
  });
  return plan;
}

}  // namespace prs::cpu
