// A whole small convolutional network, (Conv, activation, MaxPool) x n and dense layers: pixels in,
// scores or the best class out, what lies between stays in shared memory. A block takes one to
// kMaxCnnImages images through all layers. Without dense layers it ends with the last planes.
//
// The weights of the convolutions stay in shared memory. A thread computes four filters at one
// place of the pool's result, with the sums of all positions that its window reads, and of no
// other: a weight is read once for the whole window. Dense layers read their weights from the
// second-level cache, a warp an output, for all images of the block at once.
#include "kernels/common.hpp"
#include "kernels/families.hpp"
#include "kernels/fused/args.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kBlock = static_cast<int>(kThreads);
constexpr int kWarps = static_cast<int>(kThreads / kWarpSize);

PRS_DEVICE int plane_of(const Planes& planes) { return planes.height * planes.width; }

PRS_DEVICE void load_input(const CnnArgs& args, const Shared<float>& s, std::int64_t image0,
                           int images) {
  const Planes& to = args.planes[0];
  const int area = plane_of(to);
  for (int i = static_cast<int>(thread_x()); i < images * to.channels * area; i += kBlock) {
    const int row = i % area / to.width - to.top;
    const int column = i % to.width - to.left;
    const int channel = i / area % to.channels;
    const int image = i / area / to.channels;
    float value = 0.0F;
    if (row >= 0 && row < to.rows && column >= 0 && column < to.columns) {
      const std::int64_t at = ((image0 + image) * to.channels + channel) * to.rows * to.columns +
                              row * to.columns + column;
      value = args.pixels ? static_cast<float>(static_cast<const std::uint8_t*>(args.x)[at])
                          : static_cast<const float*>(args.x)[at];
      if (args.scale != nullptr) value = fmaf(value, args.scale[channel], args.bias[channel]);
    }
    s.store(to.first + i, value);
  }
}

/// Zeros where a convolution will write its result, for the padding around that.
PRS_DEVICE void clear(const Planes& planes, const Shared<float>& s, int images) {
  const int count = images * planes.channels * plane_of(planes);
  for (int i = static_cast<int>(thread_x()); i < count; i += kBlock)
    s.store(planes.first + i, 0.0F);
}

/// As a loop nest: for each image, filter and place of the pool's result, the largest over the
/// pool's positions of epilogue(bias + sum over channels and taps of weight * x).
template <int kPool>
PRS_DEVICE void convolve(const ConvLayer& layer, const Planes& from, const Planes& to,
                         const Shared<float>& s, int images) {
  const int groups = (layer.filters + 3) / 4;
  const int places = to.rows * to.columns;
  for (int i = static_cast<int>(thread_x()); i < images * groups * places; i += kBlock) {
    const int place = i % places;
    const int filter = i / places % groups * 4;
    const int image = i / places / groups;
    const int row = place / to.columns;
    const int column = place % to.columns;
    const int x = from.first + image * from.channels * plane_of(from) +
                  row * layer.pool_stride_height * layer.stride_height * from.width +
                  column * layer.pool_stride_width * layer.stride_width;
    float sums[kPool * kPool][4] = {};
    int weights = layer.weights + filter;
    for (int c = 0; c < from.channels; ++c) {
      for (int r = 0; r < layer.kernel_height; ++r) {
        for (int t = 0; t < layer.kernel_width; ++t, weights += groups * 4) {
          const Float4 v = load4(s, weights);
          const float w[4] = {v.x, v.y, v.z, v.w};
          const int tap = x + c * plane_of(from) + r * layer.dilation_height * from.width +
                          t * layer.dilation_width;
          PRS_UNROLL
          for (int p = 0; p < kPool * kPool; ++p) {
            const float value = s.load(tap + p / kPool * layer.stride_height * from.width +
                                       p % kPool * layer.stride_width);
            for (int f = 0; f < 4; ++f) sums[p][f] = fmaf(w[f], value, sums[p][f]);
          }
        }
      }
    }
    float best[4];
    PRS_UNROLL
    for (int p = 0; p < kPool * kPool; ++p) {
      for (int f = 0; f < 4; ++f) sums[p][f] += s.load(layer.biases + filter + f);
      apply_to_all(layer.epilogue, sums[p]);
      for (int f = 0; f < 4; ++f) best[f] = p == 0 ? sums[p][f] : larger(sums[p][f], best[f]);
    }
    PRS_UNROLL
    for (int f = 0; f < 4; ++f) {
      if (filter + f >= layer.filters) continue;
      s.store(to.first + (image * to.channels + filter + f) * plane_of(to) +
                  (row + to.top) * to.width + column + to.left,
              best[f]);
    }
  }
}

