#include "ops/quantized_layer.hpp"

#include "check.hpp"
#include "ops/conv.hpp"
#include "ops/gemm.hpp"
#include "ops/support.hpp"

namespace prs::ops {
namespace quantized {

void check_operands(const InferArgs& args, const Requantization& out, std::int64_t channels,
                    std::int64_t products) {
  require_dtype(args.input(0).dtype, quantize::kQuantized, "x");
  if (args.input(1).dtype != DType::kInt8) {
    fail_model("weights of type {}; expected i8", dtype_name(args.input(1).dtype));
  }
  for (std::size_t i = 2; i < 4; ++i) {
    const TensorType& values = args.input(i);
    if (values.dtype != DType::kFloat32 || values.shape != Shape{channels}) {
      fail_model("{} {}{}; expected f32[{}]", i == 2 ? "multipliers" : "offsets",
                 dtype_name(values.dtype), values.shape.to_string(), channels);
    }
  }
  if (products > kMostProducts) {
    fail_unsupported("sums of {} products may exceed 32 bits; expected at most {}", products,
                     kMostProducts);
  }
  if (out.to == DType::kFloat32) return;
  require_dtype(out.to, quantize::kQuantized, "y");
  const quantize::Range range = quantize::range(out.to);
  const auto zero_point = static_cast<float>(out.y_zero_point);
  if (!(out.low + zero_point >= static_cast<float>(range.low)) ||
      !(out.high + zero_point <= static_cast<float>(range.high)) || !(out.low <= out.high)) {
    fail_model("outputs between {} and {} with the zero point {} do not fit {}", out.low, out.high,
               out.y_zero_point, dtype_name(out.to));
  }
}

}  // namespace quantized

namespace quantized_conv {

Params parse(const ParseArgs&) {
  fail_model("QuantizedConv is an internal operator, not one of ONNX");
}

/// Convolution of quantised numbers: sum over c, t of (x[n, c, ...] - x zero point) * w[m, c, t],
/// then as Requantization says. Padding counts as the zero point.
///
/// Shapes:   x u8 or i8[N, C, spatial...], w i8[M, C / group, kernel...], multipliers f32[M],
///           offsets f32[M] -> y [N, M, spatial...].
/// Params:   as Conv, without activation; out.
/// Numerics: exact: every kernel gives the reference's bits.
/// Errors:   as Conv; unsupported: more than 65536 products a sum.
/// Cost:     2 * y.elements * C / group * taps operations; bound by arithmetic.
/// Source:   made by the pass fuse_quantized; the arithmetic is that of Jacob et al.,
///           "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
///           Inference", 2018, with multipliers in f32.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<QuantizedConvParams>(args.params);
  const Shape& x = args.input(0).shape;
  const Shape& w = args.input(1).shape;
  const Window window = conv::resolve(params.conv, x, w);
  quantized::check_operands(args, params.out, w[0], w.elements(1, w.rank()));
  outputs[0] = {params.out.to, window_output(window, x, w[0])};
}

void reference(const ReferenceArgs& args) {
  const auto& params = std::get<QuantizedConvParams>(args.params);
  const TensorView& x = args.inputs[0];
  const TensorView& w = args.inputs[1];
  // The sums are Conv's, in double, where they are exact.
  Tensor steps(DType::kFloat64, x.shape);
  for (std::int64_t i = 0; i < steps.elements(); ++i) {
    steps.as<double>()[i] = quantize::element(x, i) - params.out.x_zero_point;
  }
  Tensor weights(DType::kFloat64, w.shape);
  for (std::int64_t i = 0; i < weights.elements(); ++i) {
    weights.as<double>()[i] = quantize::element(w, i);
  }
  Tensor sums(DType::kFloat64, args.outputs[0].shape);
  ConvParams plain = params.conv;
  plain.activation = {};
  const TensorView inputs[] = {steps.view(), weights.view()};
  const MutableTensorView outputs[] = {sums.mutable_view()};
  conv::reference({OpKind::kConv, plain, inputs, outputs});
  const std::int64_t inner = sums.shape().elements(2, sums.shape().rank());
  for (std::int64_t i = 0; i < sums.elements(); ++i) {
    const std::int64_t m = i / inner % w.shape[0];
    quantized::store(
        args.outputs[0], i, params.out,
        quantized::requantize(params.out, static_cast<std::int32_t>(sums.as<double>()[i]),
                              args.inputs[2].as<float>()[m], args.inputs[3].as<float>()[m]));
  }
}

}  // namespace quantized_conv

namespace quantized_gemm {

Params parse(const ParseArgs&) {
  fail_model("QuantizedGemm is an internal operator, not one of ONNX");
}

/// Product of quantised matrices: sum over k of (x[m, k] - x zero point) * B'[k, n], then as
/// Requantization says, channels being columns. B' is B, transposed with trans_b.
///
/// Shapes:   x u8 or i8[M, K], B' i8[K, N], multipliers f32[N], offsets f32[N] -> y [M, N].
/// Params:   trans_b; out.
/// Numerics: exact: every kernel gives the reference's bits.
/// Errors:   invalid model: shapes and types; unsupported: more than 65536 products a sum.
/// Cost:     2 M N K operations; bound by arithmetic for large M.
/// Source:   as QuantizedConv.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<QuantizedGemmParams>(args.params);
  const auto [m, n, k] = gemm::resolve({.trans_b = params.trans_b, .activation = {}},
                                       args.input(0).shape, args.input(1).shape);
  quantized::check_operands(args, params.out, n, k);
  outputs[0] = {params.out.to, Shape{m, n}};
}

void reference(const ReferenceArgs& args) {
  const auto& params = std::get<QuantizedGemmParams>(args.params);
  const auto [m, n, k] = gemm::resolve({.trans_b = params.trans_b, .activation = {}},
                                       args.inputs[0].shape, args.inputs[1].shape);
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      std::int64_t sum = 0;
      for (std::int64_t p = 0; p < k; ++p) {
        const std::int64_t steps =
            quantize::element(args.inputs[0], i * k + p) - params.out.x_zero_point;
        sum += steps * quantize::element(args.inputs[1], params.trans_b ? j * k + p : p * n + j);
      }
      quantized::store(
          args.outputs[0], i * n + j, params.out,
          quantized::requantize(params.out, static_cast<std::int32_t>(sum),
                                args.inputs[2].as<float>()[j], args.inputs[3].as<float>()[j]));
    }
  }
}

}  // namespace quantized_gemm
}  // namespace prs::ops
