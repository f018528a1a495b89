// Writes a float model as a quantised one: QuantizeLinear and DequantizeLinear around Conv, Gemm
// and MatMul, as ONNX Runtime reads them too.
//
// Weights become i8, symmetric, with a scale for each output channel; activations u8 with one scale
// a tensor; biases i32 with the product of both scales. Source of the format: ONNX's QDQ
// representation; of the method: Krishnamoorthi, "Quantizing deep convolutional networks for
// efficient inference", 2018.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace prs::onnx {

/// Between which values a tensor's elements lie.
struct Range {
  float low = 0.0F;
  float high = 0.0F;
  /// The steps that the elements come in, when they do: pixels. 0: any.
  float step = 0.0F;
};

/// A model's file, to be quantised.
class FloatModel {
 public:
  /// Throws invalid model, unsupported (external data, opsets below 10), invalid argument when
  /// there is nothing to quantise: no Conv, Gemm or MatMul with constant f32 weights, or all is
  /// done already.
  FloatModel(std::span<const char> bytes, std::string source);
  ~FloatModel();
  FloatModel(const FloatModel&) = delete;
  FloatModel& operator=(const FloatModel&) = delete;

  /// The inputs of the layers that are quantised: their ranges are to be found out.
  const std::vector<std::string>& activations() const noexcept { return activations_; }

  /// The quantised model's bytes. Layers whose activation has no range stay float; throws invalid
  /// argument when that are all.
  std::string quantize(const std::map<std::string, Range>& ranges);

 private:
  struct Impl;
  std::string source_;
  std::vector<std::string> activations_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace prs::onnx
