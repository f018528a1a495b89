// Products by wgmma, as mma.hpp has them by mma.sync: compute capability 9.0 alone.
//
// A block is a warpgroup, or two, each with 64 rows of the tile and all of its columns, up to 256:
// whatever gathers A, windows say, does so once for all of them. Both operands lie in shared memory
// as wgmma takes them, rows of 128 bytes along k whose chunks are swizzled (hopper.hpp). B comes
// packed like that, a stage by one bulk copy, into a ring of kWgmmaSlots. A is gathered through
// registers, while the stage before is multiplied, into one of two buffers (GatheredRows), or
// copied by cp.async into as many as B has (CopiedRows).
//
// One barrier of the block a stage: behind it A's stage is whole, and everybody is done with the
// stage before, whose slots the next copies take.
#pragma once

#include "device/hopper.hpp"
#include "kernels/mma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// The elements of mma.hpp, and their product of 32 bytes of k with both operands in shared memory.
struct WgmmaBf16 : ElementBf16 {
  template <int kColumns>
  PRS_DEVICE static void multiply_shared(float (&d)[kColumns / 8][4], std::uint64_t a,
                                         std::uint64_t b) {
    wgmma_m64k16_bf16<kColumns>(d, a, b);
  }
};
struct WgmmaF16 : ElementF16 {
  template <int kColumns>
  PRS_DEVICE static void multiply_shared(float (&d)[kColumns / 8][4], std::uint64_t a,
                                         std::uint64_t b) {
    wgmma_m64k16_f16<kColumns>(d, a, b);
  }
};

struct WgmmaTf32 : ElementTf32 {
  template <int kColumns>
  PRS_DEVICE static void multiply_shared(float (&d)[kColumns / 8][4], std::uint64_t a,
                                         std::uint64_t b) {
    wgmma_m64k8_tf32<kColumns>(d, a, b);
  }
};
struct WgmmaU8S8 : ElementU8S8 {
  template <int kColumns>
  PRS_DEVICE static void multiply_shared(std::int32_t (&d)[kColumns / 8][4], std::uint64_t a,
                                         std::uint64_t b) {
    wgmma_m64k32_u8s8<kColumns>(d, a, b);
  }
};

template <typename ElementType, int kTileColumns>
struct WgmmaTile {
  using Element = ElementType;
  using T = typename Element::T;
  using Sum = typename Element::Sum;
  static constexpr int kColumns = kTileColumns;
  static constexpr int kDepth = kWgmmaRowBytes / static_cast<int>(sizeof(T));
  static constexpr int kChunk = 16 / static_cast<int>(sizeof(T));
  static constexpr int kTiles = kColumns / 8;
  using Sums = Sum[kTiles][4];
  static constexpr bool kShortFunctions = true;

  PRS_DEVICE static int rows() { return static_cast<int>(block_dim_x()) / 2; }
  /// Where element i of accumulator n of this thread lies in the tile.
  PRS_DEVICE static int row(int i) {
    return static_cast<int>(thread_x() / kWarpSize) * 16 + static_cast<int>(lane()) / 4 + i / 2 * 8;
  }
  PRS_DEVICE static int column(int n, int i) {
    return n * 8 + static_cast<int>(lane()) % 4 * 2 + i % 2;
  }
};

/// A chunk of 16 bytes.
template <typename Element>
PRS_DEVICE void pack_chunk(const float (&values)[8], std::uint32_t (&words)[4]) {
  PRS_UNROLL
  for (int i = 0; i < 4; ++i) words[i] = Element::pair_of(values[2 * i], values[2 * i + 1]);
}
template <typename Element>
PRS_DEVICE void pack_chunk(const typename Element::Value (&values)[4], std::uint32_t (&words)[4]) {
  PRS_UNROLL
  for (int i = 0; i < 4; ++i) words[i] = Element::of(values[i]);
}

inline constexpr int kRowWords = kWgmmaRowBytes / 4;

/// Where a chunk of 16 bytes of a row lies, in words from the first row on.
PRS_DEVICE int chunk_at(int row, int chunk) { return row * kRowWords + (chunk ^ row % 8) * 4; }

/// B's stages. All threads call; the first one copies.
template <typename Tile>
class ColumnStages {
 public:
  const Shared<std::uint32_t> slots;

  /// In the launch's shared memory, from that byte on. Before begin() comes a barrier of the block.
  PRS_DEVICE explicit ColumnStages(int first_byte)
      : slots(dynamic_shared_1024<std::uint32_t>(first_byte, kWgmmaSlots * kSlotWords)),
        full_(dynamic_shared_1024<std::uint64_t>(first_byte + kWgmmaSlots * kSlotWords * 4,
                                                 kWgmmaSlots)) {
    if (thread_x() == 0) {
      for (int i = 0; i < kWgmmaSlots; ++i) barrier_init(full_, i, 1);
      fence_async();
    }
  }

  /// A row of stages that begins at `packed`.
  PRS_DEVICE void begin(const typename Tile::T* packed, std::int64_t stages) {
    next_ = static_cast<const std::uint32_t*>(static_cast<const void*>(packed));
    left_ = stages;
    for (int i = 0; i < kWgmmaSlots - 1; ++i) copy((at_ + i) % kWgmmaSlots);
  }
  /// The next stage to the slot of the one before the current: nobody reads that any more.
  PRS_DEVICE void copy_ahead() { copy((at_ + kWgmmaSlots - 1) % kWgmmaSlots); }
  /// Where the current stage lies, once it is there.
  PRS_DEVICE int wait() const {
    barrier_wait(full_, at_, round_ % 2);
    return at_ * kSlotWords;
  }
  PRS_DEVICE void advance() {
    if (++at_ < kWgmmaSlots) return;
    at_ = 0;
    ++round_;
  }

