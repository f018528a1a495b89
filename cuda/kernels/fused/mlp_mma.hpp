// A whole multi-layer perceptron on tensor cores: pixels in, scores or the best class out, and what
// lies between stays in registers. A warp takes 16 images through all layers, a block of 8 warps
// 128 (or 64, with four of them); blocks stay and take tile after tile.
//
// As a loop nest, for an image:
//   for layer: for column: sum = 0; for k: sum += in[k] * weights[column][k]
//              for column: in'[column] = function(scale * sum + bias)
// One product of 16 inputs takes what the accumulators of two neighbouring tiles of 8 columns hold
// at the very places where they are (PTX ISA, "Matrix Fragments for mma.m16n8k16"): so sums become
// the next layer's operand by rounding alone. Pixels become the first one's in registers too, in
// the order of mlp_mma_input().
//
// Of 8-bit integers a product takes 32 inputs, what the accumulators of four tiles hold: weights
// are packed in the order in which they lie there (mlp_u8s8_input()), and requantising, the CPU's
// operations one by one, is what rounding is to floats. All bytes between layers are u8, those of
// i8 128 steps further up.
//
// Only weights go through shared memory, each once a tile: a ring of stages, filled ahead, across
// the borders of layers and tiles. That decides the tile. The network 784-256-128-10 has 470 KB of
// 16-bit weights and 0.47 MFLOP an image. A multiprocessor of compute capability 9.0 computes 4096
// FLOP a cycle, so 64 images take it 7,300 cycles at the least: 64 bytes of weights a cycle, all
// that the way from L2 carries. With 128 images it is half of that.
//
// A Product is the instruction and a Weights the way of the stages, for those of compute capability
// 8.0 (mlp_mma.cu) and of 9.0 (mlp_wgmma.cu):
//   Product::kColumns      of a layer at most
//   Product::Element       Sum, f32 or i32; of 16 bits pair_of(), which rounds two numbers
//   product(computes)      `computes`: this warp has images
//   product.multiply(slots, at, columns, steps, a, sums)   sums += a * the stage at slots[at]
//   Weights(args, stages), weights.slots    of so many stages; by every thread, as what follows
//   weights.begin()                         after a barrier of the block
//   weights.acquire()                       where the next stage begins in slots, once it is there
//   weights.release()                       this warp is done with it
#pragma once

#include <type_traits>

#include "kernels/common.hpp"
#include "kernels/families.hpp"
#include "kernels/fused/args.hpp"
#include "kernels/mma.hpp"
#include "kernels/requantize.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Walks the stages of all layers, from the first again after the last.
class StageCursor {
 public:
  PRS_DEVICE explicit StageCursor(const MlpMmaArgs& args) : args_(args) {}

  PRS_DEVICE const std::uint16_t* weights() const {
    return static_cast<const std::uint16_t*>(args_.weights) + offset_;
  }
  PRS_DEVICE int words() const { return args_.layers[layer_].columns * kStageDepth; }
  PRS_DEVICE void advance() {
    offset_ += words();
    step_ += kStageSteps;
    if (step_ < args_.layers[layer_].steps) return;
    step_ = 0;
    if (++layer_ < args_.depth) return;
    layer_ = 0;
    offset_ = 0;
  }

 private:
  const MlpMmaArgs& args_;
  std::int64_t offset_ = 0;
  int layer_ = 0;
  int step_ = 0;
};

/// What a thread holds of a stage's inputs as they are in memory: of images `lane / 4` and 8 more
/// of its warp's 16, kOwn of each for a product.
struct RawPixels {
  using T = std::uint8_t;
  static constexpr int kOwn = 4;
  std::uint32_t words[2][4];

  PRS_DEVICE void clear(int row) {
    PRS_UNROLL
    for (int step = 0; step < 4; ++step) words[row][step] = 0;
  }
  PRS_DEVICE void load_all(int row, const T* from) {
    load_words(reinterpret_cast<const std::uint32_t*>(from), words[row]);
  }
  PRS_DEVICE void load_one(int row, int step, const T* from) {
    words[row][step] = *reinterpret_cast<const std::uint32_t*>(from);
  }
  PRS_DEVICE void set(int row, int i, T value) {
    words[row][i / 4] |= std::uint32_t{value} << (8 * (i % 4));
  }
  /// Exact: 2^23 + x for an integer x below 2^23 has x as its low bits.
  PRS_DEVICE float at(int row, int i) const {
    const std::uint32_t byte = static_cast<std::uint32_t>(i % 4);
    return bits_float(permute_bytes(words[row][i / 4], 0x4B000000u, 0x7440u + byte)) - 8388608.0F;
  }
};

