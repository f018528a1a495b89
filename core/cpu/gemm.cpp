// Gemm and MatMul: f32 through the instruction-set kernels, everything else through plain loops.
//
// Plans are immutable and safe to run from several threads, each with scratch of its own. A
// constant B is packed when the plan is made, once for all plans that share a PackCache.
#include "ops/gemm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "check.hpp"
#include "cpu/crew.hpp"
#include "cpu/isa/bf16.hpp"
#include "cpu/isa/gemm.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "cpu/pack_words.hpp"
#include "ops/activation.hpp"
#include "ops/matmul.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

/// The unsigned type in which T's arithmetic wraps around; T itself for floats.
template <typename T>
using Wrapping = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                             std::type_identity<T>>::type;

template <typename T>
Wrapping<T> to_factor(float value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<Wrapping<T>>(static_cast<std::int64_t>(value));
  } else {
    return static_cast<T>(value);
  }
}

template <typename T>
void multiply(const GemmTask& task, const T* a, const T* b, const T* bias, T* y) {
  using U = Wrapping<T>;
  const U alpha = to_factor<T>(task.alpha);
  const U beta = to_factor<T>(task.beta);
  for (std::int64_t i = 0; i < task.m; ++i) {
    T* row = y + i * task.n;
    for (std::int64_t j = 0; j < task.n; ++j) row[j] = 0;
    for (std::int64_t k = 0; k < task.k; ++k) {
      const U x = static_cast<U>(a[i * task.a_row_stride + k * task.a_column_stride]);
      const T* b_row = b + k * task.b_row_stride;
      for (std::int64_t j = 0; j < task.n; ++j) {
        const U product = x * static_cast<U>(b_row[j * task.b_column_stride]);
        row[j] = static_cast<T>(static_cast<U>(row[j]) + product);
      }
    }
    for (std::int64_t j = 0; j < task.n; ++j) {
      const std::int64_t at = i * task.bias_row_stride + j * task.bias_column_stride;
      const U added = bias == nullptr ? U{0} : beta * static_cast<U>(bias[at]);
      row[j] = static_cast<T>(alpha * static_cast<U>(row[j]) + added);
      if constexpr (std::is_floating_point_v<T>) row[j] = ops::activate(task.activation, row[j]);
    }
  }
}

/// Equal tasks over a batch of matrices.
struct Batch {
  GemmTask task;
  ops::matmul::Product product;
  bool has_bias;
};

template <typename T>
std::function<void(const StepArgs&)> run_plain(const Batch& batch) {
  return [batch](const StepArgs& args) {
    const GemmTask& task = batch.task;
    const T* bias = batch.has_bias ? static_cast<const T*>(args.inputs[2]) : nullptr;
    for (std::int64_t i = 0; i < batch.product.batch.elements(); ++i) {
      const ops::matmul::Offsets at = ops::matmul::offsets(batch.product, i);
      multiply(task, static_cast<const T*>(args.inputs[0]) + at.a,
               static_cast<const T*>(args.inputs[1]) + at.b, bias,
               static_cast<T*>(args.outputs[0]) + i * task.m * task.n);
    }
  };
}

/// Each matrix of the constant B packed, one after the other.
Tensor pack_matrices(const GemmTask& task, const Tensor& b, const GemmKernels& kernels) {
  const std::int64_t matrix_size = task.k * task.n;
  const std::int64_t count = matrix_size == 0 ? 0 : b.elements() / matrix_size;
  const std::int64_t packed_size = kernels.packed_size(task.n, task.k);
  Tensor packed(DType::kFloat32, Shape{count, packed_size});
  for (std::int64_t i = 0; i < count; ++i) {
    kernels.pack(task, b.as<float>() + i * matrix_size, packed.as<float>() + i * packed_size);
  }
  return packed;
}

/// The address of element `offset`.
const void* advance(const void* a, bool is_u8, std::int64_t offset) {
  if (is_u8) return static_cast<const std::uint8_t*>(a) + offset;
  return static_cast<const float*>(a) + offset;
}

