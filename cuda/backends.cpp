// Where the engine gets its backends: the one place that knows both core and cuda.
#include "backend.hpp"
#include "check.hpp"

namespace prs {

std::unique_ptr<Backend> make_backend(std::string_view device) {
  if (device == "auto" || device == "cpu") return cpu::make_backend();
  const bool numbered = device.starts_with("cuda:") && device.size() > 5 &&
                        device.find_first_not_of("0123456789", 5) == std::string_view::npos;
  if (device == "cuda" || numbered) {
    fail(ErrorCode::kUnavailable,
         "device '{}': this version has no CUDA kernels yet; use --device cpu", device);
  }
  fail_argument("device '{}'; expected auto, cpu, cuda or cuda:N", device);
}

}  // namespace prs
