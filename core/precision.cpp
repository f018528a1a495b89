#include "prs/precision.hpp"

#include <algorithm>
#include <array>

#include "check.hpp"
#include "image/text.hpp"

namespace prs {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"fp32", "tf32", "bf16", "fp16", "int8"};

}  // namespace

std::string_view precision_name(Precision precision) noexcept {
  return kNames[static_cast<std::size_t>(precision)];
}

Precision parse_precision(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), image::lower_case(name));
  if (found == kNames.end()) {
    fail_argument("unknown precision '{}'; expected fp32, tf32, bf16, fp16 or int8", name);
  }
  return static_cast<Precision>(found - kNames.begin());
}

}  // namespace prs
