// The arguments of the fused kernels, each of which computes a network from its input on. C++17.
#pragma once

#include <cstdint>

#include "kernels/args.hpp"

namespace prs::cuda {

/// Layers of one kind in a fused network.
inline constexpr int kMaxFusedLayers = 8;

/// What becomes of the last layer's scores.
enum class Scores : int { kStored, kFirstLargest, kLastLargest };

/// y = epilogue(W x + bias), a Gemm's alpha and beta in W and bias.
struct DenseLayer {
  int inputs;
  int outputs;
  int weights;  ///< fused_cnn: where [outputs, inputs] begins; fused_mlp goes by the order.
  int biases;   ///< Where the biases begin.
  Epilogue epilogue;
};

/// Rows and columns of one stage of weights: what a block multiplies by between two barriers.
inline constexpr int kMlpDepth = 16;
inline constexpr int kMlpColumns = 128;

struct MlpArgs {
  const void* x;  // [images, layers[0].inputs], u8 or f32
  /// The stages in the order of their use: for each layer, each kMlpColumns outputs, each kMlpDepth
  /// inputs one matrix [kMlpDepth, kMlpColumns], zeros where the layer ends.
  const float* weights;
  const float* biases;  ///< Each layer's with zeros up to a multiple of kMlpColumns.
  void* y;              // f32 [images, outputs]; i64 [images] for the largest
  std::int64_t images;
  int depth;    ///< Layers.
  int stages;   ///< Of all layers.
  bool pixels;  ///< x is u8.
  Scores scores;
  // Dynamic shared memory, in floats: two stages of weights at 0, then two slices of x, then the
  // results of every other layer.
  int slices;          ///< 2 x [kMlpDepth, pitch]
  int activations[2];  ///< [outputs, pitch], rows up to a multiple of kMlpDepth.
  int shared;          ///< All of it.
  DenseLayer layers[kMaxFusedLayers];
};

/// Inputs of one stage of 16-bit weights: rows of 128 bytes.
inline constexpr int kStageDepth = 64;
/// Of a layer in the tensor-core kernels, whose sums are registers.
inline constexpr int kMostMmaColumns = 256;

struct DenseMmaLayer {
  int outputs;
  int columns;  ///< `outputs`, with what is added to fill the instructions' tiles.
  int steps;    ///< Products of 16 inputs, the last one filled up with zeros.
  int biases;   ///< Where they begin, [columns].
  float scale;  ///< The packed weights times this, a power of two, are the weights.
  Epilogue epilogue;
};

struct MlpMmaArgs {
  const void* x;  // [images, inputs], u8 or f32
  /// The stages in the order of their use: for each layer, each kStageDepth inputs one matrix
  /// [columns, kStageDepth], zeros where the layer ends; the 16-byte chunk c of row n lies at chunk
  /// c ^ n % 8. In the first layer number k of a stage is not input k: see mlp_mma_input().
  const void* weights;
  const float* biases;
  void* y;  // f32 [images, outputs]; i64 [images] for the largest
  std::int64_t images;
  int inputs;
  int tile;     ///< Images of a block at once, 64 or 128.
  int slot;     ///< Elements of the largest stage.
  int biased;   ///< Number of biases.
  int depth;    ///< Layers.
  int stages;   ///< Of all layers.
  bool pixels;  ///< x is u8.
  Scores scores;
  DenseMmaLayer layers[kMaxFusedLayers];
};

/// Stages in shared memory at once.
inline constexpr int kCopiedSlots = 3;  ///< By cp.async.
inline constexpr int kBulkSlots = 4;    ///< By cp.async.bulk, which counts on a barrier for each.

/// Which input of the first layer is number k of those that a stage multiplies, where the stage has
/// `steps` products (4, but for the last): so that the four threads of a row, each of which holds
/// elements 2 t, 2 t + 1, 2 t + 8 and 2 t + 9 of every product, read inputs that lie together.
inline constexpr int mlp_mma_input(int k, int steps) {
  const int step = k / 16;
  const int thread = k % 8 / 2;
  return thread * 4 * steps + step * 4 + k % 16 / 8 * 2 + k % 2;
}

/// Planes lie in shared memory with their padding around them, [images, channels, height, width].
struct Planes {
  int first;  ///< Where they begin in shared memory, in floats.
  int channels;
  int height, width;  ///< With the padding.
  int top, left;      ///< Padding before the first row and column.
  int rows, columns;  ///< Without it.
};

/// Conv, activation and MaxPool over pool x pool outputs (1: none).
struct ConvLayer {
  int filters;
  int weights;  ///< [channels * kernel, filters up to a multiple of 4]
  int biases;
  int kernel_height, kernel_width;
  int stride_height, stride_width;
  int dilation_height, dilation_width;
  int pool;
  int pool_stride_height, pool_stride_width;
  Epilogue epilogue;
};

/// Images that one block of fused_cnn may compute at once.
inline constexpr int kMaxCnnImages = 4;

struct CnnArgs {
  const void* x;         // [images, planes[0]], u8 or f32
  const float* scale;    // [channels]: x * scale + bias is the input; null: x is.
  const float* bias;     // [channels]
  const float* weights;  ///< Of the convolutions and then the dense layers; biases among them.
  void* y;  // f32 [images, outputs]; i64 [images] for the largest; f32 planes without dense layers
  std::int64_t images;
  int tile;          ///< Images of a block.
  int convolutions;  ///< Layers of each kind.
  int dense;
  int resident;  ///< The first so many of `weights` are copied to shared memory, at 0.
  bool pixels;
  Scores scores;
  int vectors[2];  ///< The dense layers' results, [images, outputs], in shared memory by turns.
  int shared;      ///< All dynamic shared memory, in floats.
  Planes planes[kMaxFusedLayers + 1];  ///< The input of each convolution, and the last's result.
  ConvLayer conv_layers[kMaxFusedLayers];
  DenseLayer dense_layers[kMaxFusedLayers];
};

}  // namespace prs::cuda
