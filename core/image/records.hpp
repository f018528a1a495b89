// The contents of record files: headers of IDX and NPY, and their elements as a native tensor.
// Internal; pure functions over bytes in memory. Failures are invalid argument and begin with
// `name`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "check.hpp"
#include "prs/tensor.hpp"

namespace prs::image {

/// What the header of a record file says.
struct RecordHeader {
  DType dtype = DType::kUndefined;  ///< As stored: u8, i8, bool, i16, i32, i64, f32 or f64.
  bool big_endian = false;
  Shape shape;                   ///< [records, ...], rank 1 to Shape::kMaxRank.
  std::int64_t data_offset = 0;  ///< Bytes before the elements.

  /// The bytes of the elements as stored; refuses what exceeds 2^60, and records without elements.
  std::int64_t data_bytes(std::string_view name) const;
};

/// The longest IDX header of a rank that we take.
inline constexpr std::int64_t kMaxIdxHeaderBytes = 4 + 4 * Shape::kMaxRank;

bool is_idx(std::span<const std::byte> bytes) noexcept;
bool is_npy(std::span<const std::byte> bytes) noexcept;

/// Parse the header at the start of `bytes`, which may hold less than the file.
RecordHeader parse_idx_header(std::span<const std::byte> bytes, std::string_view name);
RecordHeader parse_npy_header(std::span<const std::byte> bytes, std::string_view name);

/// All records of a file.
struct Records {
  TensorView all;  ///< [records, ...], into the file's bytes or into `own`.
  Tensor own;      ///< Empty when the file's bytes serve as they are.
};

/// Reads a whole file: IDX, IDX in gzip, or NPY. The result may point into `file`.
Records parse_records(std::span<const std::byte> file, std::string_view name);

}  // namespace prs::image
