// SHA-256 (FIPS 180-4), for telling inputs and settings of runs apart.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

namespace prs::dataset {

class Sha256 {
 public:
  using Digest = std::array<std::uint8_t, 32>;

  void update(std::string_view bytes);
  /// The hash of all bytes so far. The object is used up by it.
  Digest finish();

 private:
  void compress(const std::uint8_t* block);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};  ///< Bytes that make no whole block yet.
  std::uint64_t size_bytes_ = 0;
};

/// 64 hexadecimal digits, lower case.
std::string to_hex(const Sha256::Digest& digest);
std::string sha256_hex(std::string_view bytes);

/// The hash of a regular file's bytes, as hexadecimal digits. Throws io naming the path; cancelled
/// when `stop` is asked for.
std::string sha256_of_file(const std::filesystem::path& path, const std::stop_token& stop = {});

}  // namespace prs::dataset
