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

/// One stage of weights in the tensor-core kernels, of an output: 128 bytes, in 16-bit words. So
/// many inputs of 16 bits, or twice that of 8.
inline constexpr int kStageDepth = 64;
/// Products of a stage.
inline constexpr int kStageSteps = 4;
/// Of a layer in the tensor-core kernels, whose sums are registers.
inline constexpr int kMostMmaColumns = 256;

struct DenseMmaLayer {
  int outputs;
  int columns;  ///< `outputs`, with what is added to fill the instructions' tiles.
  int steps;    ///< Products of 16 inputs, of 8 bits 32, the last one filled up with zeros.
  int tables;   ///< Where its part of the tables begins.
  // Of 16 bits:
  float scale;  ///< The packed weights times this, a power of two, are the weights.
  Epilogue epilogue;
};

/// What becomes of the sums of 8 bits, as Requantize has it.
struct RequantizeLayer {
  float low, high;
  float rounding;  ///< What is added to round: kRoundToInteger, or -0, which changes nothing.
  std::int32_t zero_point;  ///< Of the outputs as u8.
};

struct MlpMmaArgs {
  const void* x;  // [images, inputs], u8 or f32; of 8 bits u8 or i8
  /// The stages in the order of their use: for each layer, each kStageDepth words of inputs one
  /// matrix [columns, kStageDepth], zeros where the layer ends; the 16-byte chunk c of row n lies
  /// at chunk c ^ n % 8. Number k of a stage is not input k: see mlp_mma_input() for the first
  /// layer, mlp_u8s8_input() for the others of 8 bits.
  const void* weights;
  /// For each layer f32 biases [columns], which are copied to shared memory; of 8 bits i32 starts,
  /// f32 multipliers and f32 offsets, [3, columns], which the first level cache holds: beside three
  /// stages of 256 outputs 99 KiB of shared memory have no room for them.
  const void* tables;
  void* y;  // f32 [images, outputs]; i64 [images] for the largest
  std::int64_t images;
  int inputs;
  int tile;        ///< Images of a block at once, 64 or 128.
  int slot;        ///< Words of the largest stage.
  int table_size;  ///< Numbers in all tables.
  int depth;       ///< Layers.
  int stages;      ///< Of all layers.
  bool pixels;     ///< x is of bytes.
  Scores scores;
  DenseMmaLayer layers[kMaxFusedLayers];
  // Of 8 bits. Apart from the layers: ptxas 13.0 has no two products of wgmma under way together
  // where those are larger than they are (C7511).
  RequantizeLayer ends[kMaxFusedLayers];
  std::uint32_t flip;         ///< What makes four bytes of x u8: the sign bits of i8, else 0.
  bool dequantizes;           ///< The last layer's outputs, which are integers then.
  std::int32_t y_zero_point;  ///< Of those, as u8.
  float y_scale;
};

/// Stages in shared memory at once.
inline constexpr int kCopiedSlots = 3;  ///< By cp.async.
inline constexpr int kBulkSlots = 4;    ///< By cp.async.bulk, which counts on a barrier for each.

/// Which input of the first layer is number k of those that a stage multiplies, where the stage has
/// `steps` products (4, but for the last): so that the four threads of a row read inputs that lie
/// together. Of a product a thread holds `pair` elements of the first half and as many of the
/// second, 2 of 16 bits or 4 of 8.
inline constexpr int mlp_mma_input(int k, int steps, int pair = 2) {
  const int step = k / (8 * pair);
  const int thread = k % (4 * pair) / pair;
  return (thread * steps + step) * 2 * pair + k % (8 * pair) / (4 * pair) * pair + k % pair;
}

/// Which output of a layer of 8 bits is number k of those that the next one multiplies: so that a
/// thread's four bytes of a half of a product are what it has of two tiles of 8 columns.
inline constexpr int mlp_u8s8_input(int k) {
  const int thread = k % 16 / 4;
  const int tile = k / 32 * 4 + k % 32 / 16 * 2 + k % 4 / 2;
  return tile * 8 + thread * 2 + k % 2;
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
