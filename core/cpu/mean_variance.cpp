// MeanVarianceNormalization on the CPU: contiguous runs of each group, sums in double.
#include "ops/mean_variance.hpp"

#include <cmath>
#include <variant>

#include "cpu/kernel.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

using ops::mean_variance::Groups;

/// Calls body(index of an element) for every element of the group that starts at `base`.
template <typename Body>
void for_each(const Groups& groups, std::int64_t run, std::int64_t base, const Body& body) {
  for (std::int64_t i = 0; i < groups.size; i += run) {
    const std::int64_t first = base + groups.offset(groups.inner_extents, i);
    for (std::int64_t k = first; k < first + run; ++k) body(k);
  }
}

template <typename T>
void normalize(const Groups& groups, std::int64_t run, const T* x, T* y) {
  for (std::int64_t group = 0; group < groups.count; ++group) {
    const std::int64_t base = groups.offset(groups.kept_extents, group);
    double sum = 0.0;
    for_each(groups, run, base, [&](std::int64_t i) { sum += static_cast<double>(x[i]); });
    const double mean = sum / static_cast<double>(groups.size);
    double squares = 0.0;
    for_each(groups, run, base, [&](std::int64_t i) {
      const double centered = static_cast<double>(x[i]) - mean;
      squares += centered * centered;
    });
    const double factor = 1.0 / (std::sqrt(squares / static_cast<double>(groups.size)) +
                                 ops::mean_variance::kEpsilon);
    for_each(groups, run, base, [&](std::int64_t i) {
      y[i] = static_cast<T>((static_cast<double>(x[i]) - mean) * factor);
    });
  }
}

}  // namespace

Plan plan_mean_variance(const Call& call, const Isa&) {
  const TensorType& x = call.inputs[0].type;
  const Groups groups =
      ops::mean_variance::split(std::get<MeanVarianceParams>(call.params), x.shape);
  // The trailing normalised axes lie next to each other in memory.
  std::int64_t run = 1;
  for (std::int64_t axis = x.shape.rank() - 1; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    if (groups.kept_extents[i] != 1) break;
    run *= groups.inner_extents[i];
  }
  const bool empty = x.shape.elements() == 0;
  Plan plan;
  plan.kernel = "mean_variance_" + std::string(dtype_name(x.dtype)) + "_two_pass";
  if (x.dtype == DType::kFloat32) {
    plan.run = [=](const StepArgs& args) {
      if (empty) return;
      normalize(groups, run, static_cast<const float*>(args.inputs[0]),
                static_cast<float*>(args.outputs[0]));
    };
  } else {
    plan.run = [=](const StepArgs& args) {
      if (empty) return;
      normalize(groups, run, static_cast<const double*>(args.inputs[0]),
                static_cast<double*>(args.outputs[0]));
    };
  }
  return plan;
}

}  // namespace prs::cpu
