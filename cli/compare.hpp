// Comparing a tensor with a reference, as numpy.testing.assert_allclose does for ONNX's own tests.
#pragma once

#include <string>

#include <prs/tensor.hpp>

namespace prs::cli {

struct Tolerance {
  double relative = 1e-3;
  double absolute = 1e-7;
};

struct Comparison {
  bool equal = true;
  bool elements_compared = true;  ///< Not when types or shapes differ; then errors mean nothing.
  double max_abs_error = 0.0;     ///< Infinite where only one side is finite.
  double max_rel_error = 0.0;     ///< Over the elements whose reference is not 0.
  std::string difference;         ///< When not equal: the types, or the worst element.
};

/// Floats: |got - want| <= absolute + relative * |want|; NaN equals NaN, an infinity equals itself.
/// Integers and bools: exactly. Element type and shape must agree.
Comparison compare(const Tensor& got, const Tensor& want, const Tolerance& tolerance);

}  // namespace prs::cli
