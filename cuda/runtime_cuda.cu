// The Runtime over the CUDA runtime library. Every call and launch is checked.
//
// A thread's current device is set by every call that needs one, as threads come and go. Streams do
// not wait for the legacy default stream.
#include <cuda_runtime_api.h>

#include <atomic>
#include <chrono>
#include <string>

#include "probe.hpp"
#include "prs/error.hpp"
#include "runtime.hpp"

namespace prs::cuda {
namespace {

std::string text(const Dim3& d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + ")";
}

dim3 native(const Dim3& d) { return {d.x, d.y, d.z}; }

/// The one place that maps CUDA's errors. Sticky ones, after which every call of this process
/// fails, are device lost.
ErrorCode code_of(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return ErrorCode::kOutOfMemory;
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInitializationError:
    case cudaErrorDevicesUnavailable:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorMpsConnectionFailed:
    case cudaErrorMpsServerNotReady:
    case cudaErrorMpsMaxClientsReached:
    case cudaErrorMpsMaxConnectionsReached:
      return ErrorCode::kUnavailable;
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorMpsRpcFailure:
    case cudaErrorUnknown:
    case cudaErrorCudartUnloading:
      return ErrorCode::kDeviceLost;
    default:
      return ErrorCode::kInternal;
  }
}

class CudaStream : public Stream {
 public:
  cudaStream_t stream = nullptr;
  cudaEvent_t done = nullptr;
  /// For errors that a later call reports; its arguments are gone.
  Launch last_launch{};
  bool recording = false;

  ~CudaStream() override {
    if (done != nullptr) cudaEventDestroy(done);
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
};

class CudaRecording : public Recording {
 public:
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  Launch last_launch{};

  ~CudaRecording() override {
    if (executable != nullptr) cudaGraphExecDestroy(executable);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
};

class CudaEvent : public Event {
 public:
  cudaEvent_t event = nullptr;

  ~CudaEvent() override {
    if (event != nullptr) cudaEventDestroy(event);
  }
};

class CudaRuntime : public Runtime {
 public:
  explicit CudaRuntime(int index) : index_(index) {
    use();
    limits_.static_shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlock);
    limits_.shared_bytes = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
    limits_.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
    std::size_t free_bytes = 0;
    std::size_t all_bytes = 0;
    check(cudaMemGetInfo(&free_bytes, &all_bytes), [] { return "cudaMemGetInfo"; });
    limits_.memory_bytes = static_cast<std::int64_t>(all_bytes);
    limits_.compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                                 attribute(cudaDevAttrComputeCapabilityMinor);
    // There is no machine code for older ones, which the first launch would tell: too late for
    // --device auto.
    if (limits_.compute_capability < kLeastCapability) {
      throw Error(ErrorCode::kUnavailable,
                  device() + " has compute capability " + capability(limits_.compute_capability) +
                      "; at least " + capability(kLeastCapability) + " is needed");
    }
    limits_.sm_90a = limits_.compute_capability == 90 &&
                     on_device::kernel_table()[KernelId::kMlpBf16Wgmma128].function != nullptr;
  }

  std::string device() const override { return "cuda:" + std::to_string(index_); }
  const DeviceLimits& limits() const override { return limits_; }

  void* allocate(std::int64_t bytes) override {
    use();
    void* memory = nullptr;
    check(cudaMalloc(&memory, static_cast<std::size_t>(bytes)),
          [&] { return "cudaMalloc of " + std::to_string(bytes) + " bytes"; });
    return memory;
  }
  // Of a lost device nothing can be freed; its memory goes with the process.
  void free(void* memory) noexcept override {
    if (!lost_) cudaFree(memory);
  }

  void* allocate_host(std::int64_t bytes) override {
    use();
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, static_cast<std::size_t>(bytes), cudaHostAllocDefault),
          [&] { return "cudaHostAlloc of " + std::to_string(bytes) + " bytes"; });
    return memory;
  }
  void free_host(void* memory) noexcept override {
    if (!lost_) cudaFreeHost(memory);
  }

