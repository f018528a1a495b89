// Plans of the reductions and of ArgMax. Adjacent axes with the same fate merge, so that a call
// becomes loops over kept axes, loops over reduced ones, and two-dimensional blocks inside: blocks
// fold into one element when the innermost axis is reduced, column by column otherwise.
#include "ops/reduce.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "check.hpp"
#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "cpu/loop_nest.hpp"
#include "ops/arg_max.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

using Offset = std::array<std::int64_t, 1>;

struct ReductionLayout {
  LoopNest<1> kept;  ///< Over y; the operand is x.
  LoopNest<1> reduced;
  bool innermost_kept = false;
  std::int64_t reduced_count = 1;
};

ReductionLayout make_layout(const Shape& x, ops::reduce::AxisSet axes) {
  ReductionLayout layout;
  Shape reduced_extents;
  const auto strides = ops::row_major_strides(x);
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    const bool reduced = ((axes >> axis) & 1u) != 0;
    const std::int64_t stride = strides[static_cast<std::size_t>(axis)];
    (reduced ? layout.reduced : layout.kept).push(x[axis], {stride});
    if (reduced) reduced_extents.push_back(x[axis]);
    if (x[axis] != 1) layout.innermost_kept = !reduced;
  }
  layout.reduced_count = reduced_extents.elements();
  return layout;
}

template <typename T, typename Accumulator>
struct Reduction {
  ReduceFunctions<T, Accumulator> functions;
  Accumulator identity;
  /// The result for an accumulator of `count` elements.
  T (*finish)(Accumulator accumulator, std::int64_t count);
};

template <typename T, typename Accumulator>
void reduce_to_elements(const ReductionLayout& layout, const Reduction<T, Accumulator>& reduction,
                        const T* x, T* y) {
  const auto rows = layout.reduced.from_inside(1);
  const auto columns = layout.reduced.from_inside(0);
  layout.kept.for_each_outer(0, [&](const Offset& kept) {
    Accumulator accumulator = reduction.identity;
    layout.reduced.for_each_outer(2, [&](const Offset& offset) {
      accumulator = reduction.functions.block(x + kept[0] + offset[0], rows.extent, rows.strides[0],
                                              columns.extent, accumulator);
    });
    *y++ = reduction.finish(accumulator, layout.reduced_count);
  });
}

template <typename T, typename Accumulator>
void reduce_to_columns(const ReductionLayout& layout, const Reduction<T, Accumulator>& reduction,
                       const T* x, T* y) {
  const auto rows = layout.reduced.from_inside(0);
  const std::int64_t columns = layout.kept.from_inside(0).extent;
  layout.kept.for_each_outer(1, [&](const Offset& kept) {
    for (std::int64_t column = 0; column < columns; column += kMaxColumns) {
      const std::int64_t width = std::min(kMaxColumns, columns - column);
      Accumulator accumulators[kMaxColumns];
      for (std::int64_t c = 0; c < width; ++c) accumulators[c] = reduction.identity;
      layout.reduced.for_each_outer(1, [&](const Offset& offset) {
        reduction.functions.columns(x + kept[0] + offset[0] + column, rows.extent, rows.strides[0],
                                    width, accumulators);
      });
      for (std::int64_t c = 0; c < width; ++c) {
        *y++ = reduction.finish(accumulators[c], layout.reduced_count);
      }
    }
  });
}

template <typename T, typename Accumulator>
Plan make_plan(const ReductionLayout& layout, const Reduction<T, Accumulator>& reduction) {
  Plan plan;
  plan.kernel = layout.innermost_kept ? "columns_" + std::to_string(kMaxColumns) : "row";
  plan.run = [layout, reduction](const StepArgs& args) {
    const T* x = static_cast<const T*>(args.inputs[0]);
    T* y = static_cast<T*>(args.outputs[0]);
    if (layout.innermost_kept) {
      reduce_to_columns(layout, reduction, x, y);
    } else {
      reduce_to_elements(layout, reduction, x, y);
    }
  };
  return plan;
}

template <typename T, typename Accumulator>
struct Sum {
  static Accumulator apply(Accumulator sum, T x) { return sum + static_cast<Accumulator>(x); }
};
template <typename T>
struct Largest {
  static T apply(T a, T b) { return a != a || a > b ? a : b; }
};
template <typename T>
struct Smallest {
  static T apply(T a, T b) { return a != a || a < b ? a : b; }
};

template <typename T, typename Accumulator, typename Function>
Accumulator fold_block(const T* x, std::int64_t rows, std::int64_t row_stride, std::int64_t columns,
                       Accumulator initial) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      initial = Function::apply(initial, x[r * row_stride + c]);
    }
  }
  return initial;
}

template <typename T, typename Accumulator, typename Function>
void fold_columns(const T* x, std::int64_t rows, std::int64_t row_stride, std::int64_t columns,
                  Accumulator* accumulators) {
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      accumulators[c] = Function::apply(accumulators[c], x[r * row_stride + c]);
    }
  }
}

