#include "ops/support.hpp"

#include <algorithm>

namespace prs::ops {

std::int64_t normalize_axis(std::int64_t axis, std::int64_t rank) {
  if (axis < -rank || axis >= rank) {
    fail_model("axis {} out of range for rank {}; expected {}..{}", axis, rank, -rank, rank - 1);
  }
  return axis < 0 ? axis + rank : axis;
}

Shape broadcast(const Shape& a, const Shape& b) {
  const std::int64_t rank = std::max(a.rank(), b.rank());
  Shape result;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    const std::int64_t a_axis = axis - (rank - a.rank());
    const std::int64_t b_axis = axis - (rank - b.rank());
    const std::int64_t a_extent = a_axis < 0 ? 1 : a[a_axis];
    const std::int64_t b_extent = b_axis < 0 ? 1 : b[b_axis];
    if (a_extent != b_extent && a_extent != 1 && b_extent != 1) {
      fail_model("shapes {} and {} do not broadcast", a.to_string(), b.to_string());
    }
    result.push_back(a_extent == 1 ? b_extent : a_extent);
  }
  return result;
}

std::vector<std::int64_t> row_major_strides(const Shape& shape) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(shape.rank()));
  const bool empty = shape.elements() == 0;
  std::int64_t stride = 1;
  for (std::int64_t axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = stride;
    // An empty tensor has no element to reach; its other extents may multiply past 64 bits.
    stride = empty ? 0 : stride * shape[axis];
  }
  return strides;
}

std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& target) {
  const std::vector<std::int64_t> own = row_major_strides(shape);
  std::vector<std::int64_t> strides(static_cast<std::size_t>(target.rank()), 0);
  const std::int64_t offset = target.rank() - shape.rank();
  for (std::int64_t axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != 1) {
      strides[static_cast<std::size_t>(axis + offset)] = own[static_cast<std::size_t>(axis)];
    }
  }
  return strides;
}

std::vector<std::int64_t> to_ints(const TensorView& tensor, std::string_view what) {
  if (tensor.shape.rank() > 1) {
    fail_model("{} must be one-dimensional, not {}", what, tensor.shape.to_string());
  }
  const std::int64_t count = tensor.shape.elements();
  if (tensor.dtype == DType::kInt64) {
    return {tensor.as<std::int64_t>(), tensor.as<std::int64_t>() + count};
  }
  if (tensor.dtype == DType::kInt32) {
    return {tensor.as<std::int32_t>(), tensor.as<std::int32_t>() + count};
  }
  fail_model("{} must be i64 or i32, not {}", what, dtype_name(tensor.dtype));
}

std::vector<std::int64_t> to_ints(const Tensor& tensor, std::string_view what) {
  return to_ints(tensor.view(), what);
}

void require_dtype(DType dtype, std::span<const DType> allowed, std::string_view what) {
  if (std::find(allowed.begin(), allowed.end(), dtype) == allowed.end()) {
    fail_unsupported("{} of type {}", what, dtype_name(dtype));
  }
}

}  // namespace prs::ops
