// Tensors: element types, shapes, owning buffers and views.
//
// Tensors are dense and row-major. Shape and the views are value types without heap memory; Tensor
// shares its buffer between copies and is safe to read from several threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "prs/export.hpp"

namespace prs {

/// Element types. The numbers are ONNX's TensorProto.DataType, so that they survive in files.
enum class DType : std::int32_t {
  kUndefined = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,  ///< One byte, 0 or 1.
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBFloat16 = 16,
};

/// Bytes per element; 0 for kUndefined.
PRS_API std::int64_t dtype_size(DType dtype) noexcept;

/// A short name: "f32", "u8", "i64", "bool", ...
PRS_API std::string_view dtype_name(DType dtype) noexcept;

/// The extents of a tensor, outermost first. At most kMaxRank dimensions, each >= 0.
class PRS_API Shape {
 public:
  static constexpr std::int64_t kMaxRank = 8;

  Shape() = default;
  /// Throws invalid argument when there are more than kMaxRank extents or one is negative.
  Shape(std::initializer_list<std::int64_t> extents);
  explicit Shape(std::span<const std::int64_t> extents);

  std::int64_t rank() const noexcept { return rank_; }
  std::int64_t operator[](std::int64_t axis) const noexcept {
    return extents_[static_cast<std::size_t>(axis)];
  }
  /// Replaces one extent; the caller keeps axis in [0, rank) and extent >= 0.
  void set(std::int64_t axis, std::int64_t extent) noexcept {
    extents_[static_cast<std::size_t>(axis)] = extent;
  }
  /// Throws unsupported past kMaxRank, invalid argument for a negative extent.
  void push_back(std::int64_t extent);

  /// The number of elements (1 for rank 0). Throws invalid argument when it exceeds 2^62.
  std::int64_t elements() const;
  /// The product of the extents of axes [begin, end). Throws like elements().
  std::int64_t elements(std::int64_t begin, std::int64_t end) const;

  const std::int64_t* begin() const noexcept { return extents_.data(); }
  const std::int64_t* end() const noexcept { return extents_.data() + rank_; }
  std::span<const std::int64_t> extents() const noexcept {
    return {extents_.data(), static_cast<std::size_t>(rank_)};
  }

  bool operator==(const Shape& other) const noexcept;

  /// "[2,3,4]"; "[]" for a scalar.
  std::string to_string() const;

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  std::int64_t rank_ = 0;
};

/// The size of a buffer for that many elements. Throws out of memory when no machine could hold it
/// (2^46 bytes), so that offsets within a buffer of that size cannot overflow.
PRS_API std::int64_t buffer_bytes(DType dtype, const Shape& shape);

/// A view of elements owned elsewhere. `data` may be null only when the shape has no elements.
struct TensorView {
  DType dtype = DType::kUndefined;
  Shape shape;
  const void* data = nullptr;

  template <typename T>
  const T* as() const noexcept {
    return static_cast<const T*>(data);
  }
  std::int64_t bytes() const { return buffer_bytes(dtype, shape); }
};

/// Like TensorView, but writable.
struct MutableTensorView {
  DType dtype = DType::kUndefined;
  Shape shape;
  void* data = nullptr;

  template <typename T>
  T* as() const noexcept {
    return static_cast<T*>(data);
  }
  std::int64_t bytes() const { return buffer_bytes(dtype, shape); }
  operator TensorView() const noexcept { return {dtype, shape, data}; }
};

/// An owning tensor; the buffer is 64-byte aligned. Copies share the buffer.
class PRS_API Tensor {
 public:
  Tensor() = default;
  /// Allocates without initialising. Throws out of memory, or invalid argument for kUndefined.
  Tensor(DType dtype, const Shape& shape);

  /// A tensor in `buffer`: at least as many bytes as its elements have, 64-byte aligned. Throws
  /// invalid argument for kUndefined.
  static Tensor over(DType dtype, const Shape& shape, std::shared_ptr<std::byte[]> buffer);

  /// A copy of `values` as a tensor of `shape`; throws invalid argument when the counts differ.
  template <typename T>
  static Tensor from(DType dtype, const Shape& shape, std::span<const T> values) {
    return copy_of(dtype, shape, values.data(), static_cast<std::int64_t>(values.size_bytes()));
  }
  /// A copy of `size_bytes` bytes at `data`; throws invalid argument when the size does not fit.
  static Tensor copy_of(DType dtype, const Shape& shape, const void* data, std::int64_t size_bytes);

  DType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  std::int64_t elements() const { return shape_.elements(); }
  std::int64_t bytes() const { return buffer_bytes(dtype_, shape_); }
  bool empty() const noexcept { return dtype_ == DType::kUndefined; }

  const void* data() const noexcept { return buffer_.get(); }
  void* data() noexcept { return buffer_.get(); }
  template <typename T>
  const T* as() const noexcept {
    return reinterpret_cast<const T*>(buffer_.get());
  }
  template <typename T>
  T* as() noexcept {
    return reinterpret_cast<T*>(buffer_.get());
  }

  TensorView view() const noexcept { return {dtype_, shape_, buffer_.get()}; }
  MutableTensorView mutable_view() noexcept { return {dtype_, shape_, buffer_.get()}; }

  /// The same buffer under another shape; throws invalid argument when the element counts differ.
  Tensor reshaped(const Shape& shape) const;

 private:
  DType dtype_ = DType::kUndefined;
  Shape shape_;
  std::shared_ptr<std::byte[]> buffer_;
};

/// IEEE binary16 and bfloat16 conversions, round to nearest even; NaN stays NaN.
PRS_API float half_to_float(std::uint16_t half) noexcept;
PRS_API std::uint16_t float_to_half(float value) noexcept;
PRS_API float bfloat16_to_float(std::uint16_t value) noexcept;
PRS_API std::uint16_t float_to_bfloat16(float value) noexcept;

}  // namespace prs
