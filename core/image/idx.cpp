// IDX, the format of MNIST:
//
//   0  0 u8, 0 u8, element type u8, rank u8
//   4  rank extents, u32
//   .. elements, row-major
//
// Everything is big-endian.
#include "image/bytes.hpp"
#include "image/records.hpp"

namespace prs::image {
namespace {

DType idx_dtype(int code, std::string_view name) {
  switch (code) {
    case 0x08:
      return DType::kUint8;
    case 0x09:
      return DType::kInt8;
    case 0x0B:
      return DType::kInt16;
    case 0x0C:
      return DType::kInt32;
    case 0x0D:
      return DType::kFloat32;
    case 0x0E:
      return DType::kFloat64;
    default:
      fail_argument("{}: corrupt IDX (element type 0x{:02x}; expected 0x08, 0x09 or 0x0b to 0x0e)",
                    name, code);
  }
}

}  // namespace

bool is_idx(std::span<const std::byte> bytes) noexcept {
  return starts_with(bytes, std::string_view("\0\0", 2));
}

RecordHeader parse_idx_header(std::span<const std::byte> bytes, std::string_view name) {
  const auto require = [&](std::int64_t size) {
    if (static_cast<std::int64_t>(bytes.size()) < size) {
      fail_argument("{}: truncated IDX header", name);
    }
  };
  require(4);
  RecordHeader header;
  header.dtype = idx_dtype(std::to_integer<int>(bytes[2]), name);
  header.big_endian = true;
  const auto rank = std::to_integer<std::int64_t>(bytes[3]);
  if (rank < 1 || rank > Shape::kMaxRank) {
    fail_argument("{}: rank {}; expected 1 to {}", name, rank, Shape::kMaxRank);
  }
  header.data_offset = 4 + 4 * rank;
  require(header.data_offset);
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    header.shape.push_back(load_big<std::uint32_t>(bytes.data() + 4 + 4 * axis));
  }
  return header;
}

}  // namespace prs::image
