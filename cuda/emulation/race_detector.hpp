// Finds races in a block's shared memory: two threads that touch a byte, one of them writing, with
// nothing between them that orders them. Order comes from sync_threads (all threads of the block)
// and from sync_warp (the threads of a warp); shuffles and votes give none, as on the hardware.
//
// Per byte it keeps the last write and what is needed of the reads since the last barrier: which
// thread, or that several of one warp or of several did. So no race is reported where there is
// none, and a read is forgotten only for one that conflicts with the same writes.
#pragma once

#include <cstdint>
#include <vector>

namespace prs::cuda::emulated {

enum class Touch { kRead, kWrite, kAtomic };

/// A thread at a moment.
struct Moment {
  std::uint32_t interval = 0;       ///< Counts sync_threads, and blocks.
  std::uint32_t warp_interval = 0;  ///< Counts its warp's sync_warp.
  std::uint32_t thread = 0;         ///< Linear index in the block.
  std::uint32_t fences = 0;         ///< Counts the thread's fence_async.
};

class RaceDetector {
 public:
  explicit RaceDetector(std::int64_t bytes) : cells_(static_cast<std::size_t>(bytes)) {}

  struct Race {
    std::int64_t byte = -1;   ///< -1: none.
    std::uint32_t other = 0;  ///< The thread that touched it before.
    bool other_wrote = false;
  };

  /// Notes that a thread touches bytes [first, first + count) and returns the first race.
  Race touch(Touch kind, std::int64_t first, std::int64_t count, const Moment& now);

  const Moment& last_write(std::int64_t byte) const {
    return cells_[static_cast<std::size_t>(byte)].write;
  }

  /// Forgets everything; needed only when intervals start over.
  void clear();

 private:
  enum class Readers : std::uint8_t { kOne, kWarp, kSeveralWarps };

  struct Cell {
    Moment write;
    Moment read;
    Readers readers = Readers::kOne;
    bool atomic = false;  ///< The last write.
  };

  static bool ordered(const Moment& before, const Moment& now);
  static bool read_conflicts(const Cell& cell, const Moment& now);
  static void note_read(Cell& cell, const Moment& now);

  std::vector<Cell> cells_;
};

}  // namespace prs::cuda::emulated
