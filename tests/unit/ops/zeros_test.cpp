// What products leave out because it meets zeros only (cpu/isa/zeros.hpp). Their truth are the same
// kernels without: a bias that is known only when they run keeps them from leaving anything out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "cpu/isa/gemm.hpp"
#include "unit/ops/linear_test.hpp"

namespace prs::test {
namespace {

/// Pixels [m, k], `pixel(row, column)` each.
Tensor pixels(std::int64_t m, std::int64_t k,
              const std::function<std::uint8_t(std::int64_t, std::int64_t)>& pixel) {
  Tensor image(DType::kUint8, Shape{m, k});
  for (std::int64_t i = 0; i < m * k; ++i) image.as<std::uint8_t>()[i] = pixel(i / k, i % k);
  return image;
}

/// Images that are black but for a stretch of their own, those without one, with one pixel and with
/// no black one among them.
Tensor mostly_black(std::int64_t m, std::int64_t k, std::mt19937_64& random) {
  std::vector<std::pair<std::int64_t, std::int64_t>> stretches;
  for (std::int64_t row = 0; row < m; ++row) {
    const auto at = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(k));
    const std::pair<std::int64_t, std::int64_t> kinds[] = {
        {0, 0}, {0, 1}, {k - 1, k}, {at, at + 1}, {0, k}, {at / 2, at}, {at, k}, {at / 3, at / 2}};
    stretches.push_back(kinds[random() % 8]);
  }
  return pixels(m, k, [&](std::int64_t row, std::int64_t column) {
    const auto [first, end] = stretches[static_cast<std::size_t>(row)];
    return column >= first && column < end ? static_cast<std::uint8_t>(1 + random() % 255) : 0;
  });
}

OpCase gemm(Tensor a, std::int64_t n, std::mt19937_64& random) {
  const std::int64_t k = a.shape()[1];
  return {OpKind::kGemm,
          GemmParams{},
          {std::move(a), random_tensor(DType::kFloat32, {k, n}, random),
           random_tensor(DType::kFloat32, {n}, random)}};
}

/// The same bits with zeros left out and without, in fp32 and bf16.
void expect_same_bits(OpCase test, const std::string& label) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    test.precision = precision;
    for (const cpu::Isa* isa : cpu::supported_isas()) {
      test.constant_inputs = {1};
      const Tensor all = run_cpu(test, isa->name)[0];
      test.constant_inputs = {1, 2};
      const Tensor without = run_cpu(test, isa->name)[0];
      EXPECT_EQ(0, std::memcmp(all.data(), without.data(), static_cast<std::size_t>(all.bytes())))
          << label << " " << precision_name(precision) << " " << isa->name;
    }
  }
}

TEST(Zeros, LeftOutChangeNoBit) {
  std::uint64_t seed = 0;
  for (const std::int64_t m : {1, 2, 8, 9, 23, 64, 65, 131}) {
    for (const std::int64_t n : {1, 16, 50, 256}) {
      for (const std::int64_t k : {1, 63, 64, 65, 784, 1025}) {
        std::mt19937_64 random(++seed);
        expect_same_bits(gemm(mostly_black(m, k, random), n, random),
                         fmt::format("m {} n {} k {}", m, n, k));
      }
    }
  }
}

TEST(Zeros, BlackImagesGiveTheBias) {
  std::mt19937_64 random(1);
  for (const std::int64_t m : {1, 70}) {
    const OpCase test = gemm(pixels(m, 100, [](auto, auto) { return 0; }), 50, random);
    expect_same_bits(test, "black");
    for (const cpu::Isa* isa : cpu::supported_isas()) {
      OpCase known = test;
      known.constant_inputs = {1, 2};
      const Tensor y = run_cpu(known, isa->name)[0];
      for (std::int64_t i = 0; i < y.elements(); ++i) {
        ASSERT_EQ(y.as<float>()[i], test.inputs[2].as<float>()[i % 50]);
      }
    }
  }
}

TEST(Zeros, MeetInfiniteWeightsAsNaN) {
  std::mt19937_64 random(2);
  for (const std::int64_t m : {1, 20}) {
    OpCase test = gemm(pixels(m, 100, [](auto, auto c) { return c == 3 ? 1 : 0; }), 20, random);
    float* b = test.inputs[1].as<float>();
    b[3 * 20 + 1] = kInf;
    b[4 * 20 + 2] = -kInf;  // Meets zeros.
    b[5 * 20 + 3] = kNaN;
    // Beyond the largest bf16.
    b[6 * 20 + 4] = std::numeric_limits<float>::max();
    expect_same_bits(test, "infinite");
    test.constant_inputs = {1, 2};
    expect_parity(test, {.atol = 110 * kUlp32});
  }
}