/// The constant B in the kernels' order; no tensor when B comes at run time.
std::shared_ptr<const Tensor> packed_b(const Call& call, const GemmTask& task,
                                       const GemmKernels& kernels) {
  const Tensor* b = call.inputs[1].constant;
  if (b == nullptr) return nullptr;
  const auto pack = [&] { return pack_matrices(task, *b, kernels); };
  // The batch is no part of it: executables of all batch sizes share one.
  const std::string layout =
      fmt::format("gemm {}x{} strides {} {} alpha {:a} tile {}", task.k, task.n, task.b_row_stride,
                  task.b_column_stride, task.alpha, kernels.tile_columns);
  return pack_constant(call.packed, *b, layout, pack);
}

/// Whether sums that begin with beta * bias, if there is one, keep their bits when zeros are added:
/// -0 does not, and instructions for bf16 make 0 of a denormal.
bool begins_with_normals(const Call& call, const GemmTask& task) {
  if (!call.has(2)) return true;
  const Tensor* bias = call.inputs[2].constant;
  if (bias == nullptr || task.bias_row_stride != 0) return false;
  const float* values = bias->as<float>();
  return std::all_of(values, values + bias->elements(), [&](float value) {
    const float begin = task.beta * value;
    return std::fpclassify(begin) != FP_SUBNORMAL && (begin != 0.0F || !std::signbit(begin));
  });
}

/// Whether the tasks may be told to leave out zeros (GemmTask::skips_zeros), and gain by it: one
/// row, or pixels. `is_finite` says so of B's numbers.
template <typename Finite>
bool may_skip_zeros(const Call& call, const Batch& batch, const Finite& is_finite) {
  const GemmTask& task = batch.task;
  return (task.m == 1 || task.a_is_u8) && batch.product.batch.elements() == 1 &&
         begins_with_normals(call, task) && is_finite();
}

Plan plan_f32(const Call& call, Batch batch, std::shared_ptr<const Tensor> packed,
              const GemmKernels& kernels) {
  batch.task.b_is_packed = packed != nullptr;
  batch.task.skips_zeros = packed != nullptr && may_skip_zeros(call, batch, [&] {
                             const float* values = packed->as<float>();
                             return std::all_of(values, values + packed->elements(),
                                                [](float value) { return std::isfinite(value); });
                           });
  const std::int64_t products =
      gemm_products(batch.task.m, batch.task.n * batch.task.k / kernels.lanes);
  const SharedStep step(call.sharing, products, kernels.gemm_scratch(batch.task));
  Plan plan;
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [batch, packed = std::move(packed), kernels = &kernels, step](const StepArgs& args) {
    const GemmTask& task = batch.task;
    const std::int64_t matrix_size = std::max<std::int64_t>(task.k * task.n, 1);
    for (std::int64_t i = 0; i < batch.product.batch.elements(); ++i) {
      const ops::matmul::Offsets at = ops::matmul::offsets(batch.product, i);
      const float* b =
          task.b_is_packed
              ? packed->as<float>() + at.b / matrix_size * kernels->packed_size(task.n, task.k)
              : static_cast<const float*>(args.inputs[1]) + at.b;
      step.run<float>(args, [&](const Part& part, float* scratch) {
        kernels->gemm(task,
                      {.a = advance(args.inputs[0], task.a_is_u8, at.a),
                       .b = b,
                       .bias = batch.has_bias ? static_cast<const float*>(args.inputs[2]) : nullptr,
                       .y = static_cast<float*>(args.outputs[0]) + i * task.m * task.n,
                       .scratch = scratch,
                       .part = part});
      });
    }
  };
  return plan;
}

/// Whether products of bf16 are asked for, of one constant matrix B.
bool wants_bf16(const Call& call, const Batch& batch) {
  const InputInfo& b = call.inputs[1];
  return call.precision == Precision::kBf16 && b.constant != nullptr &&
         b.type.dtype == DType::kFloat32 && batch.product.batch.elements() == 1;
}

