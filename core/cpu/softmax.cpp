// Softmax and LogSoftmax on the CPU.
#include "ops/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <variant>

#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"

namespace prs::cpu {
namespace {

/// f64: the reference's own steps, one softmax at a time.
void softmax_f64(const double* x, double* y, const ops::softmax::Extents& extents, bool logarithm) {
  for (std::int64_t row = 0; row < extents.outer * extents.inner; ++row) {
    const std::int64_t first =
        row / extents.inner * extents.extent * extents.inner + row % extents.inner;
    const auto at = [&](std::int64_t i) { return first + i * extents.inner; };
    double largest = x[first];
    for (std::int64_t i = 1; i < extents.extent; ++i) {
      if (!(x[at(i)] <= largest)) largest = x[at(i)];
    }
    double sum = 0.0;
    for (std::int64_t i = 0; i < extents.extent; ++i) sum += std::exp(x[at(i)] - largest);
    for (std::int64_t i = 0; i < extents.extent; ++i) {
      const double shifted = x[at(i)] - largest;
      y[at(i)] = logarithm ? shifted - std::log(sum) : std::exp(shifted) / sum;
    }
  }
}

}  // namespace

Plan plan_softmax(const Call& call, const Isa& isa) {
  const DType dtype = call.inputs[0].type.dtype;
  const ops::softmax::Extents extents =
      ops::softmax::extents(std::get<SoftmaxParams>(call.params), call.inputs[0].type.shape);
  const bool logarithm = call.kind == OpKind::kLogSoftmax;
  const bool empty = call.inputs[0].type.shape.elements() == 0;
  Plan plan;
  plan.kernel = std::string(logarithm ? "log_softmax_" : "softmax_") +
                std::string(dtype_name(dtype)) + (extents.inner == 1 ? "_row" : "_columns");
  if (dtype == DType::kFloat64) {
    plan.run = [=](const StepArgs& args) {
      if (empty) return;
      softmax_f64(static_cast<const double*>(args.inputs[0]), static_cast<double*>(args.outputs[0]),
                  extents, logarithm);
    };
    return plan;
  }
  const auto row = logarithm ? isa.elementwise.log_softmax_row : isa.elementwise.softmax_row;
  const auto columns =
      logarithm ? isa.elementwise.log_softmax_columns : isa.elementwise.softmax_columns;
  plan.run = [=](const StepArgs& args) {
    if (empty) return;
    const float* x = static_cast<const float*>(args.inputs[0]);
    float* y = static_cast<float*>(args.outputs[0]);
    const std::int64_t step = extents.extent * extents.inner;
    for (std::int64_t i = 0; i < extents.outer; ++i) {
      if (extents.inner == 1) {
        row(x + i * step, y + i * step, extents.extent);
      } else {
        columns(x + i * step, y + i * step, extents.extent, extents.inner, extents.inner);
      }
    }
  };
  return plan;
}

}  // namespace prs::cpu
