#include "emulation/emulated_runtime.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "emulation/sanitizer.hpp"
#include "prs/error.hpp"

namespace prs::cuda::emulated {
namespace {

constexpr std::int64_t kAlignment = 256;
/// Written before and behind every allocation, and looked at when it is freed.
constexpr std::int64_t kGuardBytes = 256;
constexpr unsigned char kGuard = 0xA5;

class Device : public EmulatedRuntime {
 public:
  Device(const Schedule& schedule, const DeviceLimits& limits)
      : schedule_(schedule), limits_(limits) {}

  std::string device() const override { return "cuda:emulated"; }
  const DeviceLimits& limits() const override { return limits_; }

  void* allocate(std::int64_t bytes) override {
    use();
    {
      const std::lock_guard lock(mutex_);
      if (used_ + bytes > limit_) {
        throw Error(ErrorCode::kOutOfMemory, device() + ": allocate: " + std::to_string(bytes) +
                                                 " bytes, with " + std::to_string(used_) + " of " +
                                                 std::to_string(limit_) + " in use");
      }
      used_ += bytes;
    }
    return take(bytes, true);
  }
  void* allocate_host(std::int64_t bytes) override { return take(bytes, false); }
  void free(void* memory) noexcept override { give(memory); }
  void free_host(void* memory) noexcept override { give(memory); }

  std::unique_ptr<Stream> new_stream() override {
    use();
    return std::make_unique<EmulatedStream>();
  }
  void copy_to_device(Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    copy(stream, to, from, bytes);
  }
  void copy_to_host(Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    copy(stream, to, from, bytes);
  }
  void copy_on_device(Stream& stream, void* to, const void* from, std::int64_t bytes) override {
    copy(stream, to, from, bytes);
  }
  void launch(Stream& base, const Launch& launch) override {
    use();
    const KernelEntry& entry = kernel_table()[launch.kernel];
    if (entry.args_bytes != launch.args_bytes) {
      throw Error(ErrorCode::kInternal, std::string("kernel ") + kernel_name(launch.kernel) +
                                            ": arguments of another type [this is a bug]");
    }
    auto args = std::make_shared<Arguments>(launch.args_bytes);
    std::memcpy(args->bytes.get(), launch.args, static_cast<std::size_t>(launch.args_bytes));
    static_cast<EmulatedStream&>(base).work.push_back([this, launch, args, &entry] {
      {
        const std::lock_guard lock(mutex_);
        ++counts_.launches;
        lost_ = lost_ || counts_.launches >= last_launch_;
      }
      use();
      execute({kernel_name(launch.kernel), entry.invoke, entry.function, args->bytes.get(),
               launch.grid, launch.block, launch.dynamic_shared_bytes},
              schedule_, limits_);
    });
  }
  void begin_recording(Stream& base) override {
    use();
    auto& stream = static_cast<EmulatedStream&>(base);
    synchronize(stream);  // What came before is no part of it.
    stream.recording = true;
    const std::lock_guard lock(mutex_);
    ++counts_.recordings;
  }
  std::unique_ptr<Recording> end_recording(Stream& base) override {
    use();
    auto& stream = static_cast<EmulatedStream&>(base);
    stream.recording = false;
    auto recording = std::make_unique<EmulatedRecording>();
    recording->work = std::exchange(stream.work, {});
    return recording;
  }
  void start(Stream& base, const Recording& recording) override {
    use();
    const auto& work = static_cast<const EmulatedRecording&>(recording).work;
    auto& stream = static_cast<EmulatedStream&>(base);
    stream.work.insert(stream.work.end(), work.begin(), work.end());
  }
  void synchronize(Stream& base) override {
    use();
    auto& stream = static_cast<EmulatedStream&>(base);
    if (stream.recording) {
      throw Error(ErrorCode::kInternal, "a stream is waited for while it records [this is a bug]");
    }
    for (const Work& work : std::exchange(stream.work, {})) work();
  }

  std::unique_ptr<Event> new_event() override {
    use();
    return std::make_unique<Event>();
  }
  void record(Stream&, Event&) override { use(); }
  std::optional<double> elapsed_us(const Event&, const Event&) override {
    use();
    return std::nullopt;
  }

