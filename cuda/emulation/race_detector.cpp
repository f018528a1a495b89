#include "emulation/race_detector.hpp"

#include <algorithm>

#include "device/types.hpp"

namespace prs::cuda::emulated {
namespace {

bool same_warp(std::uint32_t a, std::uint32_t b) { return a / kWarpSize == b / kWarpSize; }

}  // namespace

/// Within one interval of the block.
bool RaceDetector::ordered(const Moment& before, const Moment& now) {
  return before.thread == now.thread ||
         (same_warp(before.thread, now.thread) && before.warp_interval < now.warp_interval);
}

bool RaceDetector::read_conflicts(const Cell& cell, const Moment& now) {
  if (cell.read.interval != now.interval) return false;
  switch (cell.readers) {
    case Readers::kOne:
      return !ordered(cell.read, now);
    case Readers::kWarp:
      return !same_warp(cell.read.thread, now.thread) ||
             cell.read.warp_interval >= now.warp_interval;
    case Readers::kSeveralWarps:
      return true;
  }
  return true;
}

void RaceDetector::note_read(Cell& cell, const Moment& now) {
  const bool same_interval = cell.read.interval == now.interval;
  const bool one_warp =
      cell.readers != Readers::kSeveralWarps && same_warp(cell.read.thread, now.thread);
  if (!same_interval || (one_warp && cell.read.warp_interval < now.warp_interval)) {
    // What may write after this read may write after the earlier ones.
    cell.readers = Readers::kOne;
  } else if (cell.read.thread != now.thread) {
    cell.readers = one_warp ? Readers::kWarp : Readers::kSeveralWarps;
  }
  cell.read = now;
}

RaceDetector::Race RaceDetector::touch(Touch kind, std::int64_t first, std::int64_t count,
                                       const Moment& now) {
  for (std::int64_t byte = first; byte < first + count; ++byte) {
    Cell& cell = cells_[static_cast<std::size_t>(byte)];
    const bool both_atomic = kind == Touch::kAtomic && cell.atomic;
    if (cell.write.interval == now.interval && !both_atomic && !ordered(cell.write, now)) {
      return {byte, cell.write.thread, true};
    }
    if (kind == Touch::kRead) {
      note_read(cell, now);
      continue;
    }
    if (read_conflicts(cell, now)) return {byte, cell.read.thread, false};
    cell.write = now;
    cell.atomic = kind == Touch::kAtomic;
  }
  return {};
}

void RaceDetector::clear() { std::fill(cells_.begin(), cells_.end(), Cell{}); }

}  // namespace prs::cuda::emulated
