#include "ops/batch_norm.hpp"

#include <cmath>

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::batch_norm {
namespace {

constexpr const char* kInputNames[] = {"x", "scale", "bias", "mean", "variance"};

struct Statistics {
  double mean;
  double variance;
};

/// Mean and population variance of one channel; NaN when it has no elements.
template <typename T>
Statistics statistics_of(const T* x, const Extents& extents, std::int64_t channel) {
  const double count = static_cast<double>(extents.batch * extents.inner);
  const auto sum_over = [&](auto term) {
    double sum = 0;
    for (std::int64_t n = 0; n < extents.batch; ++n) {
      const T* values = x + (n * extents.channels + channel) * extents.inner;
      for (std::int64_t i = 0; i < extents.inner; ++i) sum += term(values[i]);
    }
    return sum;
  };
  const double mean = sum_over([](double value) { return value; }) / count;
  const double squares = sum_over([&](double value) { return (value - mean) * (value - mean); });
  return {mean, squares / count};
}

}  // namespace

Extents extents(const BatchNormParams& params, const Shape& x) {
  if (x.rank() < 2) {
    fail_model("x has shape {}; expected rank 2 or more, [N, C, ...]", x.to_string());
  }
  const std::int64_t batch = x.elements() == 0 ? 0 : x[0];
  if (!params.spatial) return {batch, x.elements(1, x.rank()), 1};
  return {batch, x[1], x.elements(2, x.rank())};
}

void require_output(const BatchNormParams& params, std::size_t i) {
  if (i == 0 || (params.training_mode && i <= 2)) return;
  fail_unsupported(
      "output {} of BatchNormalization is for training; only running mean and variance with "
      "training_mode=1 (opset 14) are available",
      i);
}

Params parse(const ParseArgs& args) {
  BatchNormParams params;
  params.epsilon = args.attributes.get_float("epsilon", params.epsilon);
  params.momentum = args.attributes.get_float("momentum", params.momentum);
  if (args.opset < 9) params.spatial = args.attributes.get_int("spatial", 1) != 0;
  if (args.opset >= 14) params.training_mode = args.attributes.get_int("training_mode", 0) != 0;
  return params;
}

/// Batch normalisation: y = (x - mean[c]) * scale[c] / sqrt(variance[c] + epsilon) + bias[c].
///
/// Shapes:   x T[N, C, ...], scale, bias, mean, variance T[C] -> y, same shape as x; may alias x;
///           in training mode also running mean and variance T[C]. T a float. Without `spatial` the
///           vectors have one value for each of x's C * ... elements.
/// Params:   epsilon; momentum, training_mode (opset 14); spatial (opsets below 9). In training
///           mode mean and (population) variance are the batch's own, and running = old * momentum
///           + batch * (1 - momentum).
/// Numerics: |y - ref| <= 6u * (|x - mean| * |factor| + |bias|).
/// Errors:   invalid model: rank below 2, vectors of other sizes; unsupported: dtype, vectors of
///           another type than x, wanted extra outputs outside of training mode.
/// Cost:     reads x, writes y once; bound by memory. Training reads x three times.
/// Source:   ONNX BatchNormalization-15.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const BatchNormParams& params = std::get<BatchNormParams>(args.params);
  const TensorType& x = args.input(0);
  require_dtype(x.dtype, kFloats, "x");
  const std::int64_t channels = extents(params, x.shape).channels;
  for (std::size_t i = 1; i <= 4; ++i) {
    const TensorType& vector = args.input(i);
    if (vector.dtype != x.dtype) {
      fail_unsupported("{} of type {} beside x of type {}", kInputNames[i],
                       dtype_name(vector.dtype), dtype_name(x.dtype));
    }
    if (vector.shape.elements() != channels) {
      fail_model("{} has shape {}; expected [{}] for x {}", kInputNames[i],
                 vector.shape.to_string(), channels, x.shape.to_string());
    }
  }
  outputs[0] = x;
  // Old models name up to four statistics here and use none of them.
  for (std::size_t i = 1; i < outputs.size(); ++i) outputs[i] = args.input(3);
}

void reference(const ReferenceArgs& args) {
  const BatchNormParams& params = std::get<BatchNormParams>(args.params);
  for (std::size_t i = 0; i < args.outputs.size(); ++i) {
    if (args.wants(i)) require_output(params, i);
  }
  const Extents view = extents(params, args.inputs[0].shape);
  visit_dtype(args.inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = args.inputs[0].as<T>();
    T* y = args.outputs[0].as<T>();
    for (std::int64_t c = 0; c < view.channels; ++c) {
      const double scale = static_cast<double>(args.inputs[1].as<T>()[c]);
      const double bias = static_cast<double>(args.inputs[2].as<T>()[c]);
      const Statistics given{static_cast<double>(args.inputs[3].as<T>()[c]),
                             static_cast<double>(args.inputs[4].as<T>()[c])};
      Statistics used = given;
      if (params.training_mode) {
        used = statistics_of(x, {view.batch, view.channels, view.inner}, c);
        const double momentum = params.momentum;
        if (args.wants(1)) {
          args.outputs[1].as<T>()[c] =
              static_cast<T>(given.mean * momentum + used.mean * (1 - momentum));
        }
        if (args.wants(2)) {
          args.outputs[2].as<T>()[c] =
              static_cast<T>(given.variance * momentum + used.variance * (1 - momentum));
        }
      }
      const double factor = scale / std::sqrt(used.variance + params.epsilon);
      for (std::int64_t n = 0; n < view.batch; ++n) {
        for (std::int64_t i = 0; i < view.inner; ++i) {
          const std::int64_t at = (n * view.channels + c) * view.inner + i;
          y[at] = static_cast<T>((static_cast<double>(x[at]) - used.mean) * factor + bias);
        }
      }
    }
  });
}

}  // namespace prs::ops::batch_norm
