// A convolutional network from its pixels on tensor cores, bf16, fp16 or of 8-bit integers: (Conv,
// activation, MaxPool) x n, and dense layers where their weights are few; what lies between stays
// in shared memory, in the kernel's 16-bit type or in bytes (cnn_mma_numbers.hpp). A block takes
// groups of images by turns, and of a group `tile` images at once through the convolutions.
//
// A convolution is a product that nobody writes down: rows are positions, columns filters, k the
// filter's taps with their channels. Activations lie channels innermost, so that ldmatrix picks a
// position's run of 16 bytes wherever the tap is; images of few channels lie so that a word of
// neighbours is one load (MmaPlanes). A warp keeps the sums of all positions of a pool's window,
// for 16 places of the pool's result, and takes the largest in registers.
//
// Why 64 positions x 32 filters: a step of k reads 4 x 512 bytes of A and 4 x 256 of B for 16
// instructions: at 128 bytes a cycle 24 cycles of a multiprocessor's shared memory, beside 32 of
// its tensor cores on compute capability 8.0 (1024 multiply-adds a cycle; 16 on 9.0, should
// mma.sync reach its full rate, and then shared memory is the limit). Fewer positions or filters
// read more bytes an instruction; more would need more than 128 registers a thread, and so leave no
// room for a second block, whose work fills what barriers leave idle.
#include "kernels/families.hpp"
#include "kernels/fused/cnn_mma_numbers.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kBlock = static_cast<int>(kThreads);
constexpr int kWarps = static_cast<int>(kThreads / kWarpSize);
constexpr int kLanes = static_cast<int>(kWarpSize);

PRS_DEVICE int warp_number() { return static_cast<int>(thread_x()) / kLanes; }

PRS_DEVICE int quotient(int x, const Divisor& by) {
  return static_cast<int>(static_cast<std::uint64_t>(x) * by.multiplier >> 31);
}

PRS_DEVICE CnnRound round_at(const CnnMmaArgs& args, int group, int in_group) {
  const int image0 = group * args.group + in_group;
  int images = args.group - in_group < args.tile ? args.group - in_group : args.tile;
  if (args.images - image0 < images) images = args.images - image0;
  return {image0, images, in_group};
}

/// Where a run lies, in halfwords behind its image's first.
PRS_DEVICE int run_at(const MmaPlanes& planes, int number) {
  return (number ^ (number >> planes.shift & planes.mask)) * 8;
}

// ---- images in ----------------------------------------------------------------------------------

PRS_DEVICE void stage(const CnnMmaArgs& args, const CnnMemory& s, const CnnRound& round) {
  const std::int64_t image_bytes = std::int64_t{args.image_elements} * (args.pixels ? 1 : 4);
  const auto* from =
      static_cast<const std::uint8_t*>(args.x) + std::int64_t{round.image0} * image_bytes;
  const int bytes = round.images * static_cast<int>(image_bytes);
  for (int i = static_cast<int>(thread_x()) * 16; i < bytes; i += kBlock * 16) {
    copy_async<16>(s.bytes, args.staging + i, from + i);
  }
  commit_copies();
}

/// The images' numbers, with padding around them and behind their channels.
template <typename Numbers>
PRS_DEVICE void load_images(const CnnMmaArgs& args, const CnnMemory& s, const CnnRound& round) {
  constexpr int kPack = Numbers::kPack;
  const MmaPlanes& to = args.planes[0];
  const int area = to.height * to.width;
  const int plane = to.rows * to.columns;
  const int channels = args.image_elements / plane;
  for (int image = 0; image < round.images; ++image) {
    for (int i = static_cast<int>(thread_x()); i < to.channels * area; i += kBlock) {
      const int channel = quotient(i, args.input_area);
      const int position = i - channel * area;
      const int row = quotient(position, args.input_width);
      const int column = position - row * to.width - to.left;
      const int from_row = row - to.top;
      auto number = Numbers::padding(to);
      if (from_row >= 0 && from_row < to.rows && column >= 0 && column < to.columns &&
          channel < channels) {
        number = Numbers::input_of(
            args, s, round, channel,
            image * args.image_elements + channel * plane + from_row * to.columns + column);
      }
      const int at = (to.first + image * to.image_pitch) * kPack;
      if (args.neighbours) {
        PRS_UNROLL
        for (int copy = 0; copy < 2 * kPack; ++copy) {
          if (i >= copy) Numbers::store(s, at + copy * to.copy * kPack + i - copy, number);
        }
      } else {
        const int run = position * to.runs + channel / (8 * kPack);
        Numbers::store(s, at + run_at(to, run) * kPack + channel % (8 * kPack), number);
      }
    }
  }
}