TEST(Zeros, KeepTheSignOfZeroAndDenormalBiases) {
  std::mt19937_64 random(3);
  const std::vector<float> begins = {-0.0F, 0.0F, std::numeric_limits<float>::denorm_min(), -1e-40F,
                                     1.0F};
  for (std::size_t i = 0; i < begins.size(); ++i) {
    OpCase test = gemm(mostly_black(20, 100, random), 10, random);
    std::fill_n(test.inputs[2].as<float>(), 10, begins[i]);
    expect_same_bits(test, fmt::format("bias {}", begins[i]));
  }
}

TEST(Zeros, OfOneRowOfFloatsAreLeftOut) {
  std::mt19937_64 random(4);
  for (const std::int64_t k : {1, 300, 5000}) {
    OpCase test = gemm(random_tensor(DType::kFloat32, {1, k}, random), 130, random);
    float* a = test.inputs[0].as<float>();
    for (std::int64_t i = 0; i < k; ++i) {
      if (random() % 3 != 0) a[i] = random() % 2 == 0 ? 0.0F : -0.0F;
    }
    expect_same_bits(test, fmt::format("k {}", k));
    a[k - 1] = kNaN;
    expect_same_bits(test, "NaN");
  }
}

TEST(Zeros, LeftOutOfBytesChangeNoBit) {
  std::mt19937_64 random(5);
  for (const DType type : {DType::kUint8, DType::kInt8}) {
    for (const std::int64_t k : {1, 5, 784}) {
      for (const std::int64_t n : {1, 17, 256}) {
        Tensor x = mostly_black(1, k, random);
        // What is 0 to the kernels is -128 of an i8.
        if (type == DType::kInt8) {
          Tensor flipped(type, x.shape());
          for (std::int64_t i = 0; i < k; ++i) {
            flipped.as<std::int8_t>()[i] = static_cast<std::int8_t>(x.as<std::uint8_t>()[i] - 128);
          }
          x = flipped;
        }
        Requantization out{.to = DType::kFloat32, .low = -kInf, .high = kInf};
        out.x_zero_point = 7;
        expect_parity({OpKind::kQuantizedGemm,
                       QuantizedGemmParams{false, out},
                       {x, random_tensor(DType::kInt8, {k, n}, random, -128, 128),
                        random_tensor(DType::kFloat32, {n}, random),
                        random_tensor(DType::kFloat32, {n}, random)},
                       1,
                       {1}},
                      {});
      }
    }
  }
}

/// y = A B of pixels by one level's kernel, which is told to leave out zeros whatever B holds.
std::vector<float> multiply_leaving_out(const cpu::GemmKernels& kernels, const Tensor& a,
                                        const Tensor& b) {
  cpu::GemmTask task;
  task.m = a.shape()[0];
  task.k = task.a_row_stride = a.shape()[1];
  task.n = task.b_row_stride = b.shape()[1];
  task.a_is_u8 = task.b_is_packed = task.skips_zeros = true;
  Tensor packed(DType::kFloat32, Shape{kernels.packed_size(task.n, task.k)});
  kernels.pack(task, b.as<float>(), packed.as<float>());
  const Tensor scratch(DType::kFloat32, Shape{kernels.gemm_scratch(task)});
  std::vector<float> y(static_cast<std::size_t>(task.m * task.n));
  kernels.gemm(task, {.a = a.data(),
                      .b = packed.as<float>(),
                      .bias = nullptr,
                      .y = y.data(),
                      .scratch = const_cast<float*>(scratch.as<float>())});
  return y;
}

/// NaN in a row of B shows in each row of y whose tile meets it.
TEST(Zeros, RowsOfBThatMeetOnlyZerosAreNotRead) {
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    // Images of two kinds in turn: bright in the first half, or in the second.
    const std::int64_t k = 200;
    const Tensor a = pixels(48, k, [&](std::int64_t row, std::int64_t column) {
      return (column < k / 2) == (row % 2 == 0) ? 1 : 0;
    });
    Tensor b = tensor<float>({k, 40}, std::vector<float>(k * 40, 1.0F));
    std::fill_n(b.as<float>() + 77 * 40, 40, kNaN);
    const std::vector<float> y = multiply_leaving_out(isa->gemm, a, b);
    for (std::int64_t i = 0; i < 48 * 40; ++i) {
      const bool meets = i / 40 % 2 == 0;
      ASSERT_EQ(std::isnan(y[static_cast<std::size_t>(i)]), meets) << isa->name << " " << i;
    }
    Tensor first(DType::kUint8, Shape{1, k});
    std::copy_n(a.as<std::uint8_t>() + k, k, first.as<std::uint8_t>());
    for (const float sum : multiply_leaving_out(isa->gemm, first, b)) {
      ASSERT_EQ(sum, static_cast<float>(k / 2)) << isa->name;
    }
  }
}

}  // namespace
}  // namespace prs::test