  std::unique_ptr<Stream> new_stream() override {
    use();
    auto stream = std::make_unique<CudaStream>();
    check(cudaStreamCreateWithFlags(&stream->stream, cudaStreamNonBlocking),
          [] { return "cudaStreamCreateWithFlags"; });
    check(cudaEventCreateWithFlags(&stream->done, cudaEventBlockingSync | cudaEventDisableTiming),
          [] { return "cudaEventCreateWithFlags"; });
    return stream;
  }

  void copy_to_device(Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    copy(stream, to, from, bytes, cudaMemcpyHostToDevice, "to the device");
  }
  void copy_to_host(Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    copy(stream, to, from, bytes, cudaMemcpyDeviceToHost, "to the host");
  }

  void copy_on_device(Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    copy(stream, to, from, bytes, cudaMemcpyDeviceToDevice, "on the device");
  }

  void launch(Stream& base, const Launch& launch) override {
    auto& stream = static_cast<CudaStream&>(base);
    use();
    const KernelEntry& entry = on_device::kernel_table()[launch.kernel];
    void* args[] = {const_cast<void*>(launch.args)};
    if (entry.args_bytes != launch.args_bytes) {
      throw Error(ErrorCode::kInternal, device() + ": " + describe(launch) +
                                            ": arguments of another type [this is a bug]");
    }
    stream.last_launch = launch;
    permit_shared(entry, launch);
    cudaError_t error =
        cudaLaunchKernel(entry.function, native(launch.grid), native(launch.block), args,
                         static_cast<std::size_t>(launch.dynamic_shared_bytes), stream.stream);
    if (error == cudaSuccess) error = cudaGetLastError();
#ifndef NDEBUG
    if (error == cudaSuccess && !stream.recording) error = cudaStreamSynchronize(stream.stream);
#endif
    check(error, [&] { return "launch of " + describe(launch); });
  }

  void begin_recording(Stream& base) override {
    auto& stream = static_cast<CudaStream&>(base);
    use();
    check(cudaStreamBeginCapture(stream.stream, cudaStreamCaptureModeThreadLocal),
          [] { return "cudaStreamBeginCapture"; });
    stream.recording = true;
  }

  std::unique_ptr<Recording> end_recording(Stream& base) override {
    auto& stream = static_cast<CudaStream&>(base);
    use();
    auto recording = std::make_unique<CudaRecording>();
    recording->last_launch = stream.last_launch;
    stream.recording = false;
    check(cudaStreamEndCapture(stream.stream, &recording->graph),
          [] { return "cudaStreamEndCapture"; });
    check(cudaGraphInstantiateWithFlags(&recording->executable, recording->graph, 0),
          [] { return "cudaGraphInstantiateWithFlags"; });
    return recording;
  }

  void start(Stream& base, const Recording& work) override {
    auto& stream = static_cast<CudaStream&>(base);
    const auto& recording = static_cast<const CudaRecording&>(work);
    use();
    stream.last_launch = recording.last_launch;
    check(cudaGraphLaunch(recording.executable, stream.stream),
          [&] { return "cudaGraphLaunch of the work up to " + describe(recording.last_launch); });
  }

  void synchronize(Stream& base) override {
    auto& stream = static_cast<CudaStream&>(base);
    use();
    const auto what = [&] {
      return "the work up to the launch of " + describe(stream.last_launch);
    };
    check(cudaEventRecord(stream.done, stream.stream), what);
    const cudaError_t state = poll(stream.done);
    check(state == cudaErrorNotReady ? cudaEventSynchronize(stream.done) : state, what);
  }

