// Conv of one to three spatial axes.
//
// implicit_gemm: a product of the filters [filters, k] with the windows [k, pixels], where k runs
// over channels and filter positions and a pixel is an output position of any image. A block
// computes a tile of kFilters x 64, its 256 threads kFilters / 16 x 4 elements each, in steps of 16
// along k; the windows are gathered on the way into shared memory. No image of windows exists.
//
// direct: one thread an output, for groups of few filters, whose tiles would be mostly empty.
#include "kernels/common.hpp"
#include "kernels/families.hpp"
#include "kernels/windows.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kPixels = 64;
constexpr int kDepth = 16;
static_assert(kPixels == 4 * 16 && kPixels * 4 == 256, "a thread loads every fourth row");

template <typename X, int kFilters>
PRS_DEVICE void convolve(const ConvArgs& args, std::int64_t group) {
  constexpr int kRows = kFilters / 16;
  constexpr int kWeightLoads = kFilters * kDepth / 256;
  constexpr int kPitch = kPixels + 4;
  PRS_SHARED(float, s_weights, kDepth*(kFilters + 4));  // [k, filter]
  PRS_SHARED(float, s_windows, kDepth* kPitch);         // [k, pixel]
  constexpr int kWeightPitch = kFilters + 4;
  const int thread = static_cast<int>(thread_x());
  const std::int64_t pixels = args.images * args.outputs;
  const std::int64_t pixel0 = static_cast<std::int64_t>(block_x()) * kPixels;
  const std::int64_t filter0 = static_cast<std::int64_t>(block_y()) * kFilters;
  const float* weights = args.weights + group * args.filters * args.k;
  // What this thread gathers: one pixel, rows thread / 64, + 4, ...
  const std::int64_t own_pixel = pixel0 + thread % kPixels;
  const bool has_pixel = own_pixel < pixels;
  const WindowStart start =
      window_start(args, own_pixel / args.outputs, group, own_pixel % args.outputs);
  const int row = thread / 16 * kRows;
  const int column = thread % 16 * 4;
  float sums[kRows][4] = {};
  for (std::int64_t k0 = 0; k0 < args.k; k0 += kDepth) {
    for (int j = 0; j < kWeightLoads; ++j) {
      const int i = thread + j * 256;
      const std::int64_t filter = filter0 + i / kDepth;
      const std::int64_t k = k0 + i % kDepth;
      const bool inside = filter < args.filters && k < args.k;
      s_weights.store(i % kDepth * kWeightPitch + i / kDepth,
                      inside ? weights[filter * args.k + k] : 0.0F);
    }
    for (int depth = thread / kPixels; depth < kDepth; depth += 256 / kPixels) {
      const bool inside = has_pixel && k0 + depth < args.k;
      s_windows.store(depth * kPitch + thread % kPixels,
                      inside ? input_at<X>(args, start, args.taps[k0 + depth]) : 0.0F);
    }
    sync_threads();
    for (int k = 0; k < kDepth; ++k) {
      const Float4 x = load4(s_windows, k * kPitch + column);
      const float xs[4] = {x.x, x.y, x.z, x.w};
      for (int i = 0; i < kRows; ++i) {
        const float weight = s_weights.load(k * kWeightPitch + row + i);
        for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(weight, xs[j], sums[i][j]);
      }
    }
    sync_threads();
  }
  std::int64_t at[4];
  for (int j = 0; j < 4; ++j) {
    at[j] = output_at(args, pixel0 + column + j, group * args.filters + filter0 + row);
  }
  for (int i = 0; i < kRows; ++i) {
    if (filter0 + row + i >= args.filters) return;
    if (args.bias != nullptr) {
      const float bias = args.bias[group * args.filters + filter0 + row + i];
      for (int j = 0; j < 4; ++j) sums[i][j] += bias;
    }
    apply_to_all(args.epilogue, sums[i]);
    for (int j = 0; j < 4; ++j) {
      if (pixel0 + column + j < pixels) args.y[at[j] + i * args.outputs] = sums[i][j];
    }
  }
}

template <typename X, int kFilters>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_implicit_gemm(ConvArgs args) {
  for (std::int64_t group = block_z(); group < args.groups; group += grid_z()) {
    convolve<X, kFilters>(args, group);
  }
}

template <typename X>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_direct(ConvArgs args) {
  const std::int64_t filters = args.groups * args.filters;
  const std::int64_t count = args.images * filters * args.outputs;
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t position = i % args.outputs;
    const std::int64_t filter = i / args.outputs % filters;
    const std::int64_t image = i / args.outputs / filters;
    const WindowStart start = window_start(args, image, filter / args.filters, position);
    const float* weights = args.weights + filter * args.k;
    float sum = 0.0F;
    for (std::int64_t k = 0; k < args.k; ++k) {
      sum = fmaf(weights[k], input_at<X>(args, start, args.taps[k]), sum);
    }
    if (args.bias != nullptr) sum += args.bias[filter];
    args.y[i] = apply(args.epilogue, sum);
  }
}

}  // namespace

void add_conv_kernels(KernelTable& table) {
  add(table, KernelId::kConvF32Gemm16, conv_implicit_gemm<float, 16>);
  add(table, KernelId::kConvF32Gemm64, conv_implicit_gemm<float, 64>);
  add(table, KernelId::kConvU8Gemm16, conv_implicit_gemm<std::uint8_t, 16>);
  add(table, KernelId::kConvU8Gemm64, conv_implicit_gemm<std::uint8_t, 64>);
  add(table, KernelId::kConvF32Direct, conv_direct<float>);
  add(table, KernelId::kConvU8Direct, conv_direct<std::uint8_t>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
