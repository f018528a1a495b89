#include "cpu/lane_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cpu/isa/lanes.hpp"
#include "cpu/pack_cache.hpp"

namespace prs::cpu {
namespace {

/// Both sets of 36 matrices, for one register tile's width, are to stay in the caches.
constexpr std::int64_t kMaxMatricesBytes = std::int64_t{1} << 20;
/// Of a row of outputs: a band of tiles as wide is transformed at once.
constexpr std::int64_t kMaxWidth = 256;

Tensor pack_winograd(const Tensor& weights, std::int64_t tile) {
  constexpr std::array<std::array<double, 3>, 6> kG = {{{1.0 / 4, 0, 0},
                                                        {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                                        {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                                        {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                                        {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                                        {0, 0, 1}}};
  const std::int64_t filters = weights.shape()[0];
  const std::int64_t channels = weights.shape()[1];
  Tensor packed(DType::kFloat32, Shape{36, round_up(filters, tile), channels});
  float* to = packed.as<float>();
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      const Tensor product =
          pack_filters({filters, channels, 1}, tile, [&](auto f, auto c, std::int64_t) {
            const float* g = weights.as<float>() + (f * channels + c) * 9;
            double sum = 0.0;
            for (std::size_t r = 0; r < 3; ++r) {
              for (std::size_t s = 0; s < 3; ++s) {
                sum += kG[i][r] * static_cast<double>(g[r * 3 + s]) * kG[j][s];
              }
            }
            return static_cast<float>(sum);
          });
      to = std::copy_n(product.as<float>(), product.elements(), to);
    }
  }
  return packed;
}

}  // namespace

std::shared_ptr<const Tensor> winograd_weights(const Tensor& weights, std::int64_t tile,
                                               PackCache* cache) {
  return pack_constant(cache, weights, fmt::format("winograd_4x4_3x3 tile {}", tile),
                       [&] { return pack_winograd(weights, tile); });
}

bool is_lane_activation(const Activation& activation) {
  return activation.kind != Activation::Kind::kSigmoid &&
         activation.kind != Activation::Kind::kTanh;
}

bool prefers_winograd(const ops::Window& window, std::int64_t channels, std::int64_t filters,
                      const Activation& activation, const LaneKernels& kernels) {
  const auto& [depth, height, width] = window;
  if (depth.in != 1 || depth.out != 1 || depth.kernel != 1 || depth.pad_begin != 0) return false;
  for (const ops::WindowAxis& axis : {height, width}) {
    if (axis.kernel != 3 || axis.stride != 1 || axis.dilation != 1 || axis.pad_begin > kMaxPad ||
        axis.pad_end > kMaxPad) {
      return false;
    }
  }
  const std::int64_t lanes = kernels.tile_positions * kernels.lanes;
  if (!is_lane_activation(activation) || width.out > kMaxWidth ||
      channels + filters > kMaxMatricesBytes / (36 * lanes * static_cast<int>(sizeof(float)))) {
    return false;
  }
  // The transforms take about 180 additions, loads and stores for a tile's inputs or products.
  const auto c = static_cast<double>(channels);
  const auto f = static_cast<double>(filters);
  const auto tiles = static_cast<double>((height.out + 3) / 4 * ((width.out + 3) / 4));
  const double winograd = tiles * (36.0 * c * f + 180.0 * (c + f));
  return winograd < 0.8 * 9.0 * c * f * static_cast<double>(height.out * width.out);
}

}  // namespace prs::cpu
