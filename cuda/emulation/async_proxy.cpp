#include "emulation/async_proxy.hpp"

#include <algorithm>
#include <cstring>

namespace prs::cuda::emulated {
namespace {

constexpr std::int64_t kMostExpected = (1 << 20) - 1;

template <typename Clock>
void join_into(Clock& clock, const Clock& other) {
  for (std::size_t w = 0; w < clock.size(); ++w) clock[w] = std::max(clock[w], other[w]);
}

}  // namespace

void AsyncProxy::begin_block() {
  ++block_;
  barriers_.clear();
  copies_.clear();
  // Clocks go on from block to block, so that what granules remember of earlier ones is all known.
  std::uint32_t latest = 0;
  for (unsigned w = 0; w < kWarps; ++w) latest = std::max(latest, clocks_[w][w]);
  for (unsigned w = 0; w < kWarps; ++w) {
    clocks_[w].fill(latest);
    clocks_[w][w] = latest + 1;
  }
}

std::string AsyncProxy::end_block() const {
  return copies_.empty() ? "" : "the block ends with a bulk copy under way that nobody waited for";
}

void AsyncProxy::join() {
  if (barriers_.empty()) return;
  Clock all{};
  for (const Clock& clock : clocks_) join_into(all, clock);
  for (unsigned w = 0; w < kWarps; ++w) {
    clocks_[w] = all;
    ++clocks_[w][w];
  }
  for (Barrier& barrier : barriers_) {
    barrier.seen.fill(*std::max_element(barrier.seen.begin(), barrier.seen.end()));
  }
}

AsyncProxy::Barrier* AsyncProxy::find(std::int64_t at) {
  const auto found = std::find_if(barriers_.begin(), barriers_.end(),
                                  [at](const Barrier& barrier) { return barrier.at == at; });
  return found == barriers_.end() ? nullptr : &*found;
}

std::string AsyncProxy::check_known(const Barrier* barrier, unsigned warp) const {
  if (barrier == nullptr) return "a barrier that was not initialised";
  if (warp != barrier->warp && clocks_[warp][barrier->warp] < barrier->since) {
    return "a barrier that another warp initialised, with no sync_threads since";
  }
  return "";
}

std::string AsyncProxy::init_barrier(std::int64_t at, unsigned warp, unsigned arrivals) {
  if (find(at) != nullptr) return "a barrier is initialised that is one already";
  if (arrivals < 1 || arrivals >= 1 << 20) return "a barrier of no or too many arrivals";
  barriers_.push_back({at, arrivals, warp, clocks_[warp][warp]});
  barriers_.back().pending = arrivals;
  Granule& memory = granule(at);
  memory.block = block_;
  memory.barrier = true;
  return "";
}

void AsyncProxy::fence(unsigned warp) {
  for (Barrier& barrier : barriers_) barrier.fenced = barrier.fenced || barrier.warp == warp;
}

void AsyncProxy::end_phase_if_complete(Barrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  join_into(barrier.told, barrier.gathered);
  barrier.gathered.fill(0);
  barrier.pending = barrier.arrivals;
  ++barrier.phase;
}

std::string AsyncProxy::arrive(std::int64_t at, unsigned warp, std::int64_t bytes) {
  Barrier* barrier = find(at);
  if (std::string wrong = check_known(barrier, warp); !wrong.empty()) return wrong;
  if (barrier->pending == 0) return "more arrivals than the barrier's phase has";
  barrier->bytes += bytes;
  if (barrier->bytes > kMostExpected) return "a barrier's phase expects too many bytes";
  join_into(barrier->gathered, clocks_[warp]);
  ++clocks_[warp][warp];
  --barrier->pending;
  end_phase_if_complete(*barrier);
  return "";
}

std::string AsyncProxy::test(std::int64_t at, unsigned warp, unsigned parity, bool& ended) {
  Barrier* barrier = find(at);
  if (std::string wrong = check_known(barrier, warp); !wrong.empty()) return wrong;
  if (parity > 1) return "a barrier's parity is 0 or 1";
  ended = barrier->phase % 2 != parity;
  if (ended) {
    join_into(clocks_[warp], barrier->told);
    barrier->seen[warp] = barrier->phase;
  }
  return "";
}

std::string AsyncProxy::start_copy(std::int64_t to, const void* from, std::int64_t bytes,
                                   std::int64_t at, unsigned warp) {
  const Barrier* barrier = find(at);
  if (std::string wrong = check_known(barrier, warp); !wrong.empty()) return wrong;
  if (!barrier->fenced)
    return "a bulk copy on a barrier with no fence_async since it was initialised";
  const auto from_address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(from));
  if (to % kGranule != 0 || bytes % kGranule != 0 || bytes < 1 || from_address % kGranule != 0) {
    return "a bulk copy whose addresses or size are no multiple of 16";
  }
  for (std::int64_t byte = to; byte < to + bytes; byte += kGranule) {
    Granule& memory = granule(byte);
    if (memory.block != block_) {
      memory.block = block_;
      memory.barrier = memory.under_way = false;
    }
    if (memory.barrier) return "a bulk copy onto a barrier";
    if (memory.under_way) return "a bulk copy to bytes that another is under way to";
    for (unsigned w = 0; w < kWarps; ++w) {
      if (w != warp && memory.read[w] > clocks_[warp][w]) {
        return "shared-memory race: a bulk copy to shared byte " + std::to_string(byte) +
               ", which warp " + std::to_string(w) + " read, and has not told since";
      }
    }
    memory.under_way = true;
    memory.copied_for = static_cast<std::size_t>(barrier - barriers_.data());
    memory.phase = barrier->phase;
  }
  copies_.push_back({to, from, bytes, static_cast<std::size_t>(barrier - barriers_.data())});
  return "";
}

bool AsyncProxy::perform_copy(std::byte* shared, std::uint64_t choice) {
  if (copies_.empty()) return false;
  const auto which = copies_.begin() + static_cast<std::ptrdiff_t>(choice % copies_.size());
  const Copy copy = *which;
  copies_.erase(which);
  std::memcpy(shared + copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
  for (std::int64_t byte = copy.to; byte < copy.to + copy.bytes; byte += kGranule) {
    granule(byte).under_way = false;
  }
  Barrier& barrier = barriers_[copy.barrier];
  barrier.bytes -= copy.bytes;
  end_phase_if_complete(barrier);
  return true;
}

bool AsyncProxy::owns(std::int64_t first, std::int64_t bytes) const {
  if (barriers_.empty()) return false;
  for (std::int64_t i = first / kGranule; i * kGranule < first + bytes; ++i) {
    if (granules_[static_cast<std::size_t>(i)].block == block_) return true;
  }
  return false;
}

std::string AsyncProxy::read(std::int64_t first, std::int64_t bytes, unsigned warp) {
  for (std::int64_t byte = first; byte < first + bytes; byte += kGranule) {
    Granule& memory = granule(byte);
    if (memory.block != block_ || memory.barrier) return "a matrix operand beside what was copied";
    if (barriers_[memory.copied_for].seen[warp] <= memory.phase) {
      return "shared-memory race: reads shared byte " + std::to_string(byte) +
             ", whose bulk copy was not waited for";
    }
    memory.read[warp] = clocks_[warp][warp];
  }
  return "";
}

}  // namespace prs::cuda::emulated
