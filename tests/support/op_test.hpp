// Runs one operator call through the reference and through the CPU backend's kernels on every
// instruction-set level of this machine, and compares.
#pragma once

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "ops/op.hpp"
#include "prs/error.hpp"

namespace prs::test {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
/// Half a unit in the last place of a float in [1, 2).
inline constexpr double kUnit = 0x1p-24;

/// One operator call with its operands. An absent optional input is an empty Tensor.
struct OpCase {
  OpKind kind;
  Params params;
  std::vector<Tensor> inputs;
  std::size_t output_count = 1;
  /// Inputs whose contents the compiler knows; the table's value inputs always count as known.
  std::vector<std::size_t> constant_inputs = {};
  Precision precision = Precision::kFp32;  ///< Of the CPU kernel.
};

/// |got - want| <= atol + rtol * |want| element by element; both 0 demands equality.
struct Tolerance {
  double rtol = 0.0;
  double atol = 0.0;
};

/// The output types by the operator's shape rule.
std::vector<TensorType> infer_types(const OpCase& test);

/// Expects the shape rule to throw an Error of that code whose message holds `text`.
void expect_refused(const OpCase& test, ErrorCode code, const std::string& text);

/// The parameters that the operator's parse function makes of the attributes.
Params parse(OpKind kind, std::int64_t opset, const Attributes& attributes);

/// The reference's results.
std::vector<Tensor> run_reference(const OpCase& test);

/// The reference's first result.
inline Tensor run_one(const OpCase& test) { return run_reference(test).at(0); }

/// Plans and runs the CPU kernel of the named level ("portable", "avx2", ...). Output buffers
/// and scratch are filled with NaN patterns first; runs twice, once shared by threads, and demands
/// equal bytes.
std::vector<Tensor> run_cpu(const OpCase& test, std::string_view isa);

/// Compares the CPU kernels of all levels with the reference, as a GoogleTest expectation: reports
/// the worst element with its index and both values. NaN equals NaN only.
void expect_parity(const OpCase& test, Tolerance tolerance);

/// The same with output 0 in input 0's buffer, by plans of `make_plan`, which must allow that.
void expect_in_place_parity(const OpCase& test, Tolerance tolerance,
                            cpu::Plan (*make_plan)(const cpu::Call&, const cpu::Isa&));

/// The same for two tensors.
void expect_close(const Tensor& got, const Tensor& want, Tolerance tolerance,
                  const std::string& label);

/// Uniform values in [low, high) (integers: rounded down; bool: odd or even).
Tensor random_tensor(DType dtype, const Shape& shape, std::mt19937_64& random, double low = -1.0,
                     double high = 1.0);

/// A tensor from literal values: tensor<float>({2, 2}, {1, 2, 3, 4}).
template <typename T>
Tensor tensor(const Shape& shape, const std::vector<T>& values);

/// The elements in memory order.
template <typename T = float>
std::vector<T> to_vector(const Tensor& tensor) {
  return {tensor.as<T>(), tensor.as<T>() + tensor.elements()};
}

/// `count` values: first, first + 1, ...
inline std::vector<float> count_up(std::int64_t count, float first) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(first + static_cast<float>(i));
  return values;
}

}  // namespace prs::test
