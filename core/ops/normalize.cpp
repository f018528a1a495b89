#include "ops/normalize.hpp"

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::normalize {
namespace {

constexpr DType kPixels[] = {DType::kUint8, DType::kFloat32};

void require_size(const std::vector<float>& vector, std::int64_t channels, const char* name) {
  const std::int64_t size = static_cast<std::int64_t>(vector.size());
  if (size != 1 && size != channels) {
    fail_model("{} has {} values; expected 1 or {}, one for each channel", name, size, channels);
  }
}

}  // namespace

Extents extents(const NormalizeParams& params, const Shape& x) {
  if (params.scale.size() == 1 && params.bias.size() == 1) return {1, 1, x.elements()};
  const std::int64_t axis = normalize_axis(params.channel_axis, x.rank());
  require_size(params.scale, x[axis], "scale");
  require_size(params.bias, x[axis], "bias");
  return {x.elements(0, axis), x[axis], x.elements(axis + 1, x.rank())};
}

Params parse(const ParseArgs&) { fail_model("Normalize is an internal operator, not one of ONNX"); }

/// Turns pixels into what a network was trained on: y = scale[c] * x + bias[c].
///
/// Shapes:   x u8[X...] or f32[X...] -> y f32[X...]; may alias an f32 x.
/// Params:   scale, bias: one value, or one for each index of channel_axis.
/// Numerics: |y - ref| <= 2u * (|scale * x| + |bias|).
/// Errors:   invalid model: channel_axis out of range, vectors that do not fit it; unsupported:
///           dtype.
/// Cost:     reads x, writes y once; bound by memory.
/// Source:   PRS pre-processing; made by graph passes only.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  require_dtype(x.dtype, kPixels, "x");
  extents(std::get<NormalizeParams>(args.params), x.shape);
  outputs[0] = {DType::kFloat32, x.shape};
}

void reference(const ReferenceArgs& args) {
  const NormalizeParams& params = std::get<NormalizeParams>(args.params);
  const TensorView& x = args.inputs[0];
  const Extents view = extents(params, x.shape);
  for (std::int64_t i = 0; i < x.shape.elements(); ++i) {
    const auto c = static_cast<std::size_t>(i / view.inner % view.channels);
    const double scale = params.scale[params.scale.size() == 1 ? 0 : c];
    const double bias = params.bias[params.bias.size() == 1 ? 0 : c];
    const double value = x.dtype == DType::kUint8 ? x.as<std::uint8_t>()[i] : x.as<float>()[i];
    args.outputs[0].as<float>()[i] = static_cast<float>(scale * value + bias);
  }
}

}  // namespace prs::ops::normalize
