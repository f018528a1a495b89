// The vectors of FIPS 180-4's examples and of NIST's SHAVS.
#include <gtest/gtest.h>

#include "dataset/sha256.hpp"
#include "support.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::dataset {
namespace {

TEST(Sha256, GivesTheStandardsExamples) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
                       "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(sha256_hex("\xbd"), "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b");
  // Lengths around the padding's block limit.
  EXPECT_EQ(sha256_hex(std::string(55, '\0')),
            "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
  EXPECT_EQ(sha256_hex(std::string(56, '\0')),
            "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb");
  EXPECT_EQ(sha256_hex(std::string(64, '\0')),
            "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
}

TEST(Sha256, IsTheSameHoweverTheBytesArrive) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i);
  for (std::size_t piece = 1; piece < 140; ++piece) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      hash.update(std::string_view(text).substr(at, piece));
    }
    EXPECT_EQ(to_hex(hash.finish()), sha256_hex(text)) << piece;
  }
}

TEST(Sha256, HashesFiles) {
  const test::TempDir dir;
  const std::string text(1'000'000, 'a');
  EXPECT_EQ(sha256_of_file(test::write_file(dir.path() / "a", text)), sha256_hex(text));
  EXPECT_EQ(sha256_of_file(test::write_file(dir.path() / "empty", "")), sha256_hex(""));
  test::expect_error(ErrorCode::kIo, (dir.path() / "none").string(),
                     [&] { sha256_of_file(dir.path() / "none"); });
  test::expect_error(ErrorCode::kIo, "not a regular file", [&] { sha256_of_file(dir.path()); });
}

}  // namespace
}  // namespace prs::dataset
