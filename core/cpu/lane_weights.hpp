// Constant weights in the order of the kernels with an image or a tile in each lane, and the choice
// of Winograd, which both ways share so that they give an image the same scores.
#pragma once

#include <cstdint>
#include <memory>

#include "cpu/pack_words.hpp"
#include "ops/window.hpp"
#include "prs/tensor.hpp"

namespace prs::cpu {

class PackCache;
struct LaneKernels;

/// Zeros around an input, which models may declare by the million: more are left to other kernels.
inline constexpr std::int64_t kMaxPad = 64;

/// Extents of a layer's weights.
struct FilterExtents {
  std::int64_t filters;
  std::int64_t channels;
  std::int64_t taps;
};

inline std::int64_t round_up(std::int64_t x, std::int64_t to) { return (x + to - 1) / to * to; }

/// weight(filter, channel, tap) -> [filters / tile, channels, taps, tile], zeros for filters past
/// the last one.
template <typename Weight>
Tensor pack_filters(const FilterExtents& extents, std::int64_t tile, Weight&& weight) {
  const std::int64_t rounded = round_up(extents.filters, tile);
  Tensor packed(DType::kFloat32, Shape{rounded, extents.channels, extents.taps});
  float* to = packed.as<float>();
  for (std::int64_t group = 0; group < rounded; group += tile) {
    for (std::int64_t c = 0; c < extents.channels; ++c) {
      for (std::int64_t t = 0; t < extents.taps; ++t) {
        for (std::int64_t f = group; f < group + tile; ++f) {
          *to++ = f < extents.filters ? weight(f, c, t) : 0.0F;
        }
      }
    }
  }
  return packed;
}

/// weight(filter, group, tap, i), the bits of number i of a word -> words [filters / tile, groups,
/// taps, tile], zeros for filters past the last one. Extents::channels counts groups.
template <typename Bits, typename Weight>
Tensor pack_filter_words(const FilterExtents& extents, std::int64_t tile, const Weight& weight) {
  constexpr int kEach = kPerWord<Bits>;
  const std::int64_t rounded = round_up(extents.filters, tile);
  Tensor packed(DType::kUint32, Shape{rounded, extents.channels, extents.taps});
  auto* to = packed.as<std::uint32_t>();
  for (std::int64_t first = 0; first < rounded; first += tile) {
    for (std::int64_t g = 0; g < extents.channels; ++g) {
      for (std::int64_t t = 0; t < extents.taps; ++t) {
        for (std::int64_t f = first; f < first + tile; ++f) {
          std::uint32_t word = 0;
          for (int i = 0; i < kEach && f < extents.filters; ++i) {
            const auto bits = static_cast<Bits>(weight(f, g, t, i));
            word |= std::uint32_t{bits} << (32 / kEach * i);
          }
          *to++ = word;
        }
      }
    }
  }
  return packed;
}

/// U = G g Gt of each filter and channel, computed in double: [36, filters / tile, channels, tile].
/// weights: f32[filters, channels, 3, 3]. Shared through `cache` unless that is null.
std::shared_ptr<const Tensor> winograd_weights(const Tensor& weights, std::int64_t tile,
                                               PackCache* cache);

/// Whether a Conv of one group takes Winograd's F(4x4, 3x3): 3 x 3 taps at stride and dilation 1,
/// an activation that its kernels have, and four times fewer products outweigh the transforms. Says
/// the same for every batch.
bool prefers_winograd(const ops::Window& window, std::int64_t channels, std::int64_t filters,
                      const Activation& activation, const LaneKernels& kernels);

/// Whether the kernels with an image or a tile in each lane compute this activation.
bool is_lane_activation(const Activation& activation);

}  // namespace prs::cpu