  Counts counts() const override {
    const std::lock_guard lock(mutex_);
    return counts_;
  }
  void limit_memory(std::int64_t bytes) override {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

  void lose_after(std::int64_t launches) override {
    const std::lock_guard lock(mutex_);
    last_launch_ = counts_.launches + launches;
    lost_ = launches == 0;
  }

 private:
  using Work = std::function<void()>;

  struct EmulatedStream : Stream {
    std::vector<Work> work;
    bool recording = false;
  };
  struct EmulatedRecording : Recording {
    std::vector<Work> work;
  };
  /// A copy of a launch's arguments, aligned for any of them.
  struct Arguments {
    explicit Arguments(std::int64_t size)
        : bytes(std::make_unique<std::max_align_t[]>(
              static_cast<std::size_t>(size) / sizeof(std::max_align_t) + 1)) {}
    std::unique_ptr<std::max_align_t[]> bytes;
  };

  void use() const {
    if (lost_) throw Error(ErrorCode::kDeviceLost, device() + ": an illegal address was accessed");
  }

  void copy(Stream& base, void* to, const void* from, std::int64_t bytes) {
    use();
    static_cast<EmulatedStream&>(base).work.push_back([this, to, from, bytes] {
      {
        const std::lock_guard lock(mutex_);
        ++counts_.copies;
      }
      std::memcpy(to, from, static_cast<std::size_t>(bytes));
    });
  }

  struct Allocation {
    std::int64_t bytes;
    bool on_device;
  };

  void* take(std::int64_t bytes, bool on_device) {
    const auto size = static_cast<std::size_t>(bytes + 2 * kGuardBytes);
    auto* block = static_cast<unsigned char*>(::operator new (size, std::align_val_t{kAlignment}));
    std::memset(block, kGuard, static_cast<std::size_t>(kGuardBytes));
    std::memset(block + kGuardBytes, 0xFF, static_cast<std::size_t>(bytes));
    std::memset(block + kGuardBytes + bytes, kGuard, static_cast<std::size_t>(kGuardBytes));
    poison(block, bytes, true);
    void* memory = block + kGuardBytes;
    const std::lock_guard lock(mutex_);
    ++counts_.allocations;
    ++counts_.live;
    allocations_[memory] = {bytes, on_device};
    return memory;
  }

  void give(void* memory) noexcept {
    if (memory == nullptr) return;
    auto* block = static_cast<unsigned char*>(memory) - kGuardBytes;
    std::int64_t bytes = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto found = allocations_.find(memory);
      if (found == allocations_.end()) end("memory is freed that was not allocated");
      bytes = found->second.bytes;
      if (found->second.on_device) used_ -= bytes;
      --counts_.live;
      allocations_.erase(found);
    }
    poison(block, bytes, false);
    const auto intact = [](unsigned char byte) { return byte == kGuard; };
    const unsigned char* end_guard = block + kGuardBytes + bytes;
    if (!std::all_of(block, block + kGuardBytes, intact) ||
        !std::all_of(end_guard, end_guard + kGuardBytes, intact)) {
      end("a kernel wrote outside of its buffers");
    }
    ::operator delete (block, std::align_val_t{kAlignment});
  }

  /// Makes the guards inaccessible, or accessible again.
  static void poison([[maybe_unused]] unsigned char* block, [[maybe_unused]] std::int64_t bytes,
                     [[maybe_unused]] bool on) {
#ifdef PRS_ASAN
    const auto guard = static_cast<std::size_t>(kGuardBytes);
    const auto change = on ? &__asan_poison_memory_region : &__asan_unpoison_memory_region;
    change(block, guard);
    change(block + kGuardBytes + bytes, guard);
#endif
  }

  /// Freeing cannot throw, and going on would hide the mistake.
  [[noreturn]] static void end(const char* what) {
    std::fprintf(stderr, "cuda emulation: %s\n", what);
    std::abort();
  }

  const Schedule schedule_;
  std::atomic<bool> lost_{false};
  const DeviceLimits limits_;
  mutable std::mutex mutex_;
  std::map<void*, Allocation> allocations_;
  Counts counts_;
  std::int64_t last_launch_ = std::numeric_limits<std::int64_t>::max();
  std::int64_t used_ = 0;
  std::int64_t limit_ = std::int64_t{1} << 40;
};

}  // namespace

std::shared_ptr<EmulatedRuntime> make_runtime(const Schedule& schedule,
                                              const DeviceLimits& limits) {
  return std::make_shared<Device>(schedule, limits);
}

}  // namespace prs::cuda::emulated
