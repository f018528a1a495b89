// CRC-32C (Castagnoli polynomial, RFC 3720 B.4): the checksum of rows on their way from a worker's
// segment to the output file.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace prs::output {

/// The checksum of `bytes`; `seed` is that of what stands before them:
/// crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

struct Crc32cMethod {
  const char* name;
  std::uint32_t (*run)(std::string_view bytes, std::uint32_t seed);
};

/// What this machine can run, the one that crc32c() uses first.
std::span<const Crc32cMethod> crc32c_methods();

}  // namespace prs::output