PRS_DEVICE void convolve_all(const CnnArgs& args, const Shared<float>& s, int images) {
  for (int i = 0; i < args.convolutions; ++i) {
    const ConvLayer& layer = args.conv_layers[i];
    const Planes& from = args.planes[i];
    const Planes& to = args.planes[i + 1];
    if (to.height != to.rows || to.width != to.columns) {
      clear(to, s, images);
      sync_threads();
    }
    switch (layer.pool) {
      case 1:
        convolve<1>(layer, from, to, s, images);
        break;
      case 2:
        convolve<2>(layer, from, to, s, images);
        break;
      default:
        convolve<3>(layer, from, to, s, images);
        break;
    }
    sync_threads();
  }
}

/// Writes to shared memory at `to`, [images, outputs]; to y when `to` is negative.
PRS_DEVICE void multiply(const CnnArgs& args, const DenseLayer& layer, int from, int to,
                         const Shared<float>& s, std::int64_t image0, int images) {
  for (int n = static_cast<int>(thread_x() / kWarpSize); n < layer.outputs; n += kWarps) {
    const float* weights =
        args.weights + layer.weights + static_cast<std::int64_t>(n) * layer.inputs;
    float sums[kMaxCnnImages] = {};
    for (int k = static_cast<int>(lane()); k < layer.inputs; k += static_cast<int>(kWarpSize)) {
      const float w = weights[k];
      for (int i = 0; i < kMaxCnnImages; ++i) {
        if (i < images) sums[i] = fmaf(w, s.load(from + i * layer.inputs + k), sums[i]);
      }
    }
    const float bias = args.weights[layer.biases + n];
    for (int i = 0; i < kMaxCnnImages; ++i) {
      const float value = apply(layer.epilogue, warp_sum(sums[i]) + bias);
      if (lane() != 0 || i >= images) continue;
      if (to >= 0) {
        s.store(to + i * layer.outputs + n, value);
      } else {
        static_cast<float*>(args.y)[(image0 + i) * layer.outputs + n] = value;
      }
    }
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) fused_cnn(CnnArgs args) {
  const Shared<float> s = dynamic_shared<float>(0, args.shared);
  const std::int64_t image0 = static_cast<std::int64_t>(block_x()) * args.tile;
  const std::int64_t left = args.images - image0;
  const int images = left < args.tile ? static_cast<int>(left) : args.tile;
  for (int i = static_cast<int>(thread_x()) * 4; i < args.resident; i += kBlock * 4) {
    copy_async<16>(s, i, args.weights + i);
  }
  commit_copies();
  load_input(args, s, image0, images);
  wait_copies<0>();
  sync_threads();
  convolve_all(args, s, images);
  int from = args.planes[args.convolutions].first;
  if (args.dense == 0) {
    const Planes& planes = args.planes[args.convolutions];
    const int elements = planes.channels * plane_of(planes);
    for (int i = static_cast<int>(thread_x()); i < images * elements; i += kBlock) {
      static_cast<float*>(args.y)[image0 * elements + i] = s.load(from + i);
    }
    return;
  }
  for (int i = 0; i < args.dense; ++i) {
    const bool leaves = i == args.dense - 1 && args.scores == Scores::kStored;
    multiply(args, args.dense_layers[i], from, leaves ? -1 : args.vectors[i % 2], s, image0,
             images);
    if (leaves) return;
    from = args.vectors[i % 2];
    sync_threads();
  }
  const int outputs = args.dense_layers[args.dense - 1].outputs;
  for (int i = static_cast<int>(thread_x() / kWarpSize); i < images; i += kWarps) {
    const std::int64_t largest = warp_arg_max(
        outputs, args.scores == Scores::kLastLargest,
        [&](std::int64_t n) { return s.load(from + i * outputs + static_cast<int>(n)); });
    if (lane() == 0) static_cast<std::int64_t*>(args.y)[image0 + i] = largest;
  }
}

}  // namespace

void add_fused_cnn_kernels(KernelTable& table) { add(table, KernelId::kCnnF32, fused_cnn); }

}  // namespace prs::cuda::PRS_CUDA_WORLD
