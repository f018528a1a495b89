// Where the engine gets its backends: the one place that knows both core and cuda.
#include <charconv>
#include <chrono>

#include "auto_backend.hpp"
#include "backend.hpp"
#include "backend/cuda_backend.hpp"
#include "check.hpp"
#include "prs/version.hpp"

namespace prs {
namespace {

AutoOptions auto_options() {
  const BuildInfo build = build_info();
  return {.cache_folder = auto_cache_folder(),
          .machine = fmt::format("{} {}\n{} {}\n{}", build.version, build.commit, build.cpu,
                                 build.isa, gpu_status()),
          .now_us = [] {
            return std::chrono::duration<double, std::micro>(
                       std::chrono::steady_clock::now().time_since_epoch())
                .count();
          }};
}

/// The N of "cuda:N", 0 for "cuda"; -1 for anything else.
int device_index(std::string_view device) {
  if (device == "cuda") return 0;
  if (!device.starts_with("cuda:")) return -1;
  const std::string_view digits = device.substr(5);
  int index = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  return error == std::errc{} && end == digits.data() + digits.size() ? index : -1;
}

}  // namespace

std::unique_ptr<Backend> make_backend(std::string_view device) {
  if (device == "cpu") return cpu::make_backend();
  if (device == "auto") {
    try {
      return make_auto_backend(cuda::make_backend(cuda::open_device(0)), cpu::make_backend(),
                               auto_options());
    } catch (const Error&) {
      return cpu::make_backend();  // Why there is no GPU, gpu_status() tells.
    }
  }
  const int index = device_index(device);
  if (index < 0) fail_argument("device '{}'; expected auto, cpu, cuda or cuda:N", device);
  try {
    return cuda::make_backend(cuda::open_device(index));
  } catch (const Error& error) {
    throw Error(error.code(),
                fmt::format("device '{}': {}; use --device cpu", device, error.message()));
  }
}

}  // namespace prs
