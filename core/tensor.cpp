#include "prs/tensor.hpp"

#include <bit>
#include <cstdlib>
#include <cstring>

#include "check.hpp"

namespace prs {

std::int64_t dtype_size(DType dtype) noexcept {
  switch (dtype) {
    case DType::kUint8:
    case DType::kInt8:
    case DType::kBool:
      return 1;
    case DType::kUint16:
    case DType::kInt16:
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kFloat32:
    case DType::kInt32:
    case DType::kUint32:
      return 4;
    case DType::kFloat64:
    case DType::kInt64:
    case DType::kUint64:
      return 8;
    case DType::kUndefined:
      return 0;
  }
  return 0;
}

std::string_view dtype_name(DType dtype) noexcept {
  switch (dtype) {
    case DType::kUndefined:
      return "undefined";
    case DType::kFloat32:
      return "f32";
    case DType::kUint8:
      return "u8";
    case DType::kInt8:
      return "i8";
    case DType::kUint16:
      return "u16";
    case DType::kInt16:
      return "i16";
    case DType::kInt32:
      return "i32";
    case DType::kInt64:
      return "i64";
    case DType::kBool:
      return "bool";
    case DType::kFloat16:
      return "f16";
    case DType::kFloat64:
      return "f64";
    case DType::kUint32:
      return "u32";
    case DType::kUint64:
      return "u64";
    case DType::kBFloat16:
      return "bf16";
  }
  return "unknown";
}

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  for (std::int64_t extent : extents) push_back(extent);
}

Shape::Shape(std::span<const std::int64_t> extents) {
  for (std::int64_t extent : extents) push_back(extent);
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == kMaxRank) fail_unsupported("a tensor of more than {} dimensions", kMaxRank);
  if (extent < 0) fail_argument("dimension {} of a shape is negative: {}", rank_, extent);
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::int64_t Shape::elements() const { return elements(0, rank_); }

std::int64_t Shape::elements(std::int64_t begin, std::int64_t end) const {
  constexpr std::int64_t kLimit = std::int64_t{1} << 62;
  for (std::int64_t axis = begin; axis < end; ++axis) {
    if ((*this)[axis] == 0) return 0;
  }
  std::int64_t product = 1;
  for (std::int64_t axis = begin; axis < end; ++axis) {
    if ((*this)[axis] > kLimit / product) {
      fail_argument("shape {} has more than 2^62 elements", to_string());
    }
    product *= (*this)[axis];
  }
  return product;
}

bool Shape::operator==(const Shape& other) const noexcept {
  if (rank_ != other.rank_) return false;
  for (std::int64_t axis = 0; axis < rank_; ++axis) {
    if ((*this)[axis] != other[axis]) return false;
  }
  return true;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (std::int64_t axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ',';
    text += std::to_string((*this)[axis]);
  }
  return text + "]";
}

std::int64_t buffer_bytes(DType dtype, const Shape& shape) {
  constexpr std::int64_t kLimitBytes = std::int64_t{1} << 46;
  const std::int64_t elements = shape.elements();
  const std::int64_t size = dtype_size(dtype);
  if (size > 0 && elements > kLimitBytes / size) {
    fail(ErrorCode::kOutOfMemory, "a tensor {}{} does not fit into memory", dtype_name(dtype),
         shape.to_string());
  }
  return elements * size;
}

Tensor::Tensor(DType dtype, const Shape& shape) : dtype_(dtype), shape_(shape) {
  if (dtype == DType::kUndefined) fail_argument("a tensor needs an element type");
  constexpr std::int64_t kAlignment = 64;
  const std::int64_t size_bytes = buffer_bytes(dtype, shape);
  const std::int64_t rounded = (size_bytes / kAlignment + 1) * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, static_cast<std::size_t>(rounded));
  if (memory == nullptr) {
    fail(ErrorCode::kOutOfMemory, "cannot allocate {} bytes for a tensor {}{}", size_bytes,
         dtype_name(dtype), shape.to_string());
  }
  buffer_ = std::shared_ptr<std::byte[]>(static_cast<std::byte*>(memory),
                                         [](std::byte* pointer) { std::free(pointer); });
}

Tensor Tensor::over(DType dtype, const Shape& shape, std::shared_ptr<std::byte[]> buffer) {
  if (dtype == DType::kUndefined) fail_argument("a tensor needs an element type");
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  tensor.buffer_ = std::move(buffer);
  return tensor;
}

Tensor Tensor::copy_of(DType dtype, const Shape& shape, const void* data, std::int64_t size_bytes) {
  Tensor tensor(dtype, shape);
  if (tensor.bytes() != size_bytes) {
    fail_argument("{} bytes of data for a tensor {}{} of {} bytes", size_bytes, dtype_name(dtype),
                  shape.to_string(), tensor.bytes());
  }
  if (size_bytes > 0) std::memcpy(tensor.data(), data, static_cast<std::size_t>(size_bytes));
  return tensor;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  if (shape.elements() != elements()) {
    fail_argument("cannot view {} as {}: the element counts differ", shape_.to_string(),
                  shape.to_string());
  }
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu;
  const std::uint32_t mantissa = half & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  }
  // Subnormal halves are mantissa * 2^-24, exact in float.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

std::uint16_t float_to_half(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint16_t sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u);
  // 65520 and above round to infinity.
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {
    // Below the smallest normal half: adding 0.5 lets the float adder round to multiples of 2^-24.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000u));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

float bfloat16_to_float(std::uint16_t value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

std::uint16_t float_to_bfloat16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  const std::uint32_t odd = (bits >> 16) & 1u;
  return static_cast<std::uint16_t>((bits + 0x7FFFu + odd) >> 16);
}

}  // namespace prs
