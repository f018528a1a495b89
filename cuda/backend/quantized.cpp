// Quantised layers: the GPU has no kernels for them yet.
#include "backend/plan.hpp"
#include "check.hpp"

namespace prs::cuda {
namespace {

[[noreturn]] void refuse() {
  fail_unsupported("the GPU does not compute with 8-bit integers yet; use --device cpu");
}

}  // namespace

Plan plan_quantize(const Call&) { refuse(); }
Plan plan_dequantize(const Call&) { refuse(); }
Plan plan_quantized_conv(const Call&) { refuse(); }
Plan plan_quantized_gemm(const Call&) { refuse(); }

}  // namespace prs::cuda
