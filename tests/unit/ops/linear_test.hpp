// What the tests of Conv, the pools, Gemm and MatMul share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cpu/isa/isa.hpp"
#include "prs/error.hpp"
#include "support/op_test.hpp"

// Cases name the parameters that they are about; the others keep their defaults.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace prs::test {

inline constexpr double kUlp32 = 0x1p-24;
inline constexpr double kUlp64 = 0x1p-53;

/// Expects `call` to throw prs::Error with this code and this text in the message.
template <typename Call>
void expect_error(ErrorCode code, const std::string& text, Call&& call) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one with '" << text << "'";
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

inline Tensor magnitudes(const Tensor& tensor) {
  if (tensor.empty() || tensor.dtype() == DType::kUint8) return tensor;
  Tensor result(tensor.dtype(), tensor.shape());
  for (std::int64_t i = 0; i < tensor.elements(); ++i) {
    if (tensor.dtype() == DType::kFloat64) {
      result.as<double>()[i] = std::abs(tensor.as<double>()[i]);
    } else {
      result.as<float>()[i] = std::abs(tensor.as<float>()[i]);
    }
  }
  return result;
}

/// The error bound of a sum of k products in any order, (k + 8) * u * sum |a| |b|: the reference of
/// the magnitudes gives the sum, its largest element the bound. `test` must have no activation.
inline double product_bound(OpCase test, std::int64_t k) {
  for (Tensor& input : test.inputs) input = magnitudes(input);
  const Tensor sums = run_reference(test)[0];
  const bool wide = sums.dtype() == DType::kFloat64;
  double largest = 0.0;
  for (std::int64_t i = 0; i < sums.elements(); ++i) {
    largest = std::max(largest, wide ? sums.as<double>()[i] : double{sums.as<float>()[i]});
  }
  return static_cast<double>(k + 8) * (wide ? kUlp64 : kUlp32) * largest;
}

inline Params parse(OpKind kind, const Attributes& attributes, std::int64_t opset) {
  return op_def(kind).parse({kind, attributes, opset});
}

/// All activations that fusion may set; slopes and slants of at most 1, so that none of them makes
/// an error larger.
inline std::vector<Activation> activations() {
  using Kind = Activation::Kind;
  return {{Kind::kRelu, 0, 0},
          {Kind::kLeakyRelu, 0.125F, 0},
          {Kind::kClip, -0.25F, 0.5F},
          {Kind::kSigmoid, 0, 0},
          {Kind::kTanh, 0, 0}};
}

}  // namespace prs::test
