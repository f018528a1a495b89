// What the shape rule and the backends share about BatchNormalization.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::batch_norm {

/// x seen as [batch, channels, inner], with one set of statistics for each channel.
struct Extents {
  std::int64_t batch;
  std::int64_t channels;
  std::int64_t inner;
};

/// Batch is 0 when x is empty. Without `spatial` every element of a sample is a channel of its own.
/// Throws invalid model for a rank below 2.
Extents extents(const BatchNormParams& params, const Shape& x);

/// Throws unsupported unless output i can be computed: y always, the running mean (1) and variance
/// (2) in training mode.
void require_output(const BatchNormParams& params, std::size_t i);

}  // namespace prs::ops::batch_norm