/// Padding where a convolution will write its result, for what stands around that.
PRS_DEVICE void clear(const MmaPlanes& planes, const CnnMemory& s, int images) {
  const int end = (planes.first + images * planes.image_pitch) / 2;
  for (int i = planes.first / 2 + static_cast<int>(thread_x()); i < end; i += kBlock) {
    s.words.store(i, planes.padding);
  }
}

// ---- convolutions -------------------------------------------------------------------------------

struct Place {
  int image, row, column;
};

PRS_DEVICE Place place_of(const MmaConvLayer& layer, int number) {
  Place place;
  place.image = quotient(number, layer.places);
  const int in_image = number - place.image * layer.places.divisor;
  place.row = quotient(in_image, layer.row_places);
  place.column = in_image - place.row * layer.row_places.divisor;
  return place;
}

/// What a convolution of one round reads and writes: copies, which the compiler keeps in registers
/// where it would read arguments again behind every matrix instruction.
struct Stage {
  MmaConvLayer layer;
  MmaPlanes from;
  MmaPlanes to;
  bool leaves;  ///< The result goes to y, not to `to`.
  int images;
  int to_image;  ///< The first image's number in `to`.
  int image0;
};

template <typename Numbers, int kPool, int kColumns, bool kNeighbours>
struct Convolution {
  using Sum = typename Numbers::Sum;
  static constexpr int kTiles = kPool == 1 ? kMmaPlaces / 16 : kPool * kPool;
  static constexpr int kPlaces = kPool == 1 ? kMmaPlaces : 16;  ///< Of a unit.
  static constexpr int kResults = kPlaces / 16;
  static constexpr int kPack = Numbers::kPack;
  static_assert(kPlaces * (kPool == 1 ? 1 : kTiles) == kTiles * 16, "a tile has 16 rows");

  /// The two rows of A's fragments that a thread has.
  PRS_DEVICE static int row(int half) { return static_cast<int>(lane()) / 4 + half * 8; }

  PRS_DEVICE static void load_columns(const Shared<std::uint32_t>& s, int at,
                                      FragmentB (&b)[kColumns]) {
    const int l = static_cast<int>(lane());
    if constexpr (kColumns == 1) {
      load_words(s, at + l * 2, b[0]);
    } else {
      PRS_UNROLL
      for (int n = 0; n < kColumns; n += 2) {
        std::uint32_t r[4];
        load_words(s, at + n * kLanes * 2 + l * 4, r);
        b[n][0] = r[0];
        b[n][1] = r[1];
        b[n + 1][0] = r[2];
        b[n + 1][1] = r[3];
      }
    }
  }

  /// Where a window begins: the image's first halfword, and the run or, of neighbours, the number
  /// behind that.
  struct Origin {
    int base, number;
  };
  PRS_DEVICE static Origin origin_of(const Stage& stage, int place0, int tile, int tile_row) {
    const MmaConvLayer& layer = stage.layer;
    const int last = stage.images * layer.places.divisor - 1;
    const int number = place0 + (kPool == 1 ? tile * 16 : 0) + tile_row;
    // Rows past the last place compute what nobody stores.
    const Place place = place_of(layer, number < last ? number : last);
    int from = place.row * layer.down + place.column * layer.right;
    if (kPool > 1) from += tile / kPool * layer.window_down + tile % kPool * layer.window_right;
    return {stage.from.first + place.image * stage.from.image_pitch, from};
  }

