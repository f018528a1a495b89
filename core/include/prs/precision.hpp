// In which numbers a model's products are computed.
#pragma once

#include <cstdint>
#include <string_view>

#include "prs/export.hpp"

namespace prs {

/// What Conv, Gemm and MatMul multiply. Sums are f32 (int8: exact i32), and so is everything
/// between layers, but for int8, whose layers hand each other u8. Which of these a device has,
/// Engine::load tells by its error for one that it has not.
enum class Precision : std::int32_t {
  kFp32,  ///< f32: the model as it is.
  kTf32,  ///< f32 rounded to 10 bits of mantissa.
  kBf16,  ///< f32 rounded to 7 bits of mantissa.
  kFp16,  ///< IEEE half: 10 bits of mantissa, at most 65504.
  kInt8,  ///< u8 activations with s8 weights, from a quantised model or calibrated on images.
};

/// "fp32", "tf32", "bf16", "fp16" or "int8".
PRS_API std::string_view precision_name(Precision precision) noexcept;

/// The precision of such a name, in any case. Throws invalid argument naming them all.
PRS_API Precision parse_precision(std::string_view name);

}  // namespace prs
