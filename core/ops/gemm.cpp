#include "ops/gemm.hpp"

#include <cmath>
#include <type_traits>

#include "check.hpp"
#include "ops/activation.hpp"
#include "ops/support.hpp"

namespace prs::ops::gemm {
namespace {

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

/// Integer kernels multiply in the tensors' own type.
void require_integer(float factor, std::string_view name, DType dtype) {
  constexpr float kExact = 16777216.0F;
  if (!(std::abs(factor) <= kExact) || factor != std::trunc(factor)) {
    fail_unsupported("{} = {} with operands of type {}; expected an integer within +-2^24", name,
                     factor, dtype_name(dtype));
  }
}

void check_bias(const TensorType& c, DType dtype, const Extents& extents) {
  if (c.dtype != dtype) {
    fail_model("C is of type {}; expected {}", dtype_name(c.dtype), dtype_name(dtype));
  }
  const Shape y{extents.m, extents.n};
  const std::int64_t rank = c.shape.rank();
  const bool fits = rank <= 2 &&
                    (rank < 1 || c.shape[rank - 1] == 1 || c.shape[rank - 1] == y[1]) &&
                    (rank < 2 || c.shape[0] == 1 || c.shape[0] == y[0]);
  if (!fits) {
    fail_model("C of shape {} does not broadcast to {}", c.shape.to_string(), y.to_string());
  }
}

/// alpha * sum + beta * bias: floats in double, integers wrapping.
template <typename T, typename Sum>
T combine(const GemmParams& params, Sum sum, Sum bias) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(activate(params.activation, params.alpha * sum + params.beta * bias));
  } else {
    return static_cast<T>(static_cast<Sum>(static_cast<std::int64_t>(params.alpha)) * sum +
                          static_cast<Sum>(static_cast<std::int64_t>(params.beta)) * bias);
  }
}

template <typename A, typename T>
void multiply(const ReferenceArgs& args) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  const auto& params = std::get<GemmParams>(args.params);
  const auto [m, n, k] = resolve(params, args.inputs[0].shape, args.inputs[1].shape);
  const A* a = args.inputs[0].as<A>();
  const T* b = args.inputs[1].as<T>();
  const T* c = args.has(2) ? args.inputs[2].as<T>() : nullptr;
  std::vector<std::int64_t> c_strides{0, 0};
  if (c != nullptr) c_strides = broadcast_strides(args.inputs[2].shape, Shape{m, n});
  T* y = args.outputs[0].as<T>();
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      Sum sum = 0;
      for (std::int64_t p = 0; p < k; ++p) {
        sum += static_cast<Sum>(params.trans_a ? a[p * m + i] : a[i * k + p]) *
               static_cast<Sum>(params.trans_b ? b[j * k + p] : b[p * n + j]);
      }
      const Sum bias =
          c == nullptr ? Sum{0} : static_cast<Sum>(c[i * c_strides[0] + j * c_strides[1]]);
      y[i * n + j] = combine<T>(params, sum, bias);
    }
  }
}

}  // namespace

Extents resolve(const GemmParams& params, const Shape& a, const Shape& b) {
  if (a.rank() != 2 || b.rank() != 2) {
    fail_model("A of shape {} and B of shape {}; expected matrices", a.to_string(), b.to_string());
  }
  const Extents extents{a[params.trans_a ? 1 : 0], b[params.trans_b ? 0 : 1],
                        a[params.trans_a ? 0 : 1]};
  if (b[params.trans_b ? 1 : 0] != extents.k) {
    fail_model("A of shape {}{} and B of shape {}{} have different inner extents: {} and {}",
               a.to_string(), params.trans_a ? " transposed" : "", b.to_string(),
               params.trans_b ? " transposed" : "", extents.k, b[params.trans_b ? 1 : 0]);
  }
  return extents;
}

Params parse(const ParseArgs& args) {
  GemmParams params;
  params.alpha = args.attributes.get_float("alpha", 1.0F);
  params.beta = args.attributes.get_float("beta", 1.0F);
  params.trans_a = args.attributes.get_int("transA", 0) != 0;
  params.trans_b = args.attributes.get_int("transB", 0) != 0;
  // Below opset 7 this attribute had to allow what is always allowed since.
  args.attributes.get_int("broadcast", 0);
  return params;
}

/// y = activation(alpha * A' * B' + beta * C); A' is A, transposed with trans_a; B' likewise.
///
/// Shapes:   A' [M, K], B' [K, N], C (optional) broadcast to [M, N] -> y [M, N]. One dtype of f32,
///           f64, i32, i64, u32, u64; A also u8 when B is f32.
/// Params:   alpha, beta: integers of at most 24 bits for integer operands.
/// Numerics: floats: |y - ref| <= (K + 8) * u * (|alpha| sum |a| |b| + |beta C|), u = 2^-24 (f32);
///           f32 kernels multiply B by alpha first. Integers wrap around.
/// Errors:   invalid model: ranks, inner extents, C's shape or dtype; unsupported: dtypes,
/// fractions
///           as alpha or beta, or an activation, with integers.
/// Cost:     2 M N K operations; bound by arithmetic for large M, by reading B for M = 1.
/// Source:   ONNX Gemm-1, -6, -7, -9, -11, -13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<GemmParams>(args.params);
  const TensorType& a = args.input(0);
  const TensorType& b = args.input(1);
  require_dtype(b.dtype, kDTypes, "B");
  const bool pixels = a.dtype == DType::kUint8 && b.dtype == DType::kFloat32;
  if (a.dtype != b.dtype && !pixels) {
    fail_unsupported("A of type {} with B of type {}; expected equal types, or u8 with f32",
                     dtype_name(a.dtype), dtype_name(b.dtype));
  }
  if (!is_float(b.dtype)) {
    require_integer(params.alpha, "alpha", b.dtype);
    require_integer(params.beta, "beta", b.dtype);
    if (params.activation.kind != Activation::Kind::kNone) {
      fail_unsupported("a fused activation on {}", dtype_name(b.dtype));
    }
  }
  const Extents extents = resolve(params, a.shape, b.shape);
  if (args.has(2)) check_bias(args.input(2), b.dtype, extents);
  const Shape y{extents.m, extents.n};
  y.elements();  // Throws when there are too many.
  outputs[0] = {b.dtype, y};
}

void reference(const ReferenceArgs& args) {
  if (args.inputs[0].dtype == DType::kUint8) return multiply<std::uint8_t, float>(args);
  visit_dtype(args.inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bool>) multiply<T, T>(args);
  });
}

}  // namespace prs::ops::gemm