  /// sums[tile * kColumns + n] += the products of all steps.
  PRS_DEVICE static void multiply(const Stage& stage, const CnnMemory& s, int place0, int group,
                                  Sum (&sums)[kTiles * kColumns][4]) {
    const MmaConvLayer& layer = stage.layer;
    const int l = static_cast<int>(lane());
    int weights = layer.weights + group * layer.steps * kColumns * kLanes * 2;
    if constexpr (kNeighbours) {
      constexpr int kInWord = 2 * kPack;  // Numbers.
      int at[kTiles][2];
      PRS_UNROLL
      for (int p = 0; p < kTiles; ++p) {
        for (int half = 0; half < 2; ++half) {
          const Origin origin = origin_of(stage, place0, p, row(half));
          const int copy = origin.number % kInWord;
          at[p][half] = (origin.base + copy * stage.from.copy) / 2 + origin.number / kInWord;
        }
      }
      for (int step = 0; step < layer.steps; ++step, weights += kColumns * kLanes * 2) {
        FragmentB b[kColumns];
        load_columns(s.words, weights, b);
        std::uint32_t low[2];
        std::uint32_t high[2];
        load_words(s.words, layer.taps + (step * 8 + l % 4) * 2, low);
        load_words(s.words, layer.taps + (step * 8 + 4 + l % 4) * 2, high);
        PRS_UNROLL
        for (int p = 0; p < kTiles; ++p) {
          const FragmentA a = {
              Numbers::kept(s.words.load(at[p][0] + static_cast<int>(low[0])), low[1]),
              Numbers::kept(s.words.load(at[p][1] + static_cast<int>(low[0])), low[1]),
              Numbers::kept(s.words.load(at[p][0] + static_cast<int>(high[0])), high[1]),
              Numbers::kept(s.words.load(at[p][1] + static_cast<int>(high[0])), high[1])};
          PRS_UNROLL
          for (int n = 0; n < kColumns; ++n) Numbers::multiply(sums[p * kColumns + n], a, b[n]);
        }
      }
    } else {
      Origin origins[kResults];
      PRS_UNROLL
      for (int q = 0; q < kResults; ++q) origins[q] = origin_of(stage, place0, q, l % 16);
      for (int step = 0; step < layer.steps; ++step, weights += kColumns * kLanes * 2) {
        FragmentB b[kColumns];
        load_columns(s.words, weights, b);
        const int tap = static_cast<int>(s.words.load(layer.taps + step * 2 + l / 16));
        // What the last step reads past the last run is some position's, and may be infinite.
        const std::uint32_t upper = layer.half && step == layer.steps - 1 ? 0 : ~0u;
        PRS_UNROLL
        for (int p = 0; p < kTiles; ++p) {
          const Origin& origin = origins[kPool == 1 ? p : 0];
          int run = origin.number + tap;
          if (kPool > 1) run += p / kPool * layer.window_down + p % kPool * layer.window_right;
          FragmentA a;
          load_matrix_x4(a, s.halfwords, origin.base + run_at(stage.from, run));
          a[2] &= upper;
          a[3] &= upper;
          PRS_UNROLL
          for (int n = 0; n < kColumns; ++n) Numbers::multiply(sums[p * kColumns + n], a, b[n]);
        }
      }
    }
  }

