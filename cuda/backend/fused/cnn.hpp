// What the plans of the fused convolutional networks share.
#pragma once

#include "backend/fused/fused.hpp"

namespace prs::cuda {

/// What a block may read of dense weights: every block reads all of them, for few images.
inline constexpr std::int64_t kMostDenseBytes = 256 << 10;

/// What the hardware takes of shared memory for itself, for each block on a multiprocessor.
inline constexpr std::int64_t kReservedSharedBytes = 1 << 10;

/// Whether two blocks with so much shared memory are on a multiprocessor at once. (It has what one
/// block may have, and what that block's reserve takes.)
inline bool two_blocks_fit(std::int64_t shared_bytes, const DeviceLimits& limits) {
  return 2 * (shared_bytes + kReservedSharedBytes) <= limits.shared_bytes + kReservedSharedBytes;
}

/// The planes between convolutions number i - 1 and i, padded for the latter. `first` is not set.
Planes planes_at(const Fusion& fusion, std::size_t i);

/// The Normalize in front, scales and then biases of that many channels; null when there is none.
std::shared_ptr<const void> upload_normalization(const Fusion& fusion, std::int64_t channels);

/// "the dense layers have ... of weights, ...".
std::string too_many_dense_weights(std::int64_t bytes);

}  // namespace prs::cuda
