// Gemm and MatMul of few rows by constant matrices (dot.hpp), in every precision of floats:
// operands are rounded to it, their products and the sums are f32, as with tensor cores.
#include "kernels/dot.hpp"
#include "kernels/families.hpp"
#include "kernels/mma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// Elements of a precision: kRun in 16 bytes of packed weights.
struct DotF32 {
  static constexpr int kRun = 4;
  PRS_DEVICE static float rounded(float x) { return x; }
  PRS_DEVICE static void unpack(const std::uint32_t (&words)[4], float (&values)[kRun]) {
    PRS_UNROLL
    for (int i = 0; i < kRun; ++i) values[i] = bits_float(words[i]);
  }
};

struct DotTf32 : DotF32 {
  PRS_DEVICE static float rounded(float x) { return bits_float(to_tf32(x)); }
};

template <typename Element>
struct Dot16 {
  using T = typename Element::T;
  static constexpr int kRun = 8;
  PRS_DEVICE static float rounded(float x) { return to_float(Element::of(x)); }
  PRS_DEVICE static void unpack(const std::uint32_t (&words)[4], float (&values)[kRun]) {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) {
      values[2 * i] = to_float(T{static_cast<std::uint16_t>(words[i])});
      values[2 * i + 1] = to_float(T{static_cast<std::uint16_t>(words[i] >> 16)});
    }
  }
};

template <typename Dot>
struct FloatProducts {
  using Sum = float;
  static constexpr int kRun = Dot::kRun;
  const GemmDotArgs& args;
  std::int64_t row0;
  int rows;

  PRS_DEVICE void add(const std::uint32_t (&words)[4], std::int64_t run,
                      float (&sums)[kDotRows]) const {
    float weights[kRun];
    Dot::unpack(words, weights);
    PRS_UNROLL
    for (int row = 0; row < kDotRows; ++row) {
      if (row >= rows) continue;
      float x[kRun];
      read(row0 + row, run * kRun, x);
      PRS_UNROLL
      for (int i = 0; i < kRun; ++i) sums[row] = fmaf(x[i], weights[i], sums[row]);
    }
  }

  PRS_DEVICE void store(std::int64_t row, std::int64_t column, float sum) const {
    const GemmArgs& gemm = args.gemm;
    float y = sum * gemm.alpha;
    if (gemm.bias != nullptr) {
      y += gemm.beta * gemm.bias[row * gemm.bias_row + column * gemm.bias_column];
    }
    gemm.y[row * gemm.n + column] = apply(gemm.epilogue, y);
  }

 private:
  /// A's elements (row, k) and up, zeros past its end.
  PRS_DEVICE void read(std::int64_t row, std::int64_t k, float (&x)[kRun]) const {
    const GemmArgs& gemm = args.gemm;
    const std::int64_t first = row * gemm.a_row + k * gemm.a_column;
    if (args.runs && k + kRun <= gemm.k) {
      read_run(first, x);
      return;
    }
    PRS_UNROLL
    for (int i = 0; i < kRun; ++i) {
      x[i] = k + i < gemm.k ? element(first + i * gemm.a_column) : 0.0F;
    }
  }

  PRS_DEVICE void read_run(std::int64_t first, float (&x)[kRun]) const {
    if constexpr (kRun == 8) {
      if (args.rounded) {
        std::uint32_t words[4];
        load_words(static_cast<const std::uint32_t*>(args.gemm.a) + first / 2, words);
        Dot::unpack(words, x);
        return;
      }
    }
    PRS_UNROLL
    for (int i = 0; i < kRun; i += 4) {
      if (args.pixels) {
        const std::uint32_t bytes =
            load_word(static_cast<const std::uint8_t*>(args.gemm.a) + first + i);
        PRS_UNROLL
        for (int j = 0; j < 4; ++j) {
          x[i + j] = Dot::rounded(static_cast<float>(bytes >> (8 * j) & 0xFFu));
        }
      } else {
        const Float4 values = load4(static_cast<const float*>(args.gemm.a) + first + i);
        x[i] = Dot::rounded(values.x);
        x[i + 1] = Dot::rounded(values.y);
        x[i + 2] = Dot::rounded(values.z);
        x[i + 3] = Dot::rounded(values.w);
      }
    }
  }

  PRS_DEVICE float element(std::int64_t at) const {
    if constexpr (kRun == 8) {
      if (args.rounded) return to_float(static_cast<const typename Dot::T*>(args.gemm.a)[at]);
    }
    return Dot::rounded(args.pixels
                            ? static_cast<float>(static_cast<const std::uint8_t*>(args.gemm.a)[at])
                            : static_cast<const float*>(args.gemm.a)[at]);
  }
};

template <typename Dot>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256, 2) gemm_dot(GemmDotArgs args) {
  dot_tile(args.dot, args.gemm.m, args.gemm.n, [&](std::int64_t row0, int rows) {
    return FloatProducts<Dot>{args, row0, rows};
  });
}

}  // namespace

void add_gemm_dot_kernels(KernelTable& table) {
  add(table, KernelId::kGemmF32Dot, gemm_dot<DotF32>);
  add(table, KernelId::kGemmTf32Dot, gemm_dot<DotTf32>);
  add(table, KernelId::kGemmBf16Dot, gemm_dot<Dot16<ElementBf16>>);
  add(table, KernelId::kGemmF16Dot, gemm_dot<Dot16<ElementF16>>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