struct RawFloats {
  using T = float;
  static constexpr int kOwn = 4;
  float values[2][16];

  PRS_DEVICE void clear(int row) {
    PRS_UNROLL
    for (int i = 0; i < 16; ++i) values[row][i] = 0.0F;
  }
  PRS_DEVICE void load_all(int row, const T* from) {
    PRS_UNROLL
    for (int step = 0; step < 4; ++step) load_one(row, step, from + step * 4);
  }
  PRS_DEVICE void load_one(int row, int step, const T* from) {
    const Float4 v = load4(from);
    values[row][step * 4] = v.x;
    values[row][step * 4 + 1] = v.y;
    values[row][step * 4 + 2] = v.z;
    values[row][step * 4 + 3] = v.w;
  }
  PRS_DEVICE void set(int row, int i, T value) { values[row][i] = value; }
  PRS_DEVICE float at(int row, int i) const { return values[row][i]; }
};

/// Which are a product's operand as they are.
struct RawBytes {
  using T = std::uint8_t;
  static constexpr int kOwn = 8;
  std::uint32_t words[2][8];

  PRS_DEVICE void clear(int row) {
    PRS_UNROLL
    for (int i = 0; i < 8; ++i) words[row][i] = 0;
  }
  PRS_DEVICE void load_all(int row, const T* from) {
    PRS_UNROLL
    for (int half = 0; half < 2; ++half) {
      std::uint32_t four[4];
      load_words(reinterpret_cast<const std::uint32_t*>(from + half * 16), four);
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) words[row][half * 4 + i] = four[i];
    }
  }
  PRS_DEVICE void load_one(int row, int step, const T* from) {
    std::uint32_t two[2];
    load_words(reinterpret_cast<const std::uint32_t*>(from), two);
    words[row][step * 2] = two[0];
    words[row][step * 2 + 1] = two[1];
  }
  PRS_DEVICE void set(int row, int i, T value) {
    words[row][i / 4] |= std::uint32_t{value} << (8 * (i % 4));
  }
  PRS_DEVICE void flip(std::uint32_t bits) {
    PRS_UNROLL
    for (int i = 0; i < 8; ++i) {
      words[0][i] ^= bits;
      words[1][i] ^= bits;
    }
  }
};

/// The first layer's inputs for a warp, from its first image on.
template <typename Raw>
class InputRows {
 public:
  PRS_DEVICE InputRows(const MlpMmaArgs& args, std::int64_t first_image)
      : args_(args), image_(first_image + lane() / 4) {}

  /// Inputs of the stage that begins at product `step0` of the layer.
  PRS_DEVICE void load(int step0, Raw& raw) const {
    constexpr int kOwn = Raw::kOwn;
    const int left = args_.layers[0].steps - step0;
    const int steps = left < kStageSteps ? left : kStageSteps;
    const int first = (step0 * 4 + static_cast<int>(lane()) % 4 * steps) * kOwn;
    // Rows of a multiple of 16 elements: a thread's of a row are aligned, and those of a product
    // all inside or none.
    const bool aligned = args_.inputs % 16 == 0;
    // Products of 16 elements have all of theirs inside then.
    const auto inside = [&](int own) { return kOwn == 4 || first + own <= args_.inputs; };
    PRS_UNROLL
    for (int row = 0; row < 2; ++row) {
      raw.clear(row);
      const std::int64_t image = image_ + row * 8;
      if (image >= args_.images) continue;
      const auto* from =
          static_cast<const typename Raw::T*>(args_.x) + image * args_.inputs + first;
      if (aligned && steps == kStageSteps && inside(kStageSteps * kOwn)) {
        raw.load_all(row, from);
      } else if (aligned) {
        PRS_UNROLL
        for (int step = 0; step < kStageSteps; ++step) {
          if (step < steps && inside((step + 1) * kOwn))
            raw.load_one(row, step, from + step * kOwn);
        }
      } else {
        PRS_UNROLL
        for (int i = 0; i < kOwn * kStageSteps; ++i) {
          if (i < kOwn * steps && first + i < args_.inputs) raw.set(row, i, from[i]);
        }
      }
    }
    if constexpr (std::is_same_v<Raw, RawBytes>) {
      // Here, although it waits for the loads: where operands are packed, it would keep ptxas 13.0
      // from having several products under way (C7511).
      if (args_.flip != 0) raw.flip(args_.flip);
    }
  }

