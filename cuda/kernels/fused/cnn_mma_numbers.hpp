// The numbers that lie between the layers of fused_cnn_mma, and what makes them: floats of 16 bits
// with f32 sums, or 8-bit integers with exact ones. What the kernel is a template of:
//
//   kPack                          numbers of a halfword
//   Sum, sums_of                   of products, and where those of dense layers lie
//   multiply, kept, larger_of      mma.sync; what the filter reads of a word of A; the sum that a
//                                  MaxPool takes
//   padding, input_of, store       what stands around planes; number i of a round's images; a
//   number
//                                  to shared memory
//   begin, finish                  what a convolution's sums begin with, and its values by them
//   dense_value, score             the same of dense layers, and from the last one's to scores
//   put_pair, put, leave           values to the next layer's numbers, or to y
#pragma once

#include "kernels/fused/cnn_mma.hpp"
#include "kernels/mma.hpp"
#include "kernels/requantize.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// The block's shared memory, under each type that something in it has.
struct CnnMemory {
  Shared<std::uint16_t> halfwords;
  Shared<std::uint32_t> words;
  Shared<std::int32_t> integers;
  Shared<float> floats;
  Shared<std::uint8_t> bytes;

  PRS_DEVICE static CnnMemory of(const CnnMmaArgs& args) {
    const int size = static_cast<int>(args.shared_bytes);
    return {dynamic_shared<std::uint16_t>(0, size / 2), dynamic_shared<std::uint32_t>(0, size / 4),
            dynamic_shared<std::int32_t>(0, size / 4), dynamic_shared<float>(0, size / 4),
            dynamic_shared<std::uint8_t>(0, size)};
  }
};

/// The images that one round takes through the convolutions.
struct CnnRound {
  int image0;
  int images;
  int in_group;  ///< Number of the first one in its group.
};

/// Element i of the round's images.
PRS_DEVICE std::uint8_t pixel_at(const CnnMmaArgs& args, const CnnMemory& s, const CnnRound& round,
                                 int i) {
  if (args.staged) return s.bytes.load(args.staging + i);
  const std::int64_t at = std::int64_t{round.image0} * args.image_elements + i;
  return static_cast<const std::uint8_t*>(args.x)[at];
}

/// The same as a float, normalised.
PRS_DEVICE float input_at(const CnnMmaArgs& args, const CnnMemory& s, const CnnRound& round,
                          int channel, int i) {
  float value;
  if (args.pixels) {
    value = static_cast<float>(pixel_at(args, s, round, i));
  } else if (args.staged) {
    value = s.floats.load(args.staging / 4 + i);
  } else {
    const std::int64_t at = std::int64_t{round.image0} * args.image_elements + i;
    value = static_cast<const float*>(args.x)[at];
  }
  return args.scale == nullptr ? value : fmaf(value, args.scale[channel], args.bias[channel]);
}

template <typename Element>
struct CnnHalves {
  using Number = typename Element::T;
  using Sum = float;
  static constexpr int kPack = 1;

  PRS_DEVICE static const Shared<float>& sums_of(const CnnMemory& s) { return s.floats; }

  PRS_DEVICE static void multiply(float (&d)[4], const FragmentA& a, const FragmentB& b) {
    Element::multiply(d, a, b);
  }
  /// What the filter does not read may be infinite.
  PRS_DEVICE static std::uint32_t kept(std::uint32_t word, std::uint32_t mask) {
    return word & mask;
  }
  PRS_DEVICE static float larger_of(float a, float b) { return larger(a, b); }

  PRS_DEVICE static Number padding(const MmaPlanes&) { return Element::of(0.0F); }
  PRS_DEVICE static Number input_of(const CnnMmaArgs& args, const CnnMemory& s,
                                    const CnnRound& round, int channel, int i) {
    return Element::of(input_at(args, s, round, channel, i));
  }
  PRS_DEVICE static void store(const CnnMemory& s, int i, Number number) {
    s.halfwords.store(i, number.bits);
  }

  template <int kColumns, int kSums>
  PRS_DEVICE static void begin(const MmaConvLayer&, const CnnMemory&, int,
                               float (&sums)[kSums][4]) {
    PRS_UNROLL
    for (int i = 0; i < kSums; ++i) {
      for (int j = 0; j < 4; ++j) sums[i][j] = 0.0F;
    }
  }
  template <int kColumns, int kSums, int kCount>
  PRS_DEVICE static void finish(const MmaConvLayer& layer, const CnnMemory& s, int column,
                                const float (&sums)[kSums][4], float (&values)[kCount][4]) {
    PRS_UNROLL
    for (int i = 0; i < kCount; ++i) {
      for (int j = 0; j < 4; ++j) {
        values[i][j] = sums[i][j] + s.floats.load(layer.biases + column + i % kColumns * 8 + j % 2);
      }
    }
    apply_to_all(layer.epilogue, values);
  }
  PRS_DEVICE static float dense_value(const CnnMmaArgs& args, const MmaDenseLayer& layer, int n,
                                      float sum) {
    return apply(layer.epilogue, sum + bits_float(args.constants[layer.biases + n]));
  }

  PRS_DEVICE static float score(const CnnMmaArgs&, float value) { return value; }

  /// Two outputs next to each other; the layer has `left` more. Behind its last come zeros: an
  /// infinity times its weights of zero is NaN.
  PRS_DEVICE static void put_pair(const CnnMemory& s, int halfword, const MmaConvLayer&, int left,
                                  float low, float high) {
    s.words.store(halfword / 2, Element::pair_of(left > 0 ? low : 0.0F, left > 1 ? high : 0.0F));
  }
  PRS_DEVICE static void put(const CnnMemory& s, int i, const MmaDenseLayer&, bool is_output,
                             float value) {
    store(s, i, Element::of(is_output ? value : 0.0F));
  }
  template <typename Layer>
  PRS_DEVICE static void leave(const CnnMmaArgs& args, const Layer&, std::int64_t at, float value) {
    if (args.result == MmaResult::kRounded) {
      static_cast<Number*>(args.y)[at] = Element::of(value);
    } else {
      static_cast<float*>(args.y)[at] = value;
    }
  }
};

