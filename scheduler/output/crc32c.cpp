#include "output/crc32c.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace prs::output {
namespace {

// table[k][b]: the effect of byte b with k zero bytes behind it (slicing by 8).
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  constexpr std::uint32_t kPolynomial = 0x82F63B78;  // Bits reversed.
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

std::uint64_t load_little_endian(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return std::endian::native == std::endian::little ? word : __builtin_bswap64(word);
}

std::uint32_t run_tables(std::string_view bytes, std::uint32_t seed) {
  std::uint32_t crc = ~seed;
  while (bytes.size() >= 8) {
    const std::uint64_t word = load_little_endian(bytes.data()) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
    bytes.remove_prefix(8);
  }
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t run_sse42(std::string_view bytes,
                                                          std::uint32_t seed) {
  std::uint64_t crc = static_cast<std::uint32_t>(~seed);
  while (bytes.size() >= 8) {
    crc = _mm_crc32_u64(crc, load_little_endian(bytes.data()));
    bytes.remove_prefix(8);
  }
  auto tail = static_cast<std::uint32_t>(crc);
  for (const char byte : bytes) tail = _mm_crc32_u8(tail, static_cast<unsigned char>(byte));
  return ~tail;
}
#endif

std::vector<Crc32cMethod> find_methods() {
  std::vector<Crc32cMethod> methods;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) methods.push_back({"sse4.2", run_sse42});
#endif
  methods.push_back({"tables", run_tables});
  return methods;
}

}  // namespace

std::span<const Crc32cMethod> crc32c_methods() {
  static const std::vector<Crc32cMethod> methods = find_methods();
  return methods;
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) {
  return crc32c_methods().front().run(bytes, seed);
}

}  // namespace prs::output