 private:
  const MlpMmaArgs& args_;
  std::int64_t image_;  ///< Of row 0.
};

template <typename Element, typename Raw>
PRS_DEVICE void pack_inputs(const Raw& raw, FragmentA (&a)[kStageSteps]) {
  PRS_UNROLL
  for (int step = 0; step < kStageSteps; ++step) {
    PRS_UNROLL
    for (int r = 0; r < 4; ++r) {
      const int i = step * 4 + r / 2 * 2;
      a[step][r] = Element::pair_of(raw.at(r % 2, i), raw.at(r % 2, i + 1));
    }
  }
}

template <typename Element>
PRS_DEVICE void pack_inputs(const RawBytes& raw, FragmentA (&a)[kStageSteps]) {
  PRS_UNROLL
  for (int step = 0; step < kStageSteps; ++step) {
    PRS_UNROLL
    for (int r = 0; r < 4; ++r) a[step][r] = raw.words[r % 2][step * 2 + r / 2];
  }
}

/// The first layer's sums. Inputs of the stage to come are read while one multiplies, and rounded
/// after it: a wgmma under way lets nobody write the registers of the next.
template <typename Raw, typename Product, typename Weights>
PRS_DEVICE void multiply_inputs(const MlpMmaArgs& args, std::int64_t first_image, Product& product,
                                Weights& weights, typename Product::Sums& sums) {
  const DenseMmaLayer& layer = args.layers[0];
  const InputRows<Raw> rows(args, first_image);
  Raw raw;
  rows.load(0, raw);
  for (int step0 = 0; step0 < layer.steps; step0 += kStageSteps) {
    FragmentA a[kStageSteps];
    pack_inputs<typename Product::Element>(raw, a);
    if (step0 + kStageSteps < layer.steps) rows.load(step0 + kStageSteps, raw);
    const int at = weights.acquire();
    product.multiply(weights.slots, at, layer.columns, layer.steps - step0, a, sums);
    weights.release();
  }
}

/// A later layer's sums, whose inputs are in registers.
template <typename Product, typename Weights, int kSteps>
PRS_DEVICE void multiply_registers(const DenseMmaLayer& layer, Product& product, Weights& weights,
                                   const FragmentA (&inputs)[kSteps],
                                   typename Product::Sums& sums) {
  PRS_UNROLL
  for (int step0 = 0; step0 < kSteps; step0 += kStageSteps) {
    if (step0 >= layer.steps) break;
    FragmentA a[kStageSteps];
    PRS_UNROLL
    for (int step = 0; step < kStageSteps; ++step) {
      PRS_UNROLL
      for (int r = 0; r < 4; ++r) a[step][r] = inputs[step0 + step][r];
    }
    const int at = weights.acquire();
    product.multiply(weights.slots, at, layer.columns, layer.steps - step0, a, sums);
    weights.release();
  }
}

template <Function kFunction, int kTiles>
PRS_DEVICE void apply_to_sums(const DenseMmaLayer& layer, float (&sums)[kTiles][4]) {
  PRS_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    if (tile * 8 >= layer.columns) break;
    PRS_UNROLL
    for (int i = 0; i < 4; ++i)
      sums[tile][i] = apply_short<kFunction>(layer.epilogue, sums[tile][i]);
  }
}

/// Scale, bias and function.
template <int kTiles>
PRS_DEVICE void finish_layer(const MlpMmaArgs& args, int number, const Shared<float>& tables,
                             float (&sums)[kTiles][4]) {
  const DenseMmaLayer& layer = args.layers[number];
  const int column = static_cast<int>(lane()) % 4 * 2;
  PRS_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    if (tile * 8 >= layer.columns) break;
    const int at = layer.tables + tile * 8 + column;
    const float bias[2] = {tables.load(at), tables.load(at + 1)};
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) sums[tile][i] = fmaf(sums[tile][i], layer.scale, bias[i % 2]);
  }
  switch (layer.epilogue.function) {
    case Function::kNone:
      return;
    case Function::kRelu:
      return apply_to_sums<Function::kRelu>(layer, sums);
    case Function::kLeakyRelu:
      return apply_to_sums<Function::kLeakyRelu>(layer, sums);
    case Function::kClip:
      return apply_to_sums<Function::kClip>(layer, sums);
    case Function::kSigmoid:
      return apply_to_sums<Function::kSigmoid>(layer, sums);
    case Function::kTanh:
      return apply_to_sums<Function::kTanh>(layer, sums);
    case Function::kNegate:
      return apply_to_sums<Function::kNegate>(layer, sums);
  }
}

