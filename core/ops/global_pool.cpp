#include <limits>

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::global_pool {

Params parse(const ParseArgs&) { return std::monostate{}; }

/// GlobalAveragePool and GlobalMaxPool: the mean, or the largest value, of each channel's plane.
///
/// Shapes:   x [N, C, spatial...] f32 or f64, rank >= 2 -> y [N, C, 1...], same rank and dtype.
/// Numerics: mean: |y - ref| <= (P + 8) * u * mean |x|, P = elements of a plane, u = 2^-24; of no
///           elements NaN. Max: exact; NaN is larger than anything; of no elements -inf.
/// Errors:   invalid model: rank; unsupported: dtype.
/// Cost:     reads x once; bound by memory.
/// Source:   ONNX GlobalAveragePool-1, -22; GlobalMaxPool-1, -22.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  require_dtype(x.dtype, kFloats, "x");
  if (x.shape.rank() < 2) {
    fail_model("x of shape {}; expected [N, C] and the spatial axes", x.shape.to_string());
  }
  Shape y = x.shape;
  for (std::int64_t axis = 2; axis < y.rank(); ++axis) y.set(axis, 1);
  outputs[0] = {x.dtype, y};
}

namespace {

template <typename T>
double reduce_plane(OpKind kind, const T* plane, std::int64_t size) {
  if (kind == OpKind::kGlobalAveragePool) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < size; ++i) sum += plane[i];
    return sum / static_cast<double>(size);
  }
  double best = -std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < size; ++i) {
    if (plane[i] > best || plane[i] != plane[i]) best = plane[i];
  }
  return best;
}

}  // namespace

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const std::int64_t planes = x.shape.elements(0, 2);
  const std::int64_t size = x.shape.elements(2, x.shape.rank());
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < planes; ++i) {
      args.outputs[0].as<T>()[i] =
          static_cast<T>(reduce_plane(args.kind, x.as<T>() + i * size, size));
    }
  };
  if (x.dtype == DType::kFloat64) {
    run(double{});
  } else {
    run(float{});
  }
}

}  // namespace prs::ops::global_pool
