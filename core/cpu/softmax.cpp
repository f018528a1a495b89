// Plans of Softmax and LogSoftmax: f32 through isa/elementwise.hpp, f64 through a plain loop.
#include "ops/softmax.hpp"

#include <cmath>
#include <limits>

#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"

namespace prs::cpu {
namespace {

/// One softmax over `count` elements that lie `stride` apart.
void softmax_f64(const double* x, double* y, std::int64_t count, std::int64_t stride, bool log) {
  double largest = -std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < count; ++i) {
    largest = x[i * stride] > largest ? x[i * stride] : largest;
  }
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::exp(x[i * stride] - largest);
  for (std::int64_t i = 0; i < count; ++i) {
    const double shifted = x[i * stride] - largest;
    y[i * stride] = log ? shifted - std::log(sum) : std::exp(shifted) / sum;
  }
}

}  // namespace

Plan plan_softmax(const Call& call, const Isa& isa) {
  const TensorType& x = call.inputs[0].type;
  const auto extents = ops::softmax::extents(std::get<SoftmaxParams>(call.params), x.shape);
  const bool log = call.kind == OpKind::kLogSoftmax;
  const std::string name = log ? "log_softmax" : "softmax";
  Plan plan;
  plan.in_place = true;
  if (x.dtype == DType::kFloat64) {
    plan.kernel = name + "_f64_strided";
    plan.run = [=](const StepArgs& args) {
      const auto [outer, extent, inner] = extents;
      for (std::int64_t i = 0; i < outer * inner; ++i) {
        const std::int64_t start = i / inner * extent * inner + i % inner;
        softmax_f64(static_cast<const double*>(args.inputs[0]) + start,
                    static_cast<double*>(args.outputs[0]) + start, extent, inner, log);
      }
    };
    return plan;
  }
  if (extents.inner == 1) {
    plan.kernel = name + "_f32_row";
    const auto row = log ? isa.elementwise.log_softmax_row : isa.elementwise.softmax_row;
    plan.run = [=](const StepArgs& args) {
      const float* in = static_cast<const float*>(args.inputs[0]);
      float* out = static_cast<float*>(args.outputs[0]);
      for (std::int64_t i = 0; i < extents.outer; ++i) {
        row(in + i * extents.extent, out + i * extents.extent, extents.extent);
      }
    };
    return plan;
  }
  plan.kernel = name + "_f32_columns_" + std::to_string(kMaxColumns);
  const auto columns = log ? isa.elementwise.log_softmax_columns : isa.elementwise.softmax_columns;
  plan.run = [=](const StepArgs& args) {
    const auto [outer, extent, inner] = extents;
    const float* in = static_cast<const float*>(args.inputs[0]);
    float* out = static_cast<float*>(args.outputs[0]);
    for (std::int64_t i = 0; i < outer; ++i) {
      const std::int64_t start = i * extent * inner;
      columns(in + start, out + start, extent, inner, inner);
    }
  };
  return plan;
}

}  // namespace prs::cpu
