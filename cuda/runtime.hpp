// What the backend needs of a GPU, behind one small interface with two implementations: the CUDA
// runtime (runtime_cuda.cu) and the emulation on the CPU (emulation/emulated_runtime.cpp). C++17:
// nvcc compiles it too.
//
// A Runtime is thread-safe; a stream serves one thread at a time. Work on a stream happens in order
// and may be under way when a call returns; only synchronize() waits. Errors are prs::Error and
// name call, kernel, launch shape and device: out of memory, unavailable (busy or gone for now),
// device lost (this process can use the device no more), internal (a mistake of ours).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "device/types.hpp"
#include "kernels/table.hpp"

namespace prs::cuda {

/// One kernel launch. `args` points to the kernel's one argument, a struct, and is read at once.
struct Launch {
  KernelId kernel;
  Dim3 grid;
  Dim3 block;
  std::int64_t dynamic_shared_bytes = 0;
  const void* args = nullptr;
  std::int64_t args_bytes = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
};

/// Work of a stream that was recorded. It goes before the memory that its work uses.
class Recording {
 public:
  virtual ~Recording() = default;
};

/// A place in a stream's work.
class Event {
 public:
  virtual ~Event() = default;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string device() const = 0;  ///< "cuda:0"
  virtual const DeviceLimits& limits() const = 0;

  /// Device memory, aligned to 256 bytes; at least one byte. The contents are undefined.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void free(void* memory) noexcept = 0;
  /// Page-locked host memory, which copies run from and to while the device computes.
  virtual void* allocate_host(std::int64_t bytes) = 0;
  virtual void free_host(void* memory) noexcept = 0;

  virtual std::unique_ptr<Stream> new_stream() = 0;
  /// Between page-locked memory and the device; the host side stays untouched until a
  /// synchronize().
  virtual void copy_to_device(Stream& stream, void* to, const void* from, std::int64_t bytes) = 0;
  virtual void copy_to_host(Stream& stream, void* to, const void* from, std::int64_t bytes) = 0;
  virtual void copy_on_device(Stream& stream, void* to, const void* from, std::int64_t bytes) = 0;
  virtual void launch(Stream& stream, const Launch& launch) = 0;
  /// From here on the stream's work is noted down and not done; what ends the recording gives all
  /// of it, to be started at once as often as wanted, on one stream at a time.
  virtual void begin_recording(Stream& stream) = 0;
  virtual std::unique_ptr<Recording> end_recording(Stream& stream) = 0;
  virtual void start(Stream& stream, const Recording& recording) = 0;
  /// Waits until the stream's work is done, beyond some microseconds without keeping a core busy;
  /// throws what went wrong in it.
  virtual void synchronize(Stream& stream) = 0;

  virtual std::unique_ptr<Event> new_event() = 0;
  /// `event` is from here on the end of what the stream was given so far.
  virtual void record(Stream& stream, Event& event) = 0;
  /// By the device's clock between two recorded events, after a synchronize(); none from a device
  /// that keeps no time, as the emulation.
  virtual std::optional<double> elapsed_us(const Event& from, const Event& to) = 0;
};

/// The GPU with that index among the visible ones. Throws unavailable with the reason; always so in
/// a build without CUDA.
std::shared_ptr<Runtime> open_device(int index);

}  // namespace prs::cuda