  /// results[q * kColumns + n] of 16 places and 8 filters each.
  PRS_DEVICE static void store(const Stage& stage, const CnnMmaArgs& args, const CnnMemory& s,
                               int place0, int group,
                               const float (&results)[kResults * kColumns][4]) {
    const MmaConvLayer& layer = stage.layer;
    const int places = layer.places.divisor;
    const int t = static_cast<int>(lane()) % 4;
    PRS_UNROLL
    for (int q = 0; q < kResults; ++q) {
      for (int half = 0; half < 2; ++half) {
        const int number = place0 + q * 16 + row(half);
        if (number >= stage.images * places) continue;
        const Place place = place_of(layer, number);
        const int position =
            (place.row + stage.to.top) * stage.to.width + place.column + stage.to.left;
        const int base = stage.to.first + (stage.to_image + place.image) * stage.to.image_pitch;
        const std::int64_t plane0 = std::int64_t{stage.image0 + place.image} * layer.filters;
        PRS_UNROLL
        for (int n = 0; n < kColumns; ++n) {
          const int eight = group * kColumns + n;  // Of the filters.
          const float low = results[q * kColumns + n][half * 2];
          const float high = results[q * kColumns + n][half * 2 + 1];
          if (!stage.leaves) {
            const int at = base + run_at(stage.to, position * stage.to.runs + eight / kPack);
            if (eight * 8 < stage.to.channels) {
              Numbers::put_pair(s, at + (eight % kPack * 8 + t * 2) / kPack, layer,
                                layer.filters - eight * 8 - t * 2, low, high);
            }
            continue;
          }
          for (int i = 0; i < 2; ++i) {
            const int filter = eight * 8 + t * 2 + i;
            if (filter >= layer.filters) continue;
            const std::int64_t at = (plane0 + filter) * places + number - place.image * places;
            Numbers::leave(args, layer, at, i == 0 ? low : high);
          }
        }
      }
    }
  }

  /// Convolution `number`. (Shared memory is looked up here: its addresses, handed over, would be
  /// any memory's.)
  PRS_OUT_OF_LINE static void run(const CnnMmaArgs& args, int number, int image0, int images,
                                  int in_group) {
    const auto s = CnnMemory::of(args);
    const bool last = number == args.convolutions - 1;
    const Stage stage = {args.conv_layers[number],
                         args.planes[number],
                         args.planes[number + 1],
                         last && args.dense == 0,
                         images,
                         last ? in_group : 0,
                         image0};
    const MmaConvLayer& layer = stage.layer;
    const int places = stage.images * layer.places.divisor;
    const int units = (places + kPlaces - 1) / kPlaces * layer.groups;
    for (int unit = warp_number(); unit < units; unit += kWarps) {
      const int group = unit % layer.groups;
      const int place0 = unit / layer.groups * kPlaces;
      const int column = group * kColumns * 8 + static_cast<int>(lane()) % 4 * 2;
      Sum sums[kTiles * kColumns][4];
      Numbers::template begin<kColumns>(layer, s, column, sums);
      multiply(stage, s, place0, group, sums);
      if constexpr (kPool > 1) {
        // Bias and activation never turn the order of two sums around (plan_cnn_mma sees to it).
        PRS_UNROLL
        for (int i = kColumns; i < kTiles * kColumns; ++i) {
          for (int j = 0; j < 4; ++j) {
            sums[i % kColumns][j] = Numbers::larger_of(sums[i][j], sums[i % kColumns][j]);
          }
        }
      }
      float results[kResults * kColumns][4];
      Numbers::template finish<kColumns>(layer, s, column, sums, results);
      store(stage, args, s, place0, group, results);
    }
  }
};

/// The shapes of a unit that there are: mma_columns() in the plan chooses among them.
template <typename Numbers>
PRS_DEVICE void convolve(const CnnMmaArgs& args, int number, const CnnRound& round) {
  const MmaConvLayer& layer = args.conv_layers[number];
  const bool wide = layer.columns == 4;
  const auto run = [&](auto convolution) {
    decltype(convolution)::run(args, number, round.image0, round.images, round.in_group);
  };
  if (number == 0 && args.neighbours) {
    if (layer.pool == 1) return run(Convolution<Numbers, 1, 4, true>());
    if (wide) return run(Convolution<Numbers, 2, 4, true>());
    return run(Convolution<Numbers, 2, 1, true>());
  }
  if (layer.pool == 1) return run(Convolution<Numbers, 1, 4, false>());
  if (layer.pool == 3) return run(Convolution<Numbers, 3, 2, false>());
  if (wide) return run(Convolution<Numbers, 2, 4, false>());
  return run(Convolution<Numbers, 2, 2, false>());
}