 private:
  static constexpr int kSlotWords = Tile::kColumns * kRowWords;

  PRS_DEVICE void copy(int slot) {
    if (left_ == 0) return;
    --left_;
    if (thread_x() == 0) {
      barrier_arrive_expecting(full_, slot, kSlotWords * 4);
      copy_bulk(slots, slot * kSlotWords, next_, kSlotWords * 4, full_, slot);
    }
    next_ += kSlotWords;
  }

  const Shared<std::uint64_t> full_;
  const std::uint32_t* next_ = nullptr;
  std::int64_t left_ = 0;  ///< To be copied.
  int at_ = 0;             ///< The slot of the current stage.
  unsigned round_ = 0;     ///< How often the ring went around.
};

/// A by way of registers: source.run(row, k, values) gives the elements of a chunk.
template <typename Tile, typename Source>
class GatheredRows {
 public:
  static constexpr int kBuffers = kWgmmaGatherBuffers;

  PRS_DEVICE GatheredRows(const Source& source, std::int64_t stages)
      : source_(source), stages_(stages) {}

  PRS_DEVICE void begin() { fetch(0); }
  /// What this thread has of the stage, to its buffer, which begins at `to`.
  PRS_DEVICE void publish(const Shared<std::uint32_t>& buffers, int to) const {
    PRS_UNROLL
    for (int j = 0; j < kChunks; ++j) {
      std::uint32_t words[4];
      pack_chunk<typename Tile::Element>(values_[j], words);
      store_words(buffers, to + chunk_at(row(j), chunk(j)), words);
    }
  }
  /// What can be done for later stages while that one is multiplied.
  PRS_DEVICE void prepare(std::int64_t stage) {
    if (stage + 1 < stages_) fetch(stage + 1);
  }

 private:
  /// A row has 8, and two threads.
  static constexpr int kChunks = 4;

  PRS_DEVICE static int row(int j) {
    const int thread = static_cast<int>(thread_x());
    return Source::kAlongK ? thread / 8 + j * (Tile::rows() / 4) : thread % Tile::rows();
  }
  PRS_DEVICE static int chunk(int j) {
    const int thread = static_cast<int>(thread_x());
    return Source::kAlongK ? thread % 8 : thread / Tile::rows() + 2 * j;
  }
  PRS_DEVICE void fetch(std::int64_t stage) {
    PRS_UNROLL
    for (int j = 0; j < kChunks; ++j) {
      source_.run(row(j), stage * Tile::kDepth + chunk(j) * Tile::kChunk, values_[j]);
    }
  }

  const Source source_;
  std::int64_t stages_;
  typename Tile::Element::Value values_[kChunks][Tile::kChunk];
};

/// sums += A * B over the stages of one column tile. Shared: wgmma_shared_bytes().
template <typename Tile, typename Rows>
PRS_DEVICE void wgmma_stages(const Shared<std::uint32_t>& buffers, ColumnStages<Tile>& columns,
                             Rows& rows, const typename Tile::T* packed, std::int64_t stages,
                             typename Tile::Sums& sums) {
  const int buffer_words = Tile::rows() * kRowWords;
  const int own_rows = static_cast<int>(thread_x()) / 128 * 64 * kRowWords;
  columns.begin(packed, stages);
  rows.begin();
  for (std::int64_t stage = 0; stage < stages; ++stage) {
    const int to = static_cast<int>(stage % Rows::kBuffers) * buffer_words;
    rows.publish(buffers, to);
    fence_async();
    sync_threads();
    columns.copy_ahead();
    const int b = columns.wait();
    warpgroup_fence();
    PRS_UNROLL
    for (int step = 0; step < 4; ++step) {
      Tile::Element::template multiply_shared<Tile::kColumns>(
          sums, matrix_descriptor(buffers, to + own_rows + step * 8),
          matrix_descriptor(columns.slots, b + step * 8));
    }
    warpgroup_commit();
    rows.prepare(stage);
    warpgroup_wait(sums);
    columns.advance();
  }
  // A next call begins with a buffer that others may still multiply.
  sync_threads();
}

/// As MmaProducts.
template <typename TileType>
class WgmmaProducts {
 public:
  using Tile = TileType;

  PRS_DEVICE WgmmaProducts()
      : buffers_(
            dynamic_shared_1024<std::uint32_t>(0, kWgmmaGatherBuffers * Tile::rows() * kRowWords)),
        columns_(kWgmmaGatherBuffers * Tile::rows() * kWgmmaRowBytes) {
    sync_threads();
  }

  template <typename Source>
  PRS_DEVICE void add(const typename Tile::T* packed, std::int64_t stages, const Source& source,
                      typename Tile::Sums& sums) {
    GatheredRows<Tile, Source> rows(source, stages);
    wgmma_stages<Tile>(buffers_, columns_, rows, packed, stages, sums);
  }

 private:
  const Shared<std::uint32_t> buffers_;
  ColumnStages<Tile> columns_;
};

}  // namespace prs::cuda::PRS_CUDA_WORLD
