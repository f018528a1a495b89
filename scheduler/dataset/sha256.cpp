#include "dataset/sha256.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include <prs/error.hpp>

#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

constexpr std::size_t kBlockBytes = 64;
constexpr std::size_t kReadBytes = std::size_t{1} << 18;

/// FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of 64 primes.
constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t load_big_endian(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

}  // namespace

void Sha256::compress(const std::uint8_t* block) {
  std::array<std::uint32_t, 64> w;
  for (std::size_t t = 0; t < 16; ++t) w[t] = load_big_endian(block + 4 * t);
  for (std::size_t t = 16; t < 64; ++t) {
    const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (std::size_t t = 0; t < 64; ++t) {
    const std::uint32_t sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t choice = (e & f) ^ (~e & g);
    const std::uint32_t t1 = h + sum1 + choice + kRound[t] + w[t];
    const std::uint32_t sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + sum0 + majority;
  }
  const std::array<std::uint32_t, 8> result = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state_[i] += result[i];
}

void Sha256::update(std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  std::size_t size = bytes.size();
  const std::size_t held = size_bytes_ % kBlockBytes;
  size_bytes_ += size;
  if (held > 0) {
    const std::size_t taken = std::min(size, kBlockBytes - held);
    std::copy_n(data, taken, block_.data() + held);
    data += taken;
    size -= taken;
    if (held + taken < kBlockBytes) return;
    compress(block_.data());
  }
  for (; size >= kBlockBytes; data += kBlockBytes, size -= kBlockBytes) compress(data);
  std::copy_n(data, size, block_.data());
}

Sha256::Digest Sha256::finish() {
  const std::uint64_t size_bits = size_bytes_ * 8;
  // A one bit, zeros up to 8 bytes before the end of a block, the length.
  std::array<char, kBlockBytes + 8> padding{};
  padding[0] = '\x80';
  const std::size_t zeros_end = (2 * kBlockBytes - 8 - size_bytes_ % kBlockBytes) % kBlockBytes;
  const std::size_t before_length = zeros_end == 0 ? kBlockBytes : zeros_end;
  for (std::size_t i = 0; i < 8; ++i) {
    padding[before_length + i] = static_cast<char>(size_bits >> (56 - 8 * i));
  }
  update({padding.data(), before_length + 8});
  Digest digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

std::string to_hex(const Sha256::Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return to_hex(hash.finish());
}

std::string sha256_of_file(const std::filesystem::path& path, const std::stop_token& stop) {
  // O_NONBLOCK: opening a FIFO without a writer would wait for one.
  const output::Descriptor file = output::open_file(path, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) output::fail_io(path, "inspect the file", errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kIo, fmt::format("{}: not a regular file", path.string()));
  }
  Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    if (stop.stop_requested()) {
      throw Error(ErrorCode::kCancelled, fmt::format("stopped while reading {}", path.string()));
    }
    const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
    if (count == 0) return to_hex(hash.finish());
    if (count > 0) {
      hash.update({buffer.data(), static_cast<std::size_t>(count)});
    } else if (errno != EINTR) {
      output::fail_io(path, "read", errno);
    }
  }
}

}  // namespace prs::dataset
