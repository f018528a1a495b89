// What a graph begins with, as the fused kernels see it: layers in a row, each of which reads only
// what the one before it gives.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "kernels/fused/args.hpp"
#include "ops/window.hpp"

namespace prs::cuda {

/// Conv and the MaxPool behind it.
struct ConvStage {
  const Node* node;  ///< QuantizedConv in a chain of quantised layers.
  const Node* pool = nullptr;
  ops::Window window;
  ops::Window pool_window;  ///< Set with `pool`.
  /// Nodes [0, nodes) of the graph take its input to this stage's result.
  std::size_t nodes = 0;
  ValueId output = kNoValue;
};

struct DenseStage {
  const Node* node;  ///< Gemm or QuantizedGemm.
  std::int64_t inputs;
  std::int64_t outputs;
};

/// The longest chain of layers that fused kernels know, all of floats or all of 8-bit integers.
/// Nodes [0, nodes) of the graph, and no others, take its input to its output.
struct Chain {
  ValueId input = kNoValue;
  ValueId output = kNoValue;
  const Node* normalize = nullptr;
  const Node* quantize = nullptr;  ///< QuantizeLinear in front of the layers, one scale for all.
  bool quantized = false;          ///< The layers are of 8-bit integers.
  std::vector<ConvStage> convolutions;
  std::vector<DenseStage> dense;
  const Node* dequantize = nullptr;  ///< DequantizeLinear behind dense layers, the same.
  Scores scores = Scores::kStored;
  std::size_t nodes = 0;
  std::string
      end;  ///< Why it goes no further: "node 'softmax' (Softmax)"; empty at the graph's end.
};

Chain find_chain(const Graph& graph);

/// The chain's first `count` convolutions and nothing behind them.
Chain front_of(const Chain& chain, std::size_t count);

/// Whether all that reads the value, or views of it, are Gemms with constant weights, which take it
/// as it lies.
bool read_by_products(const Graph& graph, ValueId value);

/// Bias b of [..] as one value an output, times beta; zeros when the layer has none.
std::vector<float> biases_of(const Graph& graph, const Node& node, std::int64_t outputs,
                             float beta);

}  // namespace prs::cuda
