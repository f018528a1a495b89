#include "ops/matmul.hpp"

#include <type_traits>

#include "check.hpp"
#include "ops/gemm.hpp"
#include "ops/support.hpp"

namespace prs::ops::matmul {
namespace {

Shape leading(const Shape& shape) {
  return Shape(shape.extents().first(static_cast<std::size_t>(shape.rank() - 2)));
}

/// Strides over the batch, of matrices of `size` elements.
std::vector<std::int64_t> batch_strides(const Shape& own, const Shape& batch, std::int64_t size) {
  std::vector<std::int64_t> strides = broadcast_strides(own, batch);
  for (std::int64_t& stride : strides) stride *= size;
  return strides;
}

template <typename T>
void multiply(const ReferenceArgs& args) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  const Product product = resolve(args.inputs[0].shape, args.inputs[1].shape);
  const auto [batch, m, n, k, a_strides, b_strides, shape] = product;
  T* y = args.outputs[0].as<T>();
  for (std::int64_t item = 0; item < batch.elements(); ++item) {
    const Offsets at = offsets(product, item);
    const T* a = args.inputs[0].as<T>() + at.a;
    const T* b = args.inputs[1].as<T>() + at.b;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        Sum sum = 0;
        for (std::int64_t p = 0; p < k; ++p) {
          sum += static_cast<Sum>(a[i * k + p]) * static_cast<Sum>(b[p * n + j]);
        }
        *y++ = static_cast<T>(sum);
      }
    }
  }
}

}  // namespace

Product resolve(const Shape& a, const Shape& b) {
  if (a.rank() == 0 || b.rank() == 0) {
    fail_model("A of shape {} and B of shape {}; expected at least one axis each", a.to_string(),
               b.to_string());
  }
  const Shape rows = a.rank() == 1 ? Shape{1, a[0]} : a;
  const Shape columns = b.rank() == 1 ? Shape{b[0], 1} : b;
  const std::int64_t k = rows[rows.rank() - 1];
  if (columns[columns.rank() - 2] != k) {
    fail_model("A of shape {} and B of shape {} have different inner extents: {} and {}",
               a.to_string(), b.to_string(), k, columns[columns.rank() - 2]);
  }
  Product product{.batch = broadcast(leading(rows), leading(columns)),
                  .m = rows[rows.rank() - 2],
                  .n = columns[columns.rank() - 1],
                  .k = k,
                  .a_strides = {},
                  .b_strides = {},
                  .y = {}};
  product.a_strides = batch_strides(leading(rows), product.batch, product.m * k);
  product.b_strides = batch_strides(leading(columns), product.batch, k * product.n);
  product.y = product.batch;
  if (a.rank() > 1) product.y.push_back(product.m);
  if (b.rank() > 1) product.y.push_back(product.n);
  product.y.elements();  // Throws when there are too many.

  // One B for all: A's leading axes are more rows.
  if (leading(columns).elements() == 1) {
    product.m = rows.elements(0, rows.rank() - 1);
    product.batch = {};
    product.a_strides.clear();
    product.b_strides.clear();
  }
  return product;
}

Offsets offsets(const Product& product, std::int64_t i) {
  Offsets at{0, 0};
  for (std::int64_t axis = product.batch.rank() - 1; axis >= 0; --axis) {
    const std::int64_t index = i % product.batch[axis];
    i /= product.batch[axis];
    at.a += index * product.a_strides[static_cast<std::size_t>(axis)];
    at.b += index * product.b_strides[static_cast<std::size_t>(axis)];
  }
  return at;
}

Params parse(const ParseArgs&) { return std::monostate{}; }

/// The matrix product of numpy.matmul: the last two axes are matrices, the axes before them
/// broadcast; a one-dimensional A is a row, a one-dimensional B a column, and their axis is
/// dropped.
///
/// Shapes:   A [batch..., M, K], B [batch..., K, N] -> y [batch..., M, N]. One dtype of f32, f64,
///           i32, i64, u32, u64.
/// Numerics: floats: |y - ref| <= (K + 8) * u * sum |a| |b|, u = 2^-24 (f32). Integers wrap around.
/// Errors:   invalid model: a scalar operand, inner extents that differ, leading axes that do not
///           broadcast; unsupported: dtype.
/// Cost:     2 M N K operations per matrix; bound by arithmetic for large M.
/// Source:   ONNX MatMul-1, -9, -13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& a = args.input(0);
  const TensorType& b = args.input(1);
  require_dtype(a.dtype, gemm::kDTypes, "A");
  if (a.dtype != b.dtype) {
    fail_model("A is of type {} and B of type {}; expected the same", dtype_name(a.dtype),
               dtype_name(b.dtype));
  }
  outputs[0] = {a.dtype, resolve(a.shape, b.shape).y};
}

void reference(const ReferenceArgs& args) {
  visit_dtype(args.inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bool>) multiply<T>(args);
  });
}

}  // namespace prs::ops::matmul