Plan plan_bf16(const Call& call, const Batch& batch, std::string_view name,
               const Bf16Kernels& kernels) {
  GemmTask task = batch.task;
  const Tensor& b = *call.inputs[1].constant;
  const auto pack = [&] {
    return pack_gemm_words<std::uint16_t>(
        task.n, task.k, kernels.lanes, kernels.tile_vectors,
        [&task, from = b.as<float>()](std::int64_t k, std::int64_t n) {
          return float_to_bfloat16(task.alpha *
                                   from[k * task.b_row_stride + n * task.b_column_stride]);
        });
  };
  const std::string layout = fmt::format("gemm bf16 {}x{} strides {} {} alpha {:a} vectors {}x{}",
                                         task.k, task.n, task.b_row_stride, task.b_column_stride,
                                         task.alpha, kernels.tile_vectors, kernels.lanes);
  std::shared_ptr<const Tensor> packed = pack_constant(call.packed, b, layout, pack);
  task.skips_zeros = may_skip_zeros(call, batch, [&] {
    const auto* words = packed->as<std::uint32_t>();
    return std::all_of(words, words + packed->elements(), [](std::uint32_t word) {
      return (word & 0x7F80U) != 0x7F80U && (word & 0x7F800000U) != 0x7F800000U;
    });
  });
  Plan plan;
  plan.kernel = fmt::format("{}_{}_bf16_packed_{}x{}", name, task.a_is_u8 ? "u8" : "f32",
                            kernels.tile_rows, kernels.tile_vectors * kernels.lanes);
  const std::int64_t products = gemm_products(task.m, task.n * task.k / (2 * kernels.lanes));
  const SharedStep step(call.sharing, products, kernels.gemm_scratch(task));
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [task, has_bias = batch.has_bias, packed = std::move(packed), run = kernels.gemm,
              step](const StepArgs& args) {
    step.run<std::uint32_t>(args, [&](const Part& part, std::uint32_t* scratch) {
      run(task, {.a = args.inputs[0],
                 .b = packed->as<std::uint32_t>(),
                 .bias = has_bias ? static_cast<const float*>(args.inputs[2]) : nullptr,
                 .y = static_cast<float*>(args.outputs[0]),
                 .scratch = scratch,
                 .part = part});
    });
  };
  return plan;
}

Plan plan_batch(const Call& call, const Batch& batch, const Isa& isa, std::string_view name) {
  const DType a = call.inputs[0].type.dtype;
  const DType b = call.inputs[1].type.dtype;
  if (wants_bf16(call, batch)) return plan_bf16(call, batch, name, isa.bf16);
  if (b == DType::kFloat32) {
    Plan plan = plan_f32(call, batch, packed_b(call, batch.task, isa.gemm), isa.gemm);
    plan.kernel = fmt::format("{}_{}_packed_{}x{}", name, a == b ? dtype_name(b) : "u8_f32",
                              isa.gemm.tile_rows, isa.gemm.tile_columns);
    return plan;
  }
  Plan plan;
  plan.kernel = fmt::format("{}_{}_plain", name, dtype_name(b));
  ops::visit_dtype(b, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bool>) plan.run = run_plain<T>(batch);
  });
  return plan;
}

}  // namespace

Plan plan_gemm(const Call& call, const Isa& isa) {
  const auto& params = std::get<GemmParams>(call.params);
  const auto [m, n, k] =
      ops::gemm::resolve(params, call.inputs[0].type.shape, call.inputs[1].type.shape);
  Batch batch;
  batch.has_bias = call.has(2);
  GemmTask& task = batch.task;
  task.m = m;
  task.n = n;
  task.k = k;
  task.a_row_stride = params.trans_a ? 1 : k;
  task.a_column_stride = params.trans_a ? m : 1;
  task.b_row_stride = params.trans_b ? 1 : n;
  task.b_column_stride = params.trans_b ? k : 1;
  if (batch.has_bias) {
    const auto strides = ops::broadcast_strides(call.inputs[2].type.shape, Shape{m, n});
    task.bias_row_stride = strides[0];
    task.bias_column_stride = strides[1];
  }
  task.alpha = params.alpha;
  task.beta = params.beta;
  task.a_is_u8 = call.inputs[0].type.dtype == DType::kUint8;
  task.activation = params.activation;
  return plan_batch(call, batch, isa, "gemm");
}

Plan plan_matmul(const Call& call, const Isa& isa) {
  Batch batch;
  batch.has_bias = false;
  batch.product = ops::matmul::resolve(call.inputs[0].type.shape, call.inputs[1].type.shape);
  GemmTask& task = batch.task;
  task.m = batch.product.m;
  task.n = batch.product.n;
  task.k = batch.product.k;
  task.a_row_stride = task.k;
  task.b_row_stride = task.n;
  return plan_batch(call, batch, isa, "matmul");
}

}  // namespace prs::cpu
