#include "output/crc32c.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace prs::output {
namespace {

/// The definition: bit by bit.
std::uint32_t reference(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

std::string counting(int first, int step) {
  std::string bytes;
  for (int i = 0; i < 32; ++i) bytes += static_cast<char>(first + i * step);
  return bytes;
}

TEST(Crc32c, EveryMethodGivesThePublishedValues) {
  for (const Crc32cMethod& method : crc32c_methods()) {
    SCOPED_TRACE(method.name);
    EXPECT_EQ(method.run("", 0), 0U);
    EXPECT_EQ(method.run("123456789", 0), 0xE3069283U);  // The catalogue's check value.
    // RFC 3720, B.4.
    EXPECT_EQ(method.run(std::string(32, '\0'), 0), 0x8A9136AAU);
    EXPECT_EQ(method.run(std::string(32, '\xFF'), 0), 0x62A8AB43U);
    EXPECT_EQ(method.run(counting(0, 1), 0), 0x46DD794EU);
    EXPECT_EQ(method.run(counting(31, -1), 0), 0x113FDB5CU);
  }
}

TEST(Crc32c, EveryMethodEqualsTheDefinitionAtAnyLengthAndAlignment) {
  std::mt19937_64 random(1);
  std::string bytes(300, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (const Crc32cMethod& method : crc32c_methods()) {
    SCOPED_TRACE(method.name);
    for (std::size_t begin = 0; begin < 9; ++begin) {
      for (std::size_t size = 0; size < 70; ++size) {
        const std::string_view piece = std::string_view(bytes).substr(begin, size);
        ASSERT_EQ(method.run(piece, 0), reference(piece)) << begin << " + " << size;
      }
    }
    EXPECT_EQ(method.run(bytes, 0), reference(bytes));
  }
}

TEST(Crc32c, ContinuesFromASeed) {
  const std::string text = "rows of mini-batch 17\n";
  for (const Crc32cMethod& method : crc32c_methods()) {
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      EXPECT_EQ(method.run(text.substr(cut), method.run(text.substr(0, cut), 0)), crc32c(text));
    }
  }
}

TEST(Crc32c, TheTablesAreAlwaysThere) { EXPECT_STREQ(crc32c_methods().back().name, "tables"); }

}  // namespace
}  // namespace prs::output
