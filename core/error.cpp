#include "prs/error.hpp"

namespace prs {

Error::~Error() = default;

RetryClass retry_class(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidModel:
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
      return RetryClass::kNever;
    case ErrorCode::kUnsupported:
      return RetryClass::kOtherBackend;
    case ErrorCode::kOutOfMemory:
      return RetryClass::kSmallerBatch;
    case ErrorCode::kUnavailable:
      return RetryClass::kLater;
    case ErrorCode::kDeviceLost:
      return RetryClass::kNewProcess;
    case ErrorCode::kIo:
    case ErrorCode::kTimeout:
      return RetryClass::kAgain;
  }
  return RetryClass::kNever;
}

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kInvalidModel:
      return "invalid model";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kOutOfMemory:
      return "out of memory";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kDeviceLost:
      return "device lost";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "unknown";
}

}  // namespace prs
