// The graph passes. Each rewrites a graph into an equivalent one (up to rounding) and says how many
// places it changed. They use shapes where values have them, but only facts that hold for every
// batch: ranks, channel counts, constants. Passes never modify a constant: they add new ones, and
// only in place of constants that one node reads, so that memory stays in proportion to the model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace prs {

/// Drops nodes whose results nobody reads.
int remove_dead_nodes(Graph& graph);

/// Lets go of constants that nothing reads any more.
void drop_unread_constants(Graph& graph);

/// Bypasses what only hands its input on: Identity, Dropout in inference, Cast to the same type,
/// Reshape, Flatten, Squeeze, Unsqueeze and Transpose that change nothing.
int remove_identities(Graph& graph);

/// Conv or Gemm followed by BatchNormalization with constant statistics: one Conv or Gemm.
int fold_batch_norms(Graph& graph);

/// Conv, Gemm or MatMul followed by Add or Mul with a constant per channel: folded into weights and
/// bias. A MatMul of matrices becomes a Gemm.
int fold_channel_constants(Graph& graph);

/// Relu, LeakyRelu, Clip, Sigmoid or Tanh moves into the Conv, Gemm or arithmetic node before it.
int fuse_activations(Graph& graph);

/// Normalize in front of a Conv or Gemm with constant weights: folded into them where that is
/// exact, so that the layer takes u8 pixels. (A Conv that pads takes only the scale: its zeros are
/// not pixels.)
int fold_normalizations(Graph& graph);

/// What fuse_quantized made.
struct QuantizedLayers {
  int layers = 0;
  int normalizations = 0;  ///< Of pixels, which now go in as they are.
};

/// Conv, Gemm and MatMul between DequantizeLinear and QuantizeLinear, with i8 weights that have one
/// scale a channel or one for all: layers of 8-bit integers. QuantizeLinear moves up over pooling
/// and reshaping first. Rounds otherwise than the float layers do: an output may be one step off.
/// Clears keeps_dequantization.
QuantizedLayers fuse_quantized(Graph& graph);

/// All of the above but fuse_quantized, until nothing changes or a number of rounds is over.
/// Appends to `notes` what was done, in words.
void optimize(Graph& graph, std::vector<std::string>& notes);

/// How a graph treats axis 0 of its first input.
struct BatchAnalysis {
  /// Entry n of axis 0 of every output hangs on entry n of the inputs alone.
  bool separable = false;
  /// Why not, in words.
  std::string reason;
};

/// Analyses a graph whose values have shapes for some batch. When it is separable, rewrites
/// constant Reshape targets that spell the batch out, so that the graph works for any, and sets
/// batch_opened.
BatchAnalysis open_batch(Graph& graph);

}  // namespace prs
