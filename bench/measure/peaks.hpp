// What this machine's processor and memory can do at most, measured: the limits that the engine's
// rates are set against.
#pragma once

#include <cstdint>
#include <optional>

namespace prs::bench {

/// Rates of `threads` threads together. Multiply and add count as two operations.
struct Peaks {
  int threads = 1;
  double fp32_gflops = 0.0;             ///< Fused multiply-add in registers, widest vectors.
  std::optional<double> bf16_gflops{};  ///< vdpbf16ps; none where the processor has it not.
  std::optional<double> int8_gops{};  ///< vpdpbusd, 512 bits; none where the processor has it not.
  double copy_gb_s = 0.0;             ///< Copying 64 MiB a thread: bytes read plus bytes written.
};

/// Takes about 4 * `seconds`: the best of some slices of it, since other work on the machine can
/// only slow it down. Each thread takes 128 MiB. Throws std::bad_alloc, std::system_error.
Peaks measure_peaks(int threads, double seconds);

/// The images a second at which the busier of arithmetic and memory is at its limit, for a model of
/// `flops_per_image`. `peak_gops` is the peak of its precision; `bytes_per_image` is what must come
/// from memory or go there: pixels and scores.
double limit_images_per_s(double flops_per_image, double bytes_per_image, double peak_gops,
                          double copy_gb_s);

}  // namespace prs::bench