  std::unique_ptr<Event> new_event() override {
    use();
    auto event = std::make_unique<CudaEvent>();
    check(cudaEventCreate(&event->event), [] { return "cudaEventCreate"; });
    return event;
  }
  void record(Stream& stream, Event& event) override {
    use();
    check(cudaEventRecord(static_cast<CudaEvent&>(event).event,
                          static_cast<CudaStream&>(stream).stream),
          [] { return "cudaEventRecord"; });
  }
  std::optional<double> elapsed_us(const Event& from, const Event& to) override {
    use();
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, static_cast<const CudaEvent&>(from).event,
                               static_cast<const CudaEvent&>(to).event),
          [] { return "cudaEventElapsedTime"; });
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  /// Until the event is there, or for as long as a run of few images takes: to be woken up then may
  /// take as long once more.
  static cudaError_t poll(cudaEvent_t event) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point end = Clock::now() + std::chrono::microseconds(50);
    cudaError_t state = cudaEventQuery(event);
    while (state == cudaErrorNotReady && Clock::now() < end) state = cudaEventQuery(event);
    cudaGetLastError();  // A launch must not find "not ready" as its own error.
    return state;
  }

  int attribute(cudaDeviceAttr which) const {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, index_), [] { return "cudaDeviceGetAttribute"; });
    return value;
  }

  static std::string capability(int number) {
    return std::to_string(number / 10) + "." + std::to_string(number % 10);
  }

  /// Beyond 48 KiB, its static arrays included, a kernel needs leave; it is asked for once, for all
  /// that those leave of what a block may have.
  void permit_shared(const KernelEntry& entry, const Launch& launch) {
    std::atomic<bool>& permitted = permitted_[static_cast<int>(launch.kernel)];
    if (launch.dynamic_shared_bytes == 0 || permitted.load(std::memory_order_relaxed)) return;
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, entry.function),
          [&] { return "cudaFuncGetAttributes for " + describe(launch); });
    const std::int64_t most =
        limits_.shared_bytes - static_cast<std::int64_t>(attributes.sharedSizeBytes);
    check(cudaFuncSetAttribute(entry.function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(most)),
          [&] { return "cudaFuncSetAttribute for " + describe(launch); });
    permitted.store(true, std::memory_order_relaxed);
  }

  static std::string describe(const Launch& launch) {
    return std::string(kernel_name(launch.kernel)) + ", grid " + text(launch.grid) + ", block " +
           text(launch.block) + ", " + std::to_string(launch.dynamic_shared_bytes) +
           " bytes of dynamic shared memory";
  }

  void use() const {
    if (lost_) {
      throw Error(ErrorCode::kDeviceLost,
                  device() + ": failed before; this process can use it no more");
    }
    check(cudaSetDevice(index_), [] { return "cudaSetDevice"; });
  }

  void copy(Stream& base, void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind,
            const char* direction) {
    use();
    check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind,
                          static_cast<CudaStream&>(base).stream),
          [&] { return "cudaMemcpyAsync of " + std::to_string(bytes) + " bytes " + direction; });
  }

  /// what(): the call in words.
  template <typename What>
  void check(cudaError_t error, const What& what) const {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // Not sticky: the next call must not report it again.
    if (code_of(error) == ErrorCode::kDeviceLost) lost_ = true;
    throw Error(code_of(error), device() + ": " + what() + ": " + cudaGetErrorName(error) + " (" +
                                    cudaGetErrorString(error) + ")");
  }

  const int index_;
  mutable std::atomic<bool> lost_{false};  ///< By a sticky error: no call can succeed any more.
  DeviceLimits limits_;
  std::atomic<bool> permitted_[kKernelCount] = {};  ///< To take all the shared memory there is.
};

}  // namespace

std::shared_ptr<Runtime> open_device(int index) {
  const Probe probe = probe_devices();
  if (probe.devices.empty()) throw Error(ErrorCode::kUnavailable, probe.reason);
  const auto count = static_cast<int>(probe.devices.size());
  if (index >= count) {
    throw Error(ErrorCode::kUnavailable, "there is no device " + std::to_string(index) + "; " +
                                             std::to_string(count) + " visible, numbered from 0");
  }
  return std::make_shared<CudaRuntime>(index);
}

}  // namespace prs::cuda
