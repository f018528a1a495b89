// Why a value is not taken. Thrown inside this room only: build() catches it, adds where the value
// stands, and goes on to the next setting.
#pragma once

#include <string>

#include "prs/error.hpp"

namespace prs::config {

struct Refusal {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string text;
};

/// "'0' is not allowed; allowed: ..."
[[noreturn]] void refuse_value(const std::string& value, const std::string& allowed);

[[noreturn]] inline void refuse(std::string text) {
  throw Refusal{ErrorCode::kInvalidArgument, std::move(text)};
}

[[noreturn]] inline void refuse_unsupported(std::string text) {
  throw Refusal{ErrorCode::kUnsupported, std::move(text)};
}

}  // namespace prs::config