template <typename T, typename Accumulator, typename Function>
constexpr ReduceFunctions<T, Accumulator> kFold = {&fold_block<T, Accumulator, Function>,
                                                   &fold_columns<T, Accumulator, Function>};

template <typename T, typename Accumulator>
T finish_as_is(Accumulator accumulator, std::int64_t) {
  return static_cast<T>(accumulator);
}

template <typename T, typename Accumulator>
T finish_mean(Accumulator sum, std::int64_t count) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(sum / static_cast<double>(count));
  } else if (count == 0) {
    return T{0};
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<T>(static_cast<std::int64_t>(sum) / count);
  } else {
    return static_cast<T>(sum / static_cast<std::uint64_t>(count));
  }
}

template <typename T>
Plan plan_sum(const ReductionLayout& layout, bool mean, const Isa& isa) {
  // Unsigned, so that integer sums wrap; the result's low bits are the same.
  using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  Reduction<T, Accumulator> reduction{
      kFold<T, Accumulator, Sum<T, Accumulator>>, Accumulator{0},
      mean ? &finish_mean<T, Accumulator> : &finish_as_is<T, Accumulator>};
  if constexpr (std::is_same_v<T, float>) reduction.functions = isa.elementwise.sum;
  return make_plan(layout, reduction);
}

template <typename T>
Plan plan_extreme(const ReductionLayout& layout, bool largest, const Isa& isa) {
  using Limits = std::numeric_limits<T>;
  const T lowest = Limits::has_infinity ? static_cast<T>(-Limits::infinity()) : Limits::lowest();
  const T highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
  Reduction<T, T> reduction{largest ? kFold<T, T, Largest<T>> : kFold<T, T, Smallest<T>>,
                            largest ? lowest : highest, &finish_as_is<T, T>};
  if constexpr (std::is_same_v<T, float>) {
    reduction.functions = largest ? isa.elementwise.max : isa.elementwise.min;
  }
  return make_plan(layout, reduction);
}

const char* name_of(OpKind kind) {
  switch (kind) {
    case OpKind::kReduceMean:
      return "reduce_mean";
    case OpKind::kReduceSum:
      return "reduce_sum";
    case OpKind::kReduceMax:
      return "reduce_max";
    default:
      PRS_CHECK(kind == OpKind::kReduceMin);
      return "reduce_min";
  }
}

/// The index of the largest of `count` elements that lie `stride` apart; NaN counts as largest.
template <typename T>
std::int64_t index_of_largest(const T* x, std::int64_t count, std::int64_t stride, bool last) {
  std::int64_t best = 0;
  T largest = x[0];
  for (std::int64_t i = 1; i < count; ++i) {
    const T value = x[i * stride];
    const bool equal = value == largest || (value != value && largest != largest);
    const bool larger = value > largest || (value != value && largest == largest);
    if (larger || (last && equal)) {
      best = i;
      largest = value;
    }
  }
  return best;
}

}  // namespace

Plan plan_reduce(const Call& call, const Isa& isa) {
  const TensorType& x = call.inputs[0].type;
  std::optional<std::vector<std::int64_t>> axes;
  if (call.has(1)) {
    PRS_CHECK(call.inputs[1].constant != nullptr);
    axes = ops::to_ints(*call.inputs[1].constant, "axes");
  }
  const ReductionLayout layout = make_layout(
      x.shape,
      ops::reduce::reduced_axes(std::get<ReduceParams>(call.params), x.shape.rank(), axes));
  const bool extreme = call.kind == OpKind::kReduceMax || call.kind == OpKind::kReduceMin;
  Plan plan = ops::visit_dtype(x.dtype, [&](auto zero) -> Plan {
    using T = decltype(zero);
    if (extreme) return plan_extreme<T>(layout, call.kind == OpKind::kReduceMax, isa);
    if constexpr (!std::is_same_v<T, bool>) {
      return plan_sum<T>(layout, call.kind == OpKind::kReduceMean, isa);
    } else {
      fail_unsupported("{} of bool", name_of(call.kind));
    }
  });
  plan.kernel = fmt::format("{}_{}_{}", name_of(call.kind), dtype_name(x.dtype), plan.kernel);
  return plan;
}

Plan plan_arg_max(const Call& call, const Isa&) {
  const ArgMaxParams& params = std::get<ArgMaxParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  const auto extents = ops::arg_max::extents(params, x.shape);
  Plan plan;
  plan.kernel = fmt::format("arg_max_{}_strided", dtype_name(x.dtype));
  plan.run = ops::visit_dtype(x.dtype, [&](auto zero) -> std::function<void(const StepArgs&)> {
    using T = decltype(zero);
    return [extents, last = params.select_last_index](const StepArgs& args) {
      const auto [outer, extent, inner] = extents;
      const T* in = static_cast<const T*>(args.inputs[0]);
      std::int64_t* out = static_cast<std::int64_t*>(args.outputs[0]);
      for (std::int64_t i = 0; i < outer * inner; ++i) {
        const T* start = in + i / inner * extent * inner + i % inner;
        out[i] = index_of_largest(start, extent, inner, last);
      }
    };
  });
  return plan;
}

}  // namespace prs::cpu
