// Activations as the references of all operators that fuse one compute them.
#pragma once

#include <cmath>

#include "ops/params.hpp"

namespace prs::ops {

/// 1 / (1 + exp(-x)) without overflow; NaN stays NaN.
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x < 0 ? e : 1.0) / (1.0 + e);
}

/// The activation of x; NaN stays NaN.
inline double activate(const Activation& activation, double x) {
  switch (activation.kind) {
    case Activation::Kind::kNone:
      return x;
    case Activation::Kind::kRelu:
      return x < 0 ? 0.0 : x;
    case Activation::Kind::kLeakyRelu:
      return x < 0 ? static_cast<double>(activation.alpha) * x : x;
    case Activation::Kind::kClip: {
      const double raised = x < activation.alpha ? static_cast<double>(activation.alpha) : x;
      return raised > activation.beta ? static_cast<double>(activation.beta) : raised;
    }
    case Activation::Kind::kSigmoid:
      return sigmoid(x);
    case Activation::Kind::kTanh:
      return std::tanh(x);
  }
  return x;
}

}  // namespace prs::ops
