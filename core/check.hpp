// Helpers for raising prs::Error: formatted errors and PRS_CHECK for our own mistakes.
#pragma once

#include <fmt/core.h>

#include <utility>

#include "prs/error.hpp"

namespace prs {

/// Throws Error{code, formatted message}.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void fail_argument(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}
template <typename... Args>
[[noreturn]] void fail_model(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorCode::kInvalidModel, format, std::forward<Args>(args)...);
}
template <typename... Args>
[[noreturn]] void fail_unsupported(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorCode::kUnsupported, format, std::forward<Args>(args)...);
}

}  // namespace prs

/// States what only a mistake of ours can break; unreachable from input. On in release builds too.
#define PRS_CHECK(condition)                                                              \
  do {                                                                                    \
    if (!(condition)) [[unlikely]]                                                        \
      ::prs::fail(::prs::ErrorCode::kInternal, "{}:{}: check failed: {} [this is a bug]", \
                  __FILE__, __LINE__, #condition);                                        \
  } while (false)
