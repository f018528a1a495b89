// How the program's own code reports what is wrong: usage errors (exit code 2) and prs::Error.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <utility>

#include <prs/error.hpp>

namespace prs::cli {

/// The command line is wrong; the message says how to put it right.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// An error that ends the program with an exit code of its own.
class ExitError : public Error {
 public:
  ExitError(const Error& error, int exit_code) : Error(error), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

template <typename... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace prs::cli
