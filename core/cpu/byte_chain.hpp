// Chains of layers of 8-bit integers with an image in each lane (isa/byte_lanes.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cpu/lane_chain.hpp"
#include "cpu/lane_layers.hpp"

namespace prs::cpu {

/// `layers`, read as LaneNumbers::kBytes, for `images` images. Gives the bits of the layers one by
/// one. None when a block's values would fill more than the caches.
std::optional<LaneChain> build_byte_chain(const LayerReader& reader,
                                          const std::vector<Layer>& layers, std::int64_t images,
                                          const Isa& isa, const Sharing& sharing,
                                          PackCache& packed);

}  // namespace prs::cpu
