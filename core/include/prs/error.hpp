// The one exception type of prs-gpu and its small, stable set of codes.
//
// A code says whose fault it is and, through retry_class(), what a caller may sensibly do next.
// The message is for people: what failed, which file, node or argument, the limits, and the fix.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "prs/export.hpp"

namespace prs {

/// What went wrong. Values are stable: they may be stored and sent between processes.
enum class ErrorCode {
  kInvalidArgument = 1,  ///< The caller's argument, flag or input file is wrong.
  kInvalidModel = 2,     ///< The model file breaks ONNX's rules or is damaged.
  kUnsupported = 3,      ///< Correct, but this build or backend cannot do it.
  kOutOfMemory = 4,      ///< Memory of the host or the device does not suffice.
  kUnavailable = 5,      ///< A resource (a device, say) cannot be had at the moment.
  kDeviceLost = 6,       ///< The device failed for good in this process.
  kIo = 7,               ///< Reading or writing failed.
  kTimeout = 8,          ///< A deadline passed.
  kCancelled = 9,        ///< The user asked to stop.
  kInternal = 10,        ///< A mistake of ours.
};

/// What may help after an error of a given code.
enum class RetryClass { kNever, kOtherBackend, kSmallerBatch, kLater, kNewProcess, kAgain };

/// The retry class of `code`. One table for the whole project: callers branch on this, never on
/// text.
PRS_API RetryClass retry_class(ErrorCode code) noexcept;

/// A short stable name, such as "invalid argument".
PRS_API std::string_view error_code_name(ErrorCode code) noexcept;

/// The exception that every function of the library throws. Immutable; copying may allocate.
class PRS_API Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}
  ~Error() override;

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_;
};

}  // namespace prs
