// SHA-256 (FIPS 180-4), for the identity of models, settings and inputs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace prs::dataset {

class Sha256 {
 public:
  void update(std::string_view bytes);
  /// The digest in hexadecimal digits; the object is used up.
  std::string hex();

 private:
  void compress(const unsigned char* block);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t bytes_ = 0;
};

std::string sha256_hex(std::string_view bytes);
/// Throws io naming the file.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace prs::dataset