/// As the products see them: i8 lies as u8, 128 steps further up. Nothing here is infinite, so that
/// weights of zero are enough where k or the filters are filled up. A convolution's values are
/// bounded where they are stored.
struct CnnBytes {
  using Number = std::uint8_t;
  using Sum = std::int32_t;
  static constexpr int kPack = 2;

  PRS_DEVICE static const Shared<std::int32_t>& sums_of(const CnnMemory& s) { return s.integers; }

  PRS_DEVICE static void multiply(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k32_u8s8(d, a, b);
  }
  PRS_DEVICE static std::uint32_t kept(std::uint32_t word, std::uint32_t) { return word; }
  PRS_DEVICE static std::int32_t larger_of(std::int32_t a, std::int32_t b) { return a > b ? a : b; }

  PRS_DEVICE static Number padding(const MmaPlanes& planes) {
    return static_cast<Number>(planes.padding);
  }
  PRS_DEVICE static Number input_of(const CnnMmaArgs& args, const CnnMemory& s,
                                    const CnnRound& round, int channel, int i) {
    if (!args.quantizes) return pixel_at(args, s, round, i);
    const QuantizeStep& step = args.quantize;
    const float value = input_at(args, s, round, channel, i);
    return static_cast<Number>(static_cast<int>(quantized(value, step.scale, step.low, step.high)) +
                               step.zero_point);
  }
  PRS_DEVICE static void store(const CnnMemory& s, int i, Number number) {
    s.bytes.store(i, number);
  }

  template <int kColumns, int kSums>
  PRS_DEVICE static void begin(const MmaConvLayer& layer, const CnnMemory& s, int column,
                               std::int32_t (&sums)[kSums][4]) {
    PRS_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      std::uint32_t starts[2];
      load_words(s.words, layer.biases + column + n * 8, starts);
      PRS_UNROLL
      for (int i = n; i < kSums; i += kColumns) {
        for (int j = 0; j < 4; ++j) sums[i][j] = static_cast<std::int32_t>(starts[j % 2]);
      }
    }
  }
  template <int kColumns, int kSums, int kCount>
  PRS_DEVICE static void finish(const MmaConvLayer& layer, const CnnMemory& s, int column,
                                const std::int32_t (&sums)[kSums][4], float (&values)[kCount][4]) {
    const int width = layer.groups * kColumns * 8;
    PRS_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      std::uint32_t multipliers[2];
      std::uint32_t offsets[2];
      load_words(s.words, layer.biases + width + column + n * 8, multipliers);
      load_words(s.words, layer.biases + 2 * width + column + n * 8, offsets);
      PRS_UNROLL
      for (int i = n; i < kCount; i += kColumns) {
        for (int j = 0; j < 4; ++j) {
          values[i][j] =
              scaled(sums[i][j], bits_float(multipliers[j % 2]), bits_float(offsets[j % 2]));
        }
      }
    }
  }
  PRS_DEVICE static float dense_value(const CnnMmaArgs& args, const MmaDenseLayer& layer, int n,
                                      std::int32_t sum) {
    const std::uint32_t* table = args.constants + layer.biases + n;
    const int width = layer.units * kDenseTiles * 8;
    return requantized(sum, static_cast<std::int32_t>(table[0]), bits_float(table[width]),
                       bits_float(table[2 * width]), layer.ends.low, layer.ends.high);
  }

  PRS_DEVICE static float score(const CnnMmaArgs& args, float value) {
    if (!args.dequantizes) return value;
    return multiply_rounded(add_rounded(round_to_even(value), args.dequantize.shift),
                            args.dequantize.scale);
  }

  PRS_DEVICE static void put_pair(const CnnMemory& s, int halfword, const MmaConvLayer& layer, int,
                                  float low, float high) {
    const MmaByteEnds& ends = layer.ends;
    const std::uint32_t pair =
        permute_bytes(bounded_steps(low, ends.low, ends.high, ends.zero_point),
                      bounded_steps(high, ends.low, ends.high, ends.zero_point), 0x0040);
    s.halfwords.store(halfword, static_cast<std::uint16_t>(pair));
  }
  PRS_DEVICE static void put(const CnnMemory& s, int i, const MmaDenseLayer& layer, bool,
                             float value) {
    store(s, i, static_cast<Number>(requantized_steps(value, layer.ends.zero_point)));
  }
  PRS_DEVICE static void leave(const CnnMmaArgs& args, const MmaConvLayer& layer, std::int64_t at,
                               float value) {
    leave(args, layer.ends, at, bounded(value, layer.ends.low, layer.ends.high));
  }
  PRS_DEVICE static void leave(const CnnMmaArgs& args, const MmaDenseLayer& layer, std::int64_t at,
                               float value) {
    leave(args, layer.ends, at, value);
  }

 private:
  PRS_DEVICE static void leave(const CnnMmaArgs& args, const MmaByteEnds& ends, std::int64_t at,
                               float value) {
    if (args.result == MmaResult::kBytes) {
      static_cast<Number*>(args.y)[at] =
          static_cast<Number>(requantized_steps(value, ends.zero_point));
    } else {
      static_cast<float*>(args.y)[at] = value;
    }
  }
};

}  // namespace prs::cuda::PRS_CUDA_WORLD
