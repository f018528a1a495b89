// The arguments of fused_cnn_{bf16,f16,u8s8}_mma, and the order in which it takes its weights.
// C++17.
//
// Everything in shared memory is counted in halfwords of 16 bits, each one number or two bytes, or
// in words of 32 bits, from its start; the resident constants come first. A unit of work is a
// warp's: kMmaPlaces positions of a layer's result (with a pool as many as one m16 tile has rows,
// once for each position of the window), times `columns` n8 tiles.
#pragma once

#include <cstdint>

#include "kernels/args.hpp"
#include "kernels/fused/args.hpp"

namespace prs::cuda {

/// Images whose features the dense layers multiply at once: the rows of one instruction.
inline constexpr int kMmaImages = 16;
/// Places of a unit without a pool, and the n8 tiles of a unit of a dense layer.
inline constexpr int kMmaPlaces = 32;
inline constexpr int kDenseTiles = 2;

/// x / divisor as a product: exact while x * divisor < 2^31.
struct Divisor {
  std::uint32_t multiplier;
  int divisor;
};

/// What a convolution reads: [images, height, width, runs], channels innermost, in runs of 8
/// halfwords; or, of neighbours, [images, copies, channels, height, width]: each copy, as many as a
/// word has numbers, begins one number later, so that whichever neighbours a thread wants are one
/// aligned word of one of them.
struct MmaPlanes {
  int first;        ///< Halfwords; even, and a multiple of 8 unless of neighbours.
  int image_pitch;  ///< Halfwords
  int runs;         ///< From one position to the next; of neighbours 1.
  /// Run number n of an image lies at n ^ (n >> shift & mask): so that the eight that ldmatrix
  /// reads at once, of places in a row, lie in different banks.
  int shift, mask;
  int copy;               ///< Halfwords from one copy to the next; 0 unless of neighbours.
  int channels;           ///< Whole runs unless of neighbours.
  std::uint32_t padding;  ///< A word of what stands around them: zeros, or bytes of the zero point.
  int height, width;      ///< With the padding.
  int top, left;          ///< Padding before the first row and column.
  int rows, columns;      ///< Without it.
  bool borders;           ///< Has padding.
  bool alone;             ///< Nothing else ever lies in its place: padding is cleared once.
};

/// What becomes of the sums of 8-bit integers, beside their tables (Requantize).
struct MmaByteEnds {
  float low, high;
  std::int32_t zero_point;
};

/// Conv, activation and MaxPool over pool x pool outputs (1: none).
struct MmaConvLayer {
  int filters;
  int columns;  ///< n8 tiles of a unit: 1, 2 or 4.
  int groups;   ///< Units next to each other along the filters.
  int steps;    ///< Of 16 halfwords along k.
  bool half;    ///< The last step has 8 only.
  /// Word where the fragments begin: [groups, steps, columns / 2, lane, 2 tiles, 2 registers]; for
  /// one column [groups, steps, lane, 2 registers].
  int weights;
  /// Word; f32 [groups * columns * 8]; of bytes [3, groups * columns * 8]: starts, multipliers and
  /// offsets.
  int biases;
  /// Word; [steps * 2] of the runs along k: how many runs behind the window's first. Of neighbours
  /// [steps * 8, 2]: the distance from the window's first number in words, and a mask of what
  /// belongs to the filter.
  int taps;
  int down, right;                ///< From a place to the next, in runs; of neighbours in numbers.
  int window_down, window_right;  ///< The same within a pool's window.
  int pool;
  Divisor places;      ///< By the places of an image, rows * columns.
  Divisor row_places;  ///< By those of a row.
  Epilogue epilogue;   ///< Of floats, and of bytes:
  MmaByteEnds ends;
};

/// y = epilogue(W x + bias); an alpha and beta in W and bias.
struct MmaDenseLayer {
  int steps;  ///< Of 16 halfwords along k.
  bool half;  ///< The last step has 8 only.
  int outputs;
  int units;    ///< Of kDenseTiles n8 tiles each.
  int slices;   ///< Warps that share a unit, along k.
  int weights;  ///< Word of the constants: [units, steps, lane, 2 tiles, 2 registers]
  int biases;   ///< Word; [units * 16] or [3, units * 16], as of a convolution.
  Epilogue epilogue;
  MmaByteEnds ends;
};

/// QuantizeLinear of the images. The zero point is of numbers as u8.
struct QuantizeStep {
  float scale;
  float low, high;
  std::int32_t zero_point;
};

/// DequantizeLinear of what lies `steps` above the layer's zero point: (steps + shift) * scale.
struct DequantizeStep {
  float scale;
  float shift;
};

/// What the kernel leaves in y.
enum class MmaResult : int {
  kScores,   ///< f32 [images, outputs]
  kLargest,  ///< i64 [images]: the first or the last largest score's index, as `scores` says.
  kPlanes,   ///< f32 [images, filters, rows, columns] of the last convolution
  kRounded,  ///< The same in the kernel's own 16-bit type.
  kBytes,    ///< Planes or scores in u8 or i8.
};

struct CnnMmaArgs {
  const void* x;                   // [images, planes[0]], u8 or f32
  const float* scale;              // [channels]: x * scale + bias is the input; null: x is.
  const float* bias;               // [channels]
  const std::uint32_t* constants;  ///< Words: first the resident ones, then the dense layers'.
  void* y;
  int images;
  int tile;   ///< Images that go through the convolutions at once.
  int group;  ///< Images whose features the dense layers take at once; a block strides by groups.
  int groups;
  int convolutions;  ///< Layers of each kind.
  int dense;
  int resident;     ///< Words; a multiple of 4.
  bool pixels;      ///< x is u8.
  bool neighbours;  ///< How planes[0] lies.
  bool staged;      ///< Images come by cp.async: they are a multiple of 16 bytes.
  bool quantizes;   ///< Of bytes: x, or what it is normalised to, is quantised first.
  QuantizeStep quantize;
  bool dequantizes;  ///< Of bytes: scores are those of a DequantizeLinear.
  DequantizeStep dequantize;
  MmaResult result;
  Scores scores;
  int staging;         ///< Byte of [tile, an image of x].
  int image_elements;  ///< Of x.
  int features;        ///< Halfword of [group, features_pitch], what the first dense layer reads.
  int features_pitch;  ///< An odd multiple of 8.
  int hidden[2];       ///< Halfwords of the other dense layers' inputs, [group, hidden_pitch].
  int hidden_pitch;
  int sums;  ///< Word of [slices, kMmaImages, units * 16] of a dense layer.
  std::int64_t shared_bytes;
  Divisor input_area;  ///< height * width of planes[0]
  Divisor input_width;
  MmaPlanes planes[kMaxFusedLayers + 1];  ///< The input of each convolution; the last's result.
  MmaConvLayer conv_layers[kMaxFusedLayers];
  MmaDenseLayer dense_layers[kMaxFusedLayers];
};

}  // namespace prs::cuda
