// What happens in a block's shared memory beside its threads: barriers that count arrivals and
// bytes (mbarrier), bulk copies, reads of the matrix instructions. PTX ISA 8.x, "mbarrier",
// "cp.async.bulk", "Async proxy".
//
// Finds what the hardware leaves undefined: a copy to bytes that a warp may still read or another
// copy is under way to, a read before a wait that saw the copy's end, a barrier that is used before
// its initialisation is known, more arrivals than a phase has. Order is kept by warps: a barrier
// hands on, with the end of a phase, what those knew who arrived in it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "device/types.hpp"

namespace prs::cuda::emulated {

class AsyncProxy {
 public:
  static constexpr std::int64_t kGranule = 16;

  /// Of so many bytes of shared memory.
  explicit AsyncProxy(std::int64_t bytes)
      : granules_(static_cast<std::size_t>((bytes + kGranule - 1) / kGranule)) {}

  void begin_block();
  /// What is wrong with how the block ended; empty: nothing. As in all that return a text.
  std::string end_block() const;
  /// sync_threads: everybody knows what anybody did.
  void join();

  std::string init_barrier(std::int64_t at, unsigned warp, unsigned arrivals);
  /// fence.proxy.async by a thread of the warp.
  void fence(unsigned warp);
  /// One arrival, after `bytes` more are expected.
  std::string arrive(std::int64_t at, unsigned warp, std::int64_t bytes);
  /// Whether the phase of that parity has ended; if so, the warp knows now what that tells.
  std::string test(std::int64_t at, unsigned warp, unsigned parity, bool& ended);

  std::string start_copy(std::int64_t to, const void* from, std::int64_t bytes,
                         std::int64_t barrier, unsigned warp);
  /// Does one of the copies that are under way, `choice` modulo their number; false without any.
  bool perform_copy(std::byte* shared, std::uint64_t choice);

  /// Whether copies were made to the bytes, or a barrier lies there: others have no business there.
  bool owns(std::int64_t first, std::int64_t bytes) const;
  /// By a matrix instruction of the warp, of bytes that are owned.
  std::string read(std::int64_t first, std::int64_t bytes, unsigned warp);

 private:
  static constexpr unsigned kWarps = 32;
  using Clock = std::array<std::uint32_t, kWarps>;  ///< By warp: what is known of it.

  struct Barrier {
    std::int64_t at;
    unsigned arrivals;
    unsigned warp;  ///< That initialised it,
    std::uint32_t since;
    bool fenced = false;
    unsigned pending = 0;
    std::int64_t bytes = 0;
    std::uint32_t phase = 0;                   ///< The one that has not ended.
    Clock gathered{};                          ///< From those who arrived in it.
    Clock told{};                              ///< By the ends of phases.
    std::array<std::uint32_t, kWarps> seen{};  ///< By warp: phases that it knows to have ended.
  };
  struct Copy {
    std::int64_t to;
    const void* from;
    std::int64_t bytes;
    std::size_t barrier;
  };
  struct Granule {
    std::uint32_t block = 0;  ///< In which the following was noted.
    bool barrier = false;
    bool under_way = false;
    std::size_t copied_for = 0;  ///< Number of the barrier, and
    std::uint32_t phase = 0;     ///< the phase that ends after the copy.
    Clock read{};                ///< By warp: its clock when it read last.
  };

  Barrier* find(std::int64_t at);
  std::string check_known(const Barrier* barrier, unsigned warp) const;
  void end_phase_if_complete(Barrier& barrier);
  Granule& granule(std::int64_t byte) {
    return granules_[static_cast<std::size_t>(byte / kGranule)];
  }

  std::vector<Granule> granules_;
  std::vector<Barrier> barriers_;
  std::vector<Copy> copies_;
  std::array<Clock, kWarps> clocks_{};  ///< clocks_[w][w] counts what w has told others.
  std::uint32_t block_ = 0;
};

}  // namespace prs::cuda::emulated
