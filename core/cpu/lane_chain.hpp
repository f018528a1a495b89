// Chains of layers that are computed as one step with an image in each vector lane: blocks of as
// many images as a vector has lanes pass through all of the chain's layers before the next block
// follows, so that what lies between the layers stays in a core's caches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "backend.hpp"
#include "cpu/kernel.hpp"
#include "graph/graph.hpp"
#include "prs/model.hpp"

namespace prs::cpu {

struct LaneChain {
  std::vector<std::size_t> nodes;  ///< Indices into the graph's nodes, in order.
  Plan plan;                       ///< Input 0: the first node's; output 0: the last one's.
  std::vector<StepInfo> stages;    ///< One for each layer or fused group of layers.
};

/// Finds chains in one graph, which has static shapes and must outlive this.
class LaneChainFinder {
 public:
  /// With Precision::kBf16, and instructions for it, convolutions and Gemms multiply bf16 as their
  /// kernels for single images do. Layers that are worth it are computed by a whole crew.
  LaneChainFinder(const Graph& graph, const Isa& isa, const CompileOptions& options,
                  PackCache& packed);

  /// The longest chain that begins with node `first`: a Conv or QuantizedConv and what follows it,
  /// as long as each value has one reader: Conv (one group, constant weights), MaxPool,
  /// AveragePool, reshapes that keep the images apart, and a Gemm whose weights are so small that
  /// reading them for every block costs nothing; or the same layers of 8-bit integers. None when
  /// the batch would leave half of the lanes idle or a block's values would fill more than the
  /// caches.
  std::optional<LaneChain> find(std::size_t first) const;

 private:
  const Graph& graph_;
  const Isa& isa_;
  const CompileOptions& options_;
  PackCache& packed_;
  std::vector<int> uses_;    ///< By value.
  std::vector<int> reader_;  ///< By value: the last node that reads it, or -1.
};

}  // namespace prs::cpu