template <typename Numbers>
PRS_DEVICE void convolve_all(const CnnMmaArgs& args, const CnnMemory& s, const CnnRound& round) {
  for (int i = 0; i < args.convolutions; ++i) {
    const MmaPlanes& to = args.planes[i + 1];
    if (to.borders && !to.alone) {
      clear(to, s, round.images);
      sync_threads();
    }
    convolve<Numbers>(args, i, round);
    sync_threads();
  }
}

// ---- dense layers -------------------------------------------------------------------------------

/// Sums of kMmaImages images over a slice of k for each unit: a warp a unit and slice.
template <typename Numbers>
PRS_DEVICE void multiply_slices(const CnnMmaArgs& args, const MmaDenseLayer& layer, int from,
                                int pitch, const CnnMemory& s) {
  constexpr int kAhead = 4;  ///< Steps whose weights, from the second-level cache, come together.
  const int l = static_cast<int>(lane());
  const int image = l % 16 < args.group ? l % 16 : args.group - 1;
  for (int i = warp_number(); i < layer.units * layer.slices; i += kWarps) {
    const int unit = i % layer.units;
    const int slice = i / layer.units;
    const int begin = slice * layer.steps / layer.slices;
    const int end = (slice + 1) * layer.steps / layer.slices;
    const std::uint32_t* weights = args.constants + layer.weights +
                                   static_cast<std::int64_t>(unit) * layer.steps * kLanes * 4 +
                                   l * 4;
    typename Numbers::Sum sums[kDenseTiles][4] = {};
    for (int step0 = begin; step0 < end; step0 += kAhead) {
      std::uint32_t b[kAhead][4];
      PRS_UNROLL
      for (int j = 0; j < kAhead; ++j) {
        if (step0 + j < end) load_words(weights + (step0 + j) * kLanes * 4, b[j]);
      }
      PRS_UNROLL
      for (int j = 0; j < kAhead; ++j) {
        const int step = step0 + j;
        if (step >= end) continue;
        FragmentA a;
        const bool half = layer.half && step == layer.steps - 1;
        load_matrix_x4(a, s.halfwords, from + image * pitch + step * 16 + (half ? 0 : l / 16 * 8));
        const std::uint32_t upper = half ? 0 : ~0u;
        a[2] &= upper;
        a[3] &= upper;
        PRS_UNROLL
        for (int n = 0; n < kDenseTiles; ++n) {
          const FragmentB r_b = {b[j][n * 2], b[j][n * 2 + 1]};
          Numbers::multiply(sums[n], a, r_b);
        }
      }
    }
    const int width = layer.units * kDenseTiles * 8;
    PRS_UNROLL
    for (int n = 0; n < kDenseTiles; ++n) {
      for (int j = 0; j < 4; ++j) {
        const int row = l / 4 + j / 2 * 8;
        Numbers::sums_of(s).store(args.sums + (slice * kMmaImages + row) * width +
                                      (unit * kDenseTiles + n) * 8 + l % 4 * 2 + j % 2,
                                  sums[n][j]);
      }
    }
  }
}

