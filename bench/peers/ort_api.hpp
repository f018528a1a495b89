// The few entries of ONNX Runtime's C interface that a batch of scores takes. No package brings its
// header, so they are called by their place in OrtApi: a table of function pointers that never
// changes up to the last entry of its first version (101) and only grows behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

struct OrtApiBase {
  const void* const* (*get_api)(std::uint32_t version);
  const char* (*get_version)();
};
extern "C" const OrtApiBase* OrtGetApiBase() noexcept;

namespace prs::bench::ort {

/// Objects of the library; each has a release entry of its own.
using Handle = void*;

enum Entry : std::size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kCreateTensorWithData = 49,
  kCreateCpuMemoryInfo = 69,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseSessionOptions = 100,
};

constexpr std::uint32_t kFirstVersion = 1;
constexpr int kWarnings = 2;        // OrtLoggingLevel
constexpr int kFloat = 1;           // ONNXTensorElementDataType
constexpr int kArenaAllocator = 1;  // OrtAllocatorType
constexpr int kDefaultMemory = 0;   // OrtMemType

inline std::string version() { return OrtGetApiBase()->get_version(); }

template <typename Result, typename... Args>
Result invoke(Entry entry, Args... args) {
  static const void* const* const table = OrtGetApiBase()->get_api(kFirstVersion);
  return reinterpret_cast<Result (*)(Args...)>(const_cast<void*>(table[entry]))(args...);
}

/// Calls an entry that returns an OrtStatus; throws with its message where that says failure.
template <typename... Args>
void call(Entry entry, Args... args) {
  const Handle status = invoke<Handle>(entry, args...);
  if (status == nullptr) return;
  const std::string message = invoke<const char*>(kGetErrorMessage, status);
  invoke<void>(kReleaseStatus, status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

/// A handle that is released in the end.
class Owned {
 public:
  explicit Owned(Entry release) : release_(release) {}
  ~Owned() { invoke<void>(release_, handle_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }
  /// Where a create entry puts it; what it held is released.
  Handle* out() {
    if (handle_ != nullptr) invoke<void>(release_, handle_);
    handle_ = nullptr;
    return &handle_;
  }

 private:
  const Entry release_;
  Handle handle_ = nullptr;
};

}  // namespace prs::bench::ort
