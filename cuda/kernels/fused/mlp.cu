// A whole multi-layer perceptron: pixels in, scores or the best class out, what lies between stays
// in shared memory. A block takes kImages images through all layers.
//
// The weights are one tape of stages (MlpArgs), so that the copy of the next stage is on its way
// while one is multiplied, across the borders of layers too. Activations lie as [feature, image]:
// a thread reads four images of a feature at once and keeps 4 x kPerThread sums.
#include "kernels/common.hpp"
#include "kernels/families.hpp"
#include "kernels/fused/args.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kStage = kMlpDepth * kMlpColumns;

template <int kImages>
struct MlpTile {
  static constexpr int kPitch = kImages + 4;  ///< Rows start in other banks, and 16-byte aligned.
  static constexpr int kColumnThreads = 256 / (kImages / 4);
  static constexpr int kPerThread = kMlpColumns / kColumnThreads;
  static constexpr int kLoads = kImages * kMlpDepth / 256;
  static_assert(kImages % 16 == 0 && kPerThread >= 2 && kLoads >= 1, "256 threads share a tile");

  /// The j-th column of a thread: four that lie together when it has so many, else spread.
  PRS_DEVICE static int column(int thread, int j) {
    const int at = thread % kColumnThreads;
    return kPerThread % 4 == 0 ? (j / 4 * kColumnThreads + at) * 4 + j % 4
                               : j * kColumnThreads + at;
  }

  PRS_DEVICE static void load_columns(const Shared<float>& s, int row, int thread,
                                      float (&w)[kPerThread]) {
    if constexpr (kPerThread % 4 == 0) {
      for (int j = 0; j < kPerThread; j += 4) {
        const Float4 v = load4(s, row + column(thread, j));
        w[j] = v.x;
        w[j + 1] = v.y;
        w[j + 2] = v.z;
        w[j + 3] = v.w;
      }
    } else {
      for (int j = 0; j < kPerThread; ++j) w[j] = s.load(row + column(thread, j));
    }
  }
};

PRS_DEVICE void copy_stage(const Shared<float>& s, const MlpArgs& args, int stage) {
  const float* from = args.weights + static_cast<std::int64_t>(stage) * kStage;
  const int to = stage % 2 * kStage;
  for (int i = static_cast<int>(thread_x()) * 4; i < kStage; i += 256 * 4) {
    copy_async<16>(s, to + i, from + i);
  }
  commit_copies();
}

/// Inputs [k0, k0 + kMlpDepth) of the block's images, neighbouring threads along k.
template <int kImages>
PRS_DEVICE void fetch_slice(const MlpArgs& args, int k0,
                            float (&values)[MlpTile<kImages>::kLoads]) {
  const int inputs = args.layers[0].inputs;
  for (int j = 0; j < MlpTile<kImages>::kLoads; ++j) {
    const int i = static_cast<int>(thread_x()) + j * 256;
    const std::int64_t image = static_cast<std::int64_t>(block_x()) * kImages + i / kMlpDepth;
    const int k = k0 + i % kMlpDepth;
    values[j] = 0.0F;
    if (image >= args.images || k >= inputs) continue;
    const std::int64_t at = image * inputs + k;
    values[j] = args.pixels ? static_cast<float>(static_cast<const std::uint8_t*>(args.x)[at])
                            : static_cast<const float*>(args.x)[at];
  }
}

template <int kImages>
PRS_DEVICE void put_slice(const Shared<float>& s, int to,
                          const float (&values)[MlpTile<kImages>::kLoads]) {
  for (int j = 0; j < MlpTile<kImages>::kLoads; ++j) {
    const int i = static_cast<int>(thread_x()) + j * 256;
    s.store(to + i % kMlpDepth * MlpTile<kImages>::kPitch + i / kMlpDepth, values[j]);
  }
}

