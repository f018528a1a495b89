// ldmatrix and mma.sync as collectives of a warp. Fragment layouts: PTX ISA 8.x, "Matrix Fragments
// for mma.m16n8k8", ".m16n8k16", ".m16n8k32" and "ldmatrix".
//
// In all of them, with g = lane / 4 and t = lane % 4, the accumulator's element i is at row
// g + 8 * (i / 2), column 2 * t + i % 2. Operands come in 32-bit registers that hold kPack elements
// side by side along k: register r of A is at row g + 8 * (r % 2), k = kPack * (t + 4 * (r / 2)) +
// e; register r of B at k = kPack * (t + 4 * r) + e, column g.
#include <cstring>

#include "emulation/device.hpp"

namespace prs::cuda::emulated {
namespace {

struct LoadPayload {
  const unsigned char* row;
  std::uint32_t* result;
};

/// Lanes 8m .. 8m + 7 give the rows of matrix m. Register m of a lane holds, of that matrix, row
/// lane / 4, elements 2 * (lane % 4) and the next; transposed: column and row swapped.
template <bool kTransposed>
void compute_load(void* const* payloads, std::uint32_t) {
  const auto payload = [&](unsigned lane) { return static_cast<LoadPayload*>(payloads[lane]); };
  const auto read = [&](unsigned lane, unsigned i) {
    std::uint16_t element;
    std::memcpy(&element, payload(lane)->row + sizeof element * i, sizeof element);
    return std::uint32_t{element};
  };
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    for (unsigned m = 0; m < 4; ++m) {
      std::uint32_t bits = 0;
      for (unsigned e = 0; e < 2; ++e) {
        const unsigned i = lane / 4;
        const unsigned j = 2 * (lane % 4) + e;
        const std::uint32_t element = kTransposed ? read(8 * m + j, i) : read(8 * m + i, j);
        bits |= element << (16 * e);
      }
      payload(lane)->result[m] = bits;
    }
  }
}

template <typename Accumulator>
struct MmaPayload {
  Accumulator* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

/// Element e of a register.
struct F16 {
  static constexpr int kPack = 2;
  static double value(std::uint32_t bits, int e) {
    return half_to_float(static_cast<std::uint16_t>(bits >> (16 * e)));
  }
};
struct Bf16 {
  static constexpr int kPack = 2;
  static double value(std::uint32_t bits, int e) {
    return bfloat16_to_float(static_cast<std::uint16_t>(bits >> (16 * e)));
  }
};
struct Tf32 {
  static constexpr int kPack = 1;
  // The hardware takes no notice of the low 13 bits.
  static double value(std::uint32_t bits, int) { return bits_float(bits & ~0x1FFFu); }
};
struct S8 {
  static constexpr int kPack = 4;
  static std::int32_t value(std::uint32_t bits, int e) {
    return static_cast<std::int8_t>(bits >> (8 * e));
  }
};
struct U8 {
  static constexpr int kPack = 4;
  static std::int32_t value(std::uint32_t bits, int e) {
    return static_cast<std::uint8_t>(bits >> (8 * e));
  }
};

/// D = A * B + D. Floats are summed in double and rounded once: the hardware's order and internal
/// rounding are not documented.
template <typename A, typename B, typename Accumulator, typename Sum>
void compute_mma(void* const* payloads, std::uint32_t) {
  constexpr int kPack = A::kPack;
  constexpr int kK = 8 * kPack;
  const auto payload = [&](int lane) {
    return static_cast<const MmaPayload<Accumulator>*>(payloads[lane]);
  };
  decltype(A::value(0, 0)) a[16][kK];
  decltype(B::value(0, 0)) b[kK][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4;
    const int t = lane % 4;
    for (int e = 0; e < kPack; ++e) {
      for (int r = 0; r < 4; ++r) {
        a[g + 8 * (r % 2)][kPack * (t + 4 * (r / 2)) + e] = A::value(payload(lane)->a[r], e);
      }
      for (int r = 0; r < 2; ++r) {
        b[kPack * (t + 4 * r) + e][g] = B::value(payload(lane)->b[r], e);
      }
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i / 2);
      const int column = 2 * (lane % 4) + i % 2;
      Sum sum = static_cast<Sum>(payload(lane)->d[i]);
      for (int k = 0; k < kK; ++k) {
        sum += static_cast<Sum>(a[row][k]) * static_cast<Sum>(b[k][column]);
      }
      payload(lane)->d[i] = static_cast<Accumulator>(sum);
    }
  }
}

template <typename A, typename B, typename Accumulator, typename Sum>
void mma(const char* what, Accumulator* d, const std::uint32_t* a, const std::uint32_t* b,
         Source where) {
  MmaPayload<Accumulator> payload{d, a, b};
  warp_collective(what, kFullMask, &payload, &compute_mma<A, B, Accumulator, Sum>, where);
}

}  // namespace

void BallotPayload::compute(void* const* payloads, std::uint32_t mask) {
  std::uint32_t votes = 0;
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    const bool votes_yes =
        (mask >> lane & 1u) != 0 && static_cast<const BallotPayload*>(payloads[lane])->predicate;
    votes |= static_cast<std::uint32_t>(votes_yes) << lane;
  }
  for (unsigned lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1u) != 0) static_cast<BallotPayload*>(payloads[lane])->result = votes;
  }
}

void load_matrix(std::uint32_t (&r)[4], const void* row, bool transposed, Source where) {
  require_aligned(row, 16, where);
  touch_shared(Touch::kRead, row, 16, where);
  LoadPayload payload{static_cast<const unsigned char*>(row), r};
  warp_collective("load_matrix", kFullMask, &payload,
                  transposed ? &compute_load<true> : &compute_load<false>, where);
}

void mma_m16n8k16_f16(float (&d)[4], const FragmentA& a, const FragmentB& b, Source where) {
  mma<F16, F16, float, double>("mma_m16n8k16_f16", d, a, b, where);
}
void mma_m16n8k16_bf16(float (&d)[4], const FragmentA& a, const FragmentB& b, Source where) {
  mma<Bf16, Bf16, float, double>("mma_m16n8k16_bf16", d, a, b, where);
}
void mma_m16n8k8_tf32(float (&d)[4], const FragmentA& a, const FragmentB& b, Source where) {
  mma<Tf32, Tf32, float, double>("mma_m16n8k8_tf32", d, a, b, where);
}
// Sums wrap, so they are taken modulo 2^32.
void mma_m16n8k32_s8s8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b, Source where) {
  mma<S8, S8, std::int32_t, std::uint32_t>("mma_m16n8k32_s8s8", d, a, b, where);
}
void mma_m16n8k32_u8s8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b, Source where) {
  mma<U8, S8, std::int32_t, std::uint32_t>("mma_m16n8k32_u8s8", d, a, b, where);
}
void mma_m16n8k32_u8u8(std::int32_t (&d)[4], const FragmentA& a, const FragmentB& b, Source where) {
  mma<U8, U8, std::int32_t, std::uint32_t>("mma_m16n8k32_u8u8", d, a, b, where);
}

}  // namespace prs::cuda::emulated
