// Runs a kernel launch on the CPU as CUDA defines it: blocks one after the other, the threads of a
// block as fibers that run until a barrier or a collective of their warp makes them wait.
//
// What a GPU would leave undefined is an error here, which names kernel, block, thread and source
// line: barriers that not all threads reach, collectives whose lanes disagree, races in shared
// memory, indices outside of a shared array, misaligned vector accesses, launches beyond the
// limits. Shared memory starts as NaN patterns. The order of blocks and threads follows a seed; a
// kernel whose result hangs on it is wrong.
//
// Functions of the second half are called by kernels (emulation/device.hpp), on a fiber. Several
// host threads may execute at once, each with blocks of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/types.hpp"

namespace prs::cuda::emulated {

enum class Order { kAscending, kDescending, kShuffled };

struct Schedule {
  Order order = Order::kAscending;
  std::uint64_t seed = 0;  ///< kShuffled: every round of every block is another permutation.
};

struct KernelCall {
  const char* name = "";
  /// Calls the kernel `function` with the arguments at `args`.
  void (*invoke)(const void* function, const void* args) = nullptr;
  const void* function = nullptr;
  const void* args = nullptr;
  Dim3 grid;
  Dim3 block;
  std::int64_t dynamic_shared_bytes = 0;
};

/// Throws prs::Error (internal) as above.
void execute(const KernelCall& call, const Schedule& schedule, const DeviceLimits& limits);

// ---- for kernels --------------------------------------------------------------------------------

/// Where in a kernel something happens.
struct Source {
  const char* file;
  int line;

  /// As a default argument: the place of the call.
  static constexpr Source here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

struct Indices {
  Dim3 thread;
  Dim3 block;
  Dim3 block_dim;
  Dim3 grid_dim;
};
const Indices& indices();

void block_barrier(Source source);

/// Meets the other lanes of `mask`; the last to come calls compute(payloads, mask) for all, whose
/// payloads are in the order of the lanes, null for those that take no part.
using Compute = void (*)(void* const* payloads, std::uint32_t mask);
void warp_collective(const char* what, std::uint32_t mask, void* payload, Compute compute,
                     Source source);
/// The collective of sync_warp, which orders shared memory within the warp.
void warp_barrier(std::uint32_t mask, Source source);

/// The block's array for a declaration, which `key` identifies.
void* static_shared(const void* key, std::int64_t bytes, Source source);
void* dynamic_shared_bytes(std::int64_t first, std::int64_t bytes, Source source);

enum class Touch;
void touch_shared(Touch kind, const void* address, std::int64_t bytes, Source source);

/// cp.async. Copies happen when they are waited for, no earlier: a kernel that reads before sees
/// what was there.
void copy_later(void* to, const void* from, std::int64_t bytes, Source source);
void commit_later();
void wait_later(int pending_groups);

// Barriers, bulk copies and matrix operands in shared memory (emulation/async_proxy.hpp).
void shared_barrier_init(const void* barrier, unsigned arrivals, Source source);
void shared_barrier_arrive(const void* barrier, std::int64_t bytes, Source source);
void shared_barrier_wait(const void* barrier, unsigned parity, Source source);
/// Of the calling thread.
void async_fence();
void start_bulk_copy(void* to, const void* from, std::int64_t bytes, const void* barrier,
                     Source source);
std::int64_t shared_offset(const void* address);
/// The bytes from that offset on, for a product of the calling warp.
const void* async_read(std::int64_t offset, std::int64_t bytes, Source source);

/// Elements of A and B.
enum class ProductType { kBf16, kF16, kTf32, kU8S8 };
/// One thread's part of a product under way.
struct WarpgroupProduct {
  ProductType type;
  int columns;
  void* d;                 // [columns / 8, 4], f32, of bytes i32
  const std::uint32_t* a;  ///< Registers, or null: A is in shared memory.
  std::uint64_t descriptor_a;
  std::uint64_t descriptor;  ///< Of B.
  Source source;
};
struct WarpgroupState {
  std::vector<WarpgroupProduct> products;
  std::int64_t started = 0;  ///< In this block: as many by each thread of a warpgroup.
  bool fenced = false;
  bool committed = true;
};
/// Of the calling thread.
WarpgroupState& warpgroup_state();

[[noreturn]] void fail_access(const char* what, std::int64_t value, std::int64_t limit,
                              Source source);

}  // namespace prs::cuda::emulated