/// Bias and activation of 4 images x kPerThread columns; results go to shared memory, or out.
template <int kImages>
PRS_DEVICE void finish_columns(const MlpArgs& args, int number, int column0, const Shared<float>& s,
                               float (&sums)[MlpTile<kImages>::kPerThread][4]) {
  using Tile = MlpTile<kImages>;
  const DenseLayer& layer = args.layers[number];
  const int thread = static_cast<int>(thread_x());
  const int row = thread / Tile::kColumnThreads * 4;
  const bool leaves = number == args.depth - 1 && args.scores == Scores::kStored;
  const int rows = (layer.outputs + kMlpDepth - 1) / kMlpDepth * kMlpDepth;
  PRS_UNROLL
  for (int j = 0; j < Tile::kPerThread; ++j) {
    const int column = column0 + Tile::column(thread, j);
    const float bias = args.biases[layer.biases + column];
    for (int i = 0; i < 4; ++i) sums[j][i] += bias;
    apply_to_all(layer.epilogue, sums[j]);
    if (!leaves) {
      // Rows past the last output meet weights of zero.
      if (column < rows) {
        store4(s, args.activations[number % 2] + column * Tile::kPitch + row,
               {sums[j][0], sums[j][1], sums[j][2], sums[j][3]});
      }
      continue;
    }
    const std::int64_t image0 = static_cast<std::int64_t>(block_x()) * kImages + row;
    for (int i = 0; i < 4; ++i) {
      if (column < layer.outputs && image0 + i < args.images) {
        static_cast<float*>(args.y)[(image0 + i) * layer.outputs + column] = sums[j][i];
      }
    }
  }
}

/// A warp an image.
template <int kImages>
PRS_DEVICE void store_largest(const MlpArgs& args, const Shared<float>& s) {
  sync_threads();
  const int scores = args.activations[(args.depth - 1) % 2];
  const int warp = static_cast<int>(thread_x() / kWarpSize);
  for (int i = warp; i < kImages; i += 256 / static_cast<int>(kWarpSize)) {
    const std::int64_t image = static_cast<std::int64_t>(block_x()) * kImages + i;
    const std::int64_t largest =
        warp_arg_max(args.layers[args.depth - 1].outputs, args.scores == Scores::kLastLargest,
                     [&](std::int64_t n) {
                       return s.load(scores + static_cast<int>(n) * MlpTile<kImages>::kPitch + i);
                     });
    if (lane() == 0 && image < args.images) static_cast<std::int64_t*>(args.y)[image] = largest;
  }
}

template <int kImages>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) fused_mlp(MlpArgs args) {
  using Tile = MlpTile<kImages>;
  const Shared<float> s = dynamic_shared<float>(0, args.shared);
  const int thread = static_cast<int>(thread_x());
  const int row = thread / Tile::kColumnThreads * 4;
  float slice[Tile::kLoads];
  copy_stage(s, args, 0);
  fetch_slice<kImages>(args, 0, slice);
  int stage = 0;
  for (int number = 0; number < args.depth; ++number) {
    const DenseLayer& layer = args.layers[number];
    for (int column0 = 0; column0 < layer.outputs; column0 += kMlpColumns) {
      float sums[Tile::kPerThread][4] = {};
      for (int k0 = 0; k0 < layer.inputs; k0 += kMlpDepth, ++stage) {
        const int slice_at = args.slices + stage % 2 * kMlpDepth * Tile::kPitch;
        if (number == 0) put_slice<kImages>(s, slice_at, slice);
        wait_copies<0>();
        // Also: everybody is done with the stage before, whose place the next copy takes.
        sync_threads();
        if (stage + 1 < args.stages) copy_stage(s, args, stage + 1);
        if (number == 0) {
          fetch_slice<kImages>(args, k0 + kMlpDepth < layer.inputs ? k0 + kMlpDepth : 0, slice);
        }
        const int x =
            number == 0 ? slice_at : args.activations[(number - 1) % 2] + k0 * Tile::kPitch;
        const int weights = stage % 2 * kStage;
        for (int k = 0; k < kMlpDepth; ++k) {
          const Float4 v = load4(s, x + k * Tile::kPitch + row);
          const float xs[4] = {v.x, v.y, v.z, v.w};
          float w[Tile::kPerThread];
          Tile::load_columns(s, weights + k * kMlpColumns, thread, w);
          PRS_UNROLL
          for (int j = 0; j < Tile::kPerThread; ++j) {
            PRS_UNROLL
            for (int i = 0; i < 4; ++i) sums[j][i] = fmaf(w[j], xs[i], sums[j][i]);
          }
        }
      }
      finish_columns<kImages>(args, number, column0, s, sums);
    }
  }
  if (args.scores != Scores::kStored) store_largest<kImages>(args, s);
}

}  // namespace

void add_fused_mlp_kernels(KernelTable& table) {
  add(table, KernelId::kMlpF32Images16, fused_mlp<16>);
  add(table, KernelId::kMlpF32Images32, fused_mlp<32>);
  add(table, KernelId::kMlpF32Images64, fused_mlp<64>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
