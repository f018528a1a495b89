#include "measure/peaks.hpp"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#define PRS_TARGET(features) __attribute__((target(features)))
#endif

namespace prs::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Two units with a latency of 4 or 5 cycles each are kept busy by 10 independent sums; 32 vector
// registers hold 16 and the operands.
constexpr int kSums = 16;
constexpr std::int64_t kRounds = 20000;
constexpr int kSlices = 10;

/// Makes the compiler take a value as unknown, and as used.
template <typename T>
void opaque(T& value) {
  asm volatile("" : "+m"(value) : : "memory");
}

/// Each kernel does kRounds * kSums vector operations; returns how many operations that were.
using Kernel = double (*)();

#define PRS_SUMS(Vector, zero, operation)                                         \
  Vector sums[kSums];                                                             \
  for (Vector & sum : sums) sum = zero;                                           \
  for (std::int64_t round = 0; round < kRounds; ++round) {                        \
    _Pragma("GCC unroll 16") for (int i = 0; i < kSums; ++i) sums[i] = operation; \
  }                                                                               \
  for (Vector & sum : sums) opaque(sum)

#if defined(__x86_64__)
PRS_TARGET("avx512f") double fma_avx512() {
  float factor = 0.5F;
  opaque(factor);
  const __m512 a = _mm512_set1_ps(factor);
  PRS_SUMS(__m512, a, _mm512_fmadd_ps(sums[i], a, a));
  return 16 * 2;
}

PRS_TARGET("avx2,fma") double fma_avx2() {
  float factor = 0.5F;
  opaque(factor);
  const __m256 a = _mm256_set1_ps(factor);
  PRS_SUMS(__m256, a, _mm256_fmadd_ps(sums[i], a, a));
  return 8 * 2;
}

PRS_TARGET("avx512f,avx512bf16") double dot_bf16() {
  float factor = 0.5F;
  opaque(factor);
  const __m512 zero = _mm512_setzero_ps();
  const __m512 vector = _mm512_set1_ps(factor);
  const __m512bh a = _mm512_cvtne2ps_pbh(vector, vector);
  PRS_SUMS(__m512, zero, _mm512_dpbf16_ps(sums[i], a, a));
  return 32 * 2;
}

PRS_TARGET("avx512f,avx512vnni") double dot_int8() {
  int factor = 1;
  opaque(factor);
  const __m512i zero = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi32(factor);
  PRS_SUMS(__m512i, zero, _mm512_dpbusd_epi32(sums[i], a, a));
  return 64 * 2;
}
#endif

/// What the compiler makes of it for the oldest processor that this build is for.
double multiply_add_portable() {
  float factor = 0.5F;
  opaque(factor);
  constexpr int kLanes = 4;
  struct Vector {
    float lane[kLanes];
  };
  const auto step = [factor](Vector sum) {
    for (float& lane : sum.lane) lane = lane * factor + factor;
    return sum;
  };
  PRS_SUMS(Vector, Vector{}, step(sums[i]));
  return kLanes * 2;
}

struct Kernels {
  Kernel fp32 = multiply_add_portable;
  Kernel bf16 = nullptr;
  Kernel int8 = nullptr;
};

Kernels kernels_of_this_processor() {
  Kernels kernels;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) kernels.fp32 = fma_avx2;
  if (__builtin_cpu_supports("avx512f")) {
    kernels.fp32 = fma_avx512;
    if (__builtin_cpu_supports("avx512bf16")) kernels.bf16 = dot_bf16;
    if (__builtin_cpu_supports("avx512vnni")) kernels.int8 = dot_int8;
  }
#endif
  return kernels;
}

/// How much `threads` threads do in a second together. `prepare()` runs in each thread and returns
/// its work: a function that does some and returns how much.
template <typename Prepare>
double rate_of(int threads, double seconds, const Prepare& prepare) {
  std::vector<double> rates(static_cast<std::size_t>(threads));
  std::barrier start(threads);
  const auto run = [&](double& rate) {
    const auto work = prepare();
    work();  // Clocks rise, pages come.
    start.arrive_and_wait();
    const Clock::time_point begin = Clock::now();
    double done = 0.0;
    double elapsed_s = 0.0;
    do {
      done += work();
      elapsed_s = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (elapsed_s < seconds);
    rate = done / elapsed_s;
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < rates.size(); ++i) others.emplace_back(run, std::ref(rates[i]));
    run(rates[0]);
  }
  double sum = 0.0;
  for (const double rate : rates) sum += rate;
  return sum;
}

template <typename Prepare>
double best_rate(int threads, double seconds, const Prepare& prepare) {
  double best = 0.0;
  for (int slice = 0; slice < kSlices; ++slice) {
    best = std::max(best, rate_of(threads, seconds / kSlices, prepare));
  }
  return best;
}

double giga_operations(int threads, double seconds, Kernel kernel) {
  constexpr double kVectors = static_cast<double>(kRounds) * kSums;
  const double operations =
      best_rate(threads, seconds, [kernel] { return [kernel] { return kernel() * kVectors; }; });
  return operations / 1e9;
}

/// Copies a buffer that no cache holds.
class Copy {
 public:
  double operator()() const {
    std::memcpy(target_.get(), source_.get(), kBytes);
    opaque(target_[0]);
    return 2.0 * kBytes;
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{64} << 20;
  // Zeros that are written, so that each buffer has pages of its own.
  std::unique_ptr<std::byte[]> source_ = std::make_unique<std::byte[]>(kBytes);
  std::unique_ptr<std::byte[]> target_ = std::make_unique<std::byte[]>(kBytes);
};

}  // namespace

Peaks measure_peaks(int threads, double seconds) {
  const Kernels kernels = kernels_of_this_processor();
  Peaks peaks;
  peaks.threads = threads;
  peaks.fp32_gflops = giga_operations(threads, seconds, kernels.fp32);
  if (kernels.bf16 != nullptr) peaks.bf16_gflops = giga_operations(threads, seconds, kernels.bf16);
  if (kernels.int8 != nullptr) peaks.int8_gops = giga_operations(threads, seconds, kernels.int8);
  peaks.copy_gb_s = best_rate(threads, seconds, [] { return Copy(); }) / 1e9;
  return peaks;
}

double limit_images_per_s(double flops_per_image, double bytes_per_image, double peak_gops,
                          double copy_gb_s) {
  return 1e9 / std::max(flops_per_image / peak_gops, bytes_per_image / copy_gb_s);
}

}  // namespace prs::bench