/// Bias and activation of the slices' sums: to the next layer at `to`, to y, or, for the largest,
/// back to slice 0.
template <typename Numbers>
PRS_DEVICE void finish_dense(const CnnMmaArgs& args, const MmaDenseLayer& layer, bool last, int to,
                             int image0, int images, const CnnMemory& s) {
  const int width = layer.units * kDenseTiles * 8;
  for (int i = static_cast<int>(thread_x()); i < images * width; i += kBlock) {
    const int image = i / width;
    const int n = i - image * width;
    typename Numbers::Sum sum{};
    for (int slice = 0; slice < layer.slices; ++slice) {
      sum += Numbers::sums_of(s).load(args.sums + slice * kMmaImages * width + i);
    }
    const float value = Numbers::dense_value(args, layer, n, sum);
    if (!last) {
      Numbers::put(s, (to + image * args.hidden_pitch) * Numbers::kPack + n, layer,
                   n < layer.outputs, value);
    } else if (args.result == MmaResult::kLargest) {
      s.floats.store(args.sums + i, Numbers::score(args, value));
    } else if (n < layer.outputs) {
      Numbers::leave(args, layer, std::int64_t{image0 + image} * layer.outputs + n,
                     Numbers::score(args, value));
    }
  }
}

template <typename Numbers>
PRS_OUT_OF_LINE void multiply_all(const CnnMmaArgs& args, int image0, int images) {
  const auto s = CnnMemory::of(args);
  int from = args.features;
  int pitch = args.features_pitch;
  for (int i = 0; i < args.dense; ++i) {
    const MmaDenseLayer layer = args.dense_layers[i];
    multiply_slices<Numbers>(args, layer, from, pitch, s);
    sync_threads();
    finish_dense<Numbers>(args, layer, i == args.dense - 1, args.hidden[i % 2], image0, images, s);
    from = args.hidden[i % 2];
    pitch = args.hidden_pitch;
    sync_threads();
  }
  if (args.result != MmaResult::kLargest) return;
  const MmaDenseLayer& layer = args.dense_layers[args.dense - 1];
  const int width = layer.units * kDenseTiles * 8;
  for (int i = warp_number(); i < images; i += kWarps) {
    const std::int64_t largest = warp_arg_max(
        layer.outputs, args.scores == Scores::kLastLargest,
        [&](std::int64_t n) { return s.floats.load(args.sums + i * width + static_cast<int>(n)); });
    if (lane() == 0) static_cast<std::int64_t*>(args.y)[image0 + i] = largest;
  }
}

// ---- the kernel ---------------------------------------------------------------------------------

/// Two blocks a multiprocessor: 128 registers a thread.
template <typename Numbers>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256, 2) fused_cnn_mma(PRS_GRID_CONSTANT CnnMmaArgs args) {
  const auto s = CnnMemory::of(args);
  for (int i = static_cast<int>(thread_x()) * 4; i < args.resident; i += kBlock * 4) {
    copy_async<16>(s.words, i, args.constants + i);
  }
  commit_copies();
  int group = static_cast<int>(block_x());
  if (args.staged) stage(args, s, round_at(args, group, 0));
  for (int i = 1; i < args.convolutions; ++i) {
    if (args.planes[i].borders && args.planes[i].alone) clear(args.planes[i], s, args.tile);
  }
  const int stride = static_cast<int>(grid_x());
  for (; group < args.groups; group += stride) {
    CnnRound round = round_at(args, group, 0);
    while (round.images > 0) {
      wait_copies<0>();
      // Also: everybody is done with the round before, and with what is cleared once.
      sync_threads();
      load_images<Numbers>(args, s, round);
      sync_threads();
      CnnRound next = round_at(args, group, round.in_group + args.tile);
      const bool more = next.images > 0;
      if (!more && group + stride < args.groups) next = round_at(args, group + stride, 0);
      if (args.staged && next.images > 0) stage(args, s, next);
      convolve_all<Numbers>(args, s, round);
      if (!more) break;
      round = next;
    }
    if (args.dense > 0) {
      multiply_all<Numbers>(args, group * args.group, round.in_group + round.images);
    }
  }
}

}  // namespace

void add_fused_cnn_mma_kernels(KernelTable& table) {
  add(table, KernelId::kCnnBf16Mma, fused_cnn_mma<CnnHalves<ElementBf16>>);
  add(table, KernelId::kCnnF16Mma, fused_cnn_mma<CnnHalves<ElementF16>>);
  add(table, KernelId::kCnnU8S8Mma, fused_cnn_mma<CnnBytes>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