/// Requantises: a sum becomes the output's byte as u8, in its low bits, or the bits of an f32.
template <int kTiles>
PRS_DEVICE void finish_layer(const MlpMmaArgs& args, int number, const std::uint32_t* tables,
                             std::int32_t (&sums)[kTiles][4]) {
  const DenseMmaLayer& layer = args.layers[number];
  const RequantizeLayer& ends = args.ends[number];
  const int column = static_cast<int>(lane()) % 4 * 2;
  PRS_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    if (tile * 8 >= layer.columns) break;
    const std::uint32_t* from = tables + layer.tables + tile * 8 + column;
    std::uint32_t starts[2], multipliers[2], offsets[2];
    load_words(from, starts);
    load_words(from + layer.columns, multipliers);
    load_words(from + 2 * layer.columns, offsets);
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::int32_t sum = sums[tile][i] + static_cast<std::int32_t>(starts[i % 2]);
      const float value =
          bounded_in_two(scaled(sum, bits_float(multipliers[i % 2]), bits_float(offsets[i % 2])),
                         ends.low, ends.high);
      sums[tile][i] = static_cast<std::int32_t>(float_bits(add_rounded(value, ends.rounding))) +
                      ends.zero_point;
    }
  }
}

/// A finished layer becomes the next one's inputs, and its sums zero.
template <typename Element, int kTiles>
PRS_DEVICE void pass_on(float (&sums)[kTiles][4], FragmentA (&inputs)[kTiles / 2]) {
  PRS_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    inputs[n / 2][n % 2 * 2] = Element::pair_of(sums[n][0], sums[n][1]);
    inputs[n / 2][n % 2 * 2 + 1] = Element::pair_of(sums[n][2], sums[n][3]);
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) sums[n][i] = 0.0F;
  }
}
template <typename Element, int kTiles>
PRS_DEVICE void pass_on(std::int32_t (&sums)[kTiles][4], FragmentA (&inputs)[kTiles / 4]) {
  const auto bytes_of = [&](int n, int row) {  // The low ones, next to each other.
    return permute_bytes(static_cast<std::uint32_t>(sums[n][row * 2]),
                         static_cast<std::uint32_t>(sums[n][row * 2 + 1]), 0x0040u);
  };
  PRS_UNROLL
  for (int n = 0; n < kTiles; n += 2) {
    PRS_UNROLL
    for (int row = 0; row < 2; ++row) {
      inputs[n / 4][n % 4 + row] = permute_bytes(bytes_of(n, row), bytes_of(n + 1, row), 0x5410u);
    }
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) sums[n][i] = sums[n + 1][i] = 0;
  }
}

/// Of what finish_layer() made of a sum of the last layer.
PRS_DEVICE float score_of(const MlpMmaArgs&, float value) { return value; }
PRS_DEVICE float score_of(const MlpMmaArgs& args, std::int32_t bits) {
  if (!args.dequantizes) return bits_float(static_cast<std::uint32_t>(bits));
  return multiply_rounded(static_cast<float>((bits & 0xFF) - args.y_zero_point), args.y_scale);
}

