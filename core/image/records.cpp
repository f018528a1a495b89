#include "image/records.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "image/bytes.hpp"
#include "image/gzip.hpp"

namespace prs::image {
namespace {

/// Fails unless the file holds exactly the elements that its header declares.
void check_size(const RecordHeader& header, std::int64_t available, std::string_view name) {
  const std::int64_t needed = header.data_bytes(name);
  if (available == needed) return;
  fail_argument("{}: {} ({} bytes of elements; {}{} needs {})", name,
                available < needed ? "truncated" : "trailing bytes", available,
                dtype_name(header.dtype), header.shape.to_string(), needed);
}

/// Elements of T as stored, as native T or (f64) as native To.
template <typename T, typename To = T>
void convert_elements(const std::byte* from, bool big_endian, std::span<To> to) {
  for (To& element : to) {
    element = static_cast<To>(big_endian ? load_big<T>(from) : load_little<T>(from));
    from += sizeof(T);
  }
}

Tensor convert(const RecordHeader& header, const std::byte* from) {
  const bool narrows = header.dtype == DType::kFloat64;
  Tensor tensor(narrows ? DType::kFloat32 : header.dtype, header.shape);
  const auto elements = static_cast<std::size_t>(tensor.elements());
  if (narrows) {
    convert_elements<double>(from, header.big_endian, std::span(tensor.as<float>(), elements));
    return tensor;
  }
  switch (dtype_size(header.dtype)) {
    case 1:
      if (elements > 0) std::memcpy(tensor.data(), from, elements);
      break;
    case 2:
      convert_elements<std::uint16_t>(from, header.big_endian,
                                      std::span(tensor.as<std::uint16_t>(), elements));
      break;
    case 4:
      convert_elements<std::uint32_t>(from, header.big_endian,
                                      std::span(tensor.as<std::uint32_t>(), elements));
      break;
    default:
      convert_elements<std::uint64_t>(from, header.big_endian,
                                      std::span(tensor.as<std::uint64_t>(), elements));
  }
  return tensor;
}

/// Whether the stored bytes are the native elements, were they aligned.
bool is_native(const RecordHeader& header) {
  return header.dtype != DType::kFloat64 && (!header.big_endian || dtype_size(header.dtype) == 1);
}

bool is_aligned(const std::byte* data, DType dtype) {
  return reinterpret_cast<std::uintptr_t>(data) % static_cast<std::size_t>(dtype_size(dtype)) == 0;
}

/// Any other value of a bool would be undefined behaviour for whoever reads it as one.
void check_bools(const TensorView& all, std::string_view name) {
  if (all.dtype != DType::kBool) return;
  const std::span values(all.as<std::uint8_t>(), static_cast<std::size_t>(all.bytes()));
  if (std::any_of(values.begin(), values.end(), [](std::uint8_t value) { return value > 1; })) {
    fail_argument("{}: a bool that is neither 0 nor 1", name);
  }
}

Records take_elements(const RecordHeader& header, const std::byte* data, std::string_view name) {
  Records records;
  if (is_native(header) && is_aligned(data, header.dtype)) {
    records.all = {header.dtype, header.shape, data};
  } else {
    records.own = convert(header, data);
    records.all = records.own.view();
  }
  check_bools(records.all, name);
  return records;
}

/// The elements of a compressed IDX file, never inflating past what the header declares.
Records inflate_idx(std::span<const std::byte> file, std::string_view name) {
  GzipReader reader(file, name);
  std::array<std::byte, kMaxIdxHeaderBytes> front;
  const std::span<const std::byte> inflated = std::span(front).first(reader.read(front));
  if (!is_idx(inflated)) {
    fail_argument("{}: gzip holds no IDX file; other formats are read uncompressed", name);
  }
  const RecordHeader header = parse_idx_header(inflated, name);
  const std::int64_t data_bytes = header.data_bytes(name);
  // Deflate shrinks at most 1032-fold; a header that promises more is not worth the memory.
  if (data_bytes / 1032 > static_cast<std::int64_t>(file.size())) {
    fail_argument("{}: truncated ({} compressed bytes cannot hold {}{})", name, file.size(),
                  dtype_name(header.dtype), header.shape.to_string());
  }

  const auto begun = inflated.subspan(static_cast<std::size_t>(header.data_offset));
  Tensor stored(DType::kUint8, {data_bytes});
  const std::span<std::byte> destination(stored.as<std::byte>(),
                                         static_cast<std::size_t>(data_bytes));
  const std::size_t known = std::min(begun.size(), destination.size());
  std::copy_n(begun.begin(), known, destination.begin());
  const std::size_t inflated_bytes = known + reader.read(destination.subspan(known));
  std::array<std::byte, 1> beyond;
  if (begun.size() > known || reader.read(beyond) > 0) {
    fail_argument("{}: the data goes on beyond {}{} that its header declares", name,
                  dtype_name(header.dtype), header.shape.to_string());
  }
  check_size(header, static_cast<std::int64_t>(inflated_bytes), name);

  Records records = take_elements(header, stored.as<std::byte>(), name);
  if (records.own.empty()) records.own = stored;
  return records;
}

}  // namespace

std::int64_t RecordHeader::data_bytes(std::string_view name) const {
  constexpr std::int64_t kMost = std::int64_t{1} << 60;
  std::int64_t bytes = dtype_size(dtype);
  bool empty = false;
  // A few bytes of header would stand for any number of records.
  const auto record = shape.extents().subspan(1);
  if (shape[0] > 0 && std::find(record.begin(), record.end(), 0) != record.end()) {
    fail_argument("{}: {} records without elements ({}{})", name, shape[0], dtype_name(dtype),
                  shape.to_string());
  }
  for (const std::int64_t extent : shape) {
    if (extent == 0) {
      empty = true;  // Yet the other extents must not overflow the size of one record.
      continue;
    }
    if (bytes > kMost / extent) {
      fail_argument("{}: {}{} exceeds 2^60 bytes", name, dtype_name(dtype), shape.to_string());
    }
    bytes *= extent;
  }
  return empty ? 0 : bytes;
}

Records parse_records(std::span<const std::byte> file, std::string_view name) {
  if (file.empty()) fail_argument("{}: empty file", name);
  if (is_gzip(file)) return inflate_idx(file, name);
  const bool npy = is_npy(file);
  if (!npy && !is_idx(file)) {
    fail_argument("{}: neither IDX (optionally gzip-compressed) nor NPY", name);
  }
  const RecordHeader header = npy ? parse_npy_header(file, name) : parse_idx_header(file, name);
  const auto elements = file.subspan(static_cast<std::size_t>(header.data_offset));
  check_size(header, static_cast<std::int64_t>(elements.size()), name);
  return take_elements(header, elements.data(), name);
}

}  // namespace prs::image
