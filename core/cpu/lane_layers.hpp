// What chains with an image in each lane share, whatever numbers they compute with: which nodes of
// a graph are layers of one, and where the values of a block lie.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "ops/window.hpp"
#include "prs/model.hpp"

namespace prs::cpu {

struct Isa;

/// What passes from layer to layer: f32, or u8 and i8.
enum class LaneNumbers { kFloats, kBytes };

/// [channels, height, width] of one image.
using Extents = std::array<std::int64_t, 3>;

inline std::int64_t elements(const Extents& extents) {
  return extents[0] * extents[1] * extents[2];
}

struct Layer {
  std::size_t index;  ///< Of the node.
  const Node* node;
  Extents in;
  Extents out;
  ops::Window window;  ///< Convolutions and pools.

  OpKind kind() const { return node->kind; }
  bool is_gemm() const { return kind() == OpKind::kGemm || kind() == OpKind::kQuantizedGemm; }
  bool is_conv() const { return kind() == OpKind::kConv || kind() == OpKind::kQuantizedConv; }
};

/// Reads nodes of one graph, which has static shapes and must outlive this, as layers.
class LayerReader {
 public:
  LayerReader(const Graph& graph, LaneNumbers numbers) : graph_(graph), numbers_(numbers) {}

  /// Node `index` as a layer that reads its input 0, when there are kernels for it.
  std::optional<Layer> read(std::size_t index) const;

  const Tensor& weights(const Layer& layer) const {
    return *graph_.value(layer.node->inputs[1]).constant;
  }
  /// Of layers of floats; null without.
  const Tensor* bias(const Node& node) const;
  const Value& value(ValueId id) const { return graph_.value(id); }

  /// One stage, from the node `first` to `last`.
  StepInfo describe(const Node& first, const Node& last, const std::string& kernel,
                    const Isa& isa) const;

 private:
  bool has_constant_operands(const Node& node) const;
  bool read_conv(Layer& layer, const ConvParams& params) const;
  bool read_pool(Layer& layer) const;
  bool read_gemm(const Node& node, bool trans_a) const;
  bool read_floats(Layer& layer) const;
  bool read_bytes(Layer& layer) const;

  const Graph& graph_;
  LaneNumbers numbers_;
};

/// The window of a pool over images, for a task of either kind of lanes.
template <typename Task>
void set_window(Task& task, const Layer& pool) {
  for (std::size_t i = 0; i < 2; ++i) {
    const ops::WindowAxis& axis = pool.window[i + 1];
    task.kernel[i] = axis.kernel;
    task.stride[i] = axis.stride;
    task.dilation[i] = axis.dilation;
    task.pad[i] = axis.pad_begin;
  }
}

/// Whether a convolution's output passes through this pool in the same stage: a MaxPool over square
/// windows of up to max_extent that neither overlap nor leave gaps.
bool is_fusable_pool(const Layer& conv, const Layer& pool, std::int64_t max_extent);

/// What a stage of a chain needs while a block passes: its values, which live until the next stage
/// has read them, and scratch.
struct StageBytes {
  std::int64_t values = 0;
  std::int64_t scratch = 0;
};

/// Offsets in bytes, each by stage.
struct BlockPlaces {
  std::vector<std::int64_t> values;
  std::vector<std::int64_t> scratch;
  std::int64_t bytes = 0;
};

/// Stage 0 loads the block. None when a block's values would fill more than the caches.
std::optional<BlockPlaces> place_block(std::span<const StageBytes> stages);

}  // namespace prs::cpu
