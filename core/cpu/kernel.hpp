// The CPU backend's kernel interface: an operator call with static shapes -> a plan that runs it.
//
// plan_<family> is called once, when a graph is compiled; it may allocate and must decide
// everything there. The plan's `run` is called for every batch, from several threads at once with
// different StepArgs: it allocates nothing, keeps no state and never throws for valid pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "backend.hpp"
#include "ops/op.hpp"
#include "prs/precision.hpp"

namespace prs::cpu {

struct Isa;
class PackCache;

/// One operator call: kinds, parameters and static types. Outputs that nobody wants are absent.
struct Call {
  OpKind kind;
  const Params& params;
  std::span<const InputInfo> inputs;
  std::span<const TensorType> outputs;
  Precision precision = Precision::kFp32;
  PackCache* packed = nullptr;  ///< Where packed constants are shared; null: each plan has its own.
  Sharing sharing = {};

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i].type.present(); }
  bool wants(std::size_t i) const { return i < outputs.size() && outputs[i].present(); }
};

/// Buffers of one run, in the order of the call's operands; null for absent ones. Every buffer is
/// 64-byte aligned except graph inputs and outputs, which the caller of the library owns. Outputs
/// never overlap inputs, unless the plan allowed it (Plan::in_place).
struct StepArgs {
  const void* const* inputs;
  void* const* outputs;
  std::byte* scratch;          ///< Plan::scratch_bytes bytes, 64-byte aligned; contents undefined.
  ThreadPool* crew = nullptr;  ///< Threads that may share the step (crew.hpp); null: none.
};

struct Plan {
  /// Name by law: what, dtype, algorithm, tile; e.g. "conv2d_f32_im2col_gemm".
  std::string kernel;
  std::function<void(const StepArgs&)> run;
  std::int64_t scratch_bytes = 0;
  /// Output 0 may be the same buffer as input 0 (elementwise kernels over equal shapes and dtypes).
  bool in_place = false;
};

/// Each throws unsupported with the reason when this backend has no kernel for the call.
#define PRS_OP(kind, family, ...) Plan plan_##family(const Call& call, const Isa& isa);
#include "ops/ops.inc"
#undef PRS_OP

}  // namespace prs::cpu