/// The last layer's sums of a warp's images, as they are or the number of each image's largest.
template <typename Sum, int kTiles>
PRS_DEVICE void store_scores(const MlpMmaArgs& args, std::int64_t first_image,
                             const Sum (&sums)[kTiles][4]) {
  const int outputs = args.layers[args.depth - 1].outputs;
  const int column0 = static_cast<int>(lane()) % 4 * 2;
  const bool last = args.scores == Scores::kLastLargest;
  PRS_UNROLL
  for (int row = 0; row < 2; ++row) {
    const std::int64_t image = first_image + lane() / 4 + row * 8;
    float best = -infinity();
    int index = last ? -1 : outputs;  // Stands behind every other.
    PRS_UNROLL
    for (int tile = 0; tile < kTiles; ++tile) {
      if (tile * 8 >= outputs) break;
      PRS_UNROLL
      for (int i = 0; i < 2; ++i) {
        const int column = tile * 8 + column0 + i;
        const float score = score_of(args, sums[tile][row * 2 + i]);
        if (column >= outputs) continue;
        if (args.scores == Scores::kStored) {
          if (image < args.images) static_cast<float*>(args.y)[image * outputs + column] = score;
        } else if (precedes(score, column, best, index, last)) {
          best = score;
          index = column;
        }
      }
    }
    if (args.scores == Scores::kStored) continue;
    for (unsigned step = 1; step < 4; step *= 2) {
      const float other = shuffle_xor(kFullMask, best, step);
      const int other_index = shuffle_xor(kFullMask, index, step);
      if (!precedes(other, other_index, best, index, last)) continue;
      best = other;
      index = other_index;
    }
    if (lane() % 4 == 0 && image < args.images) static_cast<std::int64_t*>(args.y)[image] = index;
  }
}

/// To L2: what the block reads next comes from far.
PRS_DEVICE void prefetch_inputs(const MlpMmaArgs& args, std::int64_t first_image) {
  constexpr std::int64_t kLine = 128;
  const std::int64_t row_bytes = args.inputs * (args.pixels ? 1 : 4);
  const std::int64_t end_image =
      first_image + args.tile < args.images ? first_image + args.tile : args.images;
  for (std::int64_t at = first_image * row_bytes + thread_x() * kLine; at < end_image * row_bytes;
       at += args.tile * 2 * kLine) {
    prefetch(static_cast<const std::uint8_t*>(args.x) + at);
  }
}

/// Where finish_layer() finds the tables of such sums: of floats in shared memory, after a barrier
/// of the block, whose threads all call it.
PRS_DEVICE Shared<float> tables_for(float, const MlpMmaArgs& args, int first_byte) {
  const auto tables = dynamic_shared_1024<float>(first_byte, args.table_size);
  for (int i = static_cast<int>(thread_x()); i < args.table_size;
       i += static_cast<int>(block_dim_x())) {
    tables.store(i, static_cast<const float*>(args.tables)[i]);
  }
  return tables;
}
PRS_DEVICE const std::uint32_t* tables_for(std::int32_t, const MlpMmaArgs& args, int) {
  return static_cast<const std::uint32_t*>(args.tables);
}

/// Grid: blocks that stay, at most one a tile. Block: two threads an image of the tile. Shared: the
/// weights' slots, and floats' tables.
template <typename Product, typename Weights>
PRS_DEVICE void fused_mlp(const MlpMmaArgs& args) {
  using Element = typename Product::Element;
  constexpr bool kFloats = std::is_same_v<typename Element::Sum, float>;
  constexpr int kTiles = Product::kColumns / 8;
  const std::int64_t tiles = (args.images + args.tile - 1) / args.tile;
  const std::int64_t mine = (tiles - 1 - block_x()) / grid_x() + 1;
  Weights weights(args, mine * args.stages);
  const auto tables = tables_for(typename Element::Sum{}, args, Weights::bytes(args));
  sync_threads();
  weights.begin();
  const std::int64_t first_row = thread_x() / kWarpSize * 16;
  for (std::int64_t tile = block_x(); tile < tiles; tile += grid_x()) {
    const std::int64_t first_image = tile * args.tile + first_row;
    if (tile + grid_x() < tiles) prefetch_inputs(args, (tile + grid_x()) * args.tile);
    Product product{first_image < args.images};
    typename Product::Sums sums = {};
    FragmentA inputs[kFloats ? kTiles / 2 : kTiles / 4] = {};
    for (int number = 0; number < args.depth; ++number) {
      const DenseMmaLayer& layer = args.layers[number];
      if (number > 0) {
        multiply_registers(layer, product, weights, inputs, sums);
      } else if constexpr (!kFloats) {
        multiply_inputs<RawBytes>(args, first_image, product, weights, sums);
      } else if (args.pixels) {
        multiply_inputs<RawPixels>(args, first_image, product, weights, sums);
      } else {
        multiply_inputs<RawFloats>(args, first_image, product, weights, sums);
      }
      finish_layer(args, number, tables, sums);
      if (number == args.depth - 1) break;
      pass_on<Element>(sums, inputs);
    }
    store_scores(args, first_image, sums);
  }
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
