// What the tests of operators without arithmetic share: operands of random bits, exact comparison.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu/isa/isa.hpp"
#include "ops/op.hpp"
#include "prs/error.hpp"
#include "support/op_test.hpp"

namespace prs::test {

inline constexpr DType kAllTypes[] = {
    DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16, DType::kBool,
    DType::kInt8,    DType::kInt16,   DType::kInt32,   DType::kInt64,    DType::kUint8,
    DType::kUint16,  DType::kUint32,  DType::kUint64};

using Random = std::mt19937_64;

inline std::int64_t random_int(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

inline DType random_type(Random& random) {
  return kAllTypes[random_int(random, 0, std::size(kAllTypes) - 1)];
}

/// Extents 0 (rarely), 1, odd and prime numbers, up to about `limit` elements.
inline Shape random_shape(Random& random, std::int64_t rank, std::int64_t limit = 5000) {
  constexpr std::int64_t kExtents[] = {1, 2, 3, 5, 7, 8, 13, 31, 33, 64, 67};
  Shape shape;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    std::int64_t extent = kExtents[random_int(random, 0, std::size(kExtents) - 1)];
    if (shape.elements() * extent > limit) extent = 1 + static_cast<std::int64_t>(random() % 2);
    if (random() % 40 == 0) extent = 0;
    shape.push_back(extent);
  }
  return shape;
}

/// Any bits, NaNs included; for bool 0 and 1.
inline Tensor random_bits(DType dtype, const Shape& shape, Random& random) {
  Tensor tensor(dtype, shape);
  auto* bytes = tensor.as<std::uint8_t>();
  for (std::int64_t i = 0; i < tensor.bytes(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(dtype == DType::kBool ? random() & 1 : random());
  }
  return tensor;
}

inline Tensor ints(const std::vector<std::int64_t>& values) {
  return tensor<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}
inline Tensor ints32(const std::vector<std::int32_t>& values) {
  return tensor<std::int32_t>({static_cast<std::int64_t>(values.size())}, values);
}

/// 0, 1, 2, ...
inline Tensor iota(const Shape& shape) {
  Tensor result(DType::kFloat32, shape);
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    result.as<float>()[i] = static_cast<float>(i);
  }
  return result;
}

/// The kernels of all levels give the reference's results, bit by bit.
inline void expect_equal_bits(const OpCase& test) {
  const std::vector<Tensor> want = run_reference(test);
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    const std::vector<Tensor> got = run_cpu(test, isa->name);
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      std::string label = std::string(op_def(test.kind).name) + " [" + std::string(isa->name) + "]";
      for (const Tensor& input : test.inputs) {
        label += " " + std::string(dtype_name(input.dtype())) + input.shape().to_string();
      }
      EXPECT_EQ(
          0, std::memcmp(got[i].data(), want[i].data(), static_cast<std::size_t>(want[i].bytes())))
          << label << " output " << i;
    }
  }
}

/// The reference gives `want`, and the kernels what the reference gives.
inline void expect_result(const OpCase& test, const Tensor& want) {
  const std::vector<Tensor> got = run_reference(test);
  ASSERT_EQ(got.at(0).dtype(), want.dtype());
  expect_close(got[0], want, Tolerance{}, std::string(op_def(test.kind).name));
  expect_parity(test, Tolerance{});
}

/// `body` throws an Error of that code whose message contains `part`.
template <typename Body>
void expect_error(ErrorCode code, const std::string& part, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
    return;
  }
  ADD_FAILURE() << "no error, expected: " << part;
}

inline void expect_infer_error(ErrorCode code, const std::string& part, const OpCase& test) {
  expect_error(code, part, [&] { infer_types(test); });
}

/// The parameters that a node with these attributes has.
inline Params parse(OpKind kind, std::int64_t opset, const Attributes& attributes) {
  return op_def(kind).parse({kind, attributes, opset});
}

/// Attributes from a list: attributes({{"axis", std::int64_t{1}}}).
inline Attributes attributes(const std::vector<std::pair<std::string, Attributes::Value>>& values) {
  Attributes result;
  for (const auto& [name, value] : values) result.set(name, value);
  return result;
}

using Ints = std::vector<std::int64_t>;

}  // namespace prs::test
