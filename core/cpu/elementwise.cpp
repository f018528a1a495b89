// Plans of the elementwise operators. f32 goes through the loops of isa/elementwise.hpp; other
// element types through plain templates here.
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "check.hpp"
#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "cpu/loop_nest.hpp"
#include "ops/activation.hpp"
#include "ops/batch_norm.hpp"
#include "ops/binary.hpp"
#include "ops/normalize.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

std::string_view name_of(BinaryFunction function) {
  constexpr std::string_view kNames[kBinaryFunctionCount] = {"add", "sub", "mul",
                                                             "div", "max", "min"};
  return kNames[static_cast<int>(function)];
}

std::string_view name_of(Activation::Kind kind) {
  constexpr std::string_view kNames[kActivationCount] = {"copy", "relu",    "leaky_relu",
                                                         "clip", "sigmoid", "tanh"};
  return kNames[static_cast<int>(kind)];
}

BinaryFunction binary_function(OpKind kind) {
  switch (kind) {
    case OpKind::kAdd:
    case OpKind::kSum:
      return BinaryFunction::kAdd;
    case OpKind::kSub:
      return BinaryFunction::kSub;
    case OpKind::kMul:
      return BinaryFunction::kMul;
    case OpKind::kDiv:
      return BinaryFunction::kDiv;
    case OpKind::kMax:
      return BinaryFunction::kMax;
    default:
      PRS_CHECK(kind == OpKind::kMin);
      return BinaryFunction::kMin;
  }
}

template <BinaryFunction kFunction, typename T>
T combine(T a, T b) {
  // Integers wrap through an unsigned type, of 32 bits at least, as narrower ones promote to int.
  if constexpr (kFunction == BinaryFunction::kMax) {
    return a != a || a > b ? a : b;
  } else if constexpr (kFunction == BinaryFunction::kMin) {
    return a != a || a < b ? a : b;
  } else if constexpr (std::is_floating_point_v<T>) {
    if constexpr (kFunction == BinaryFunction::kAdd) return a + b;
    if constexpr (kFunction == BinaryFunction::kSub) return a - b;
    if constexpr (kFunction == BinaryFunction::kMul) return a * b;
    if constexpr (kFunction == BinaryFunction::kDiv) return a / b;
  } else {
    using Wide = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
    const Wide wide_a = static_cast<Wide>(a);
    const Wide wide_b = static_cast<Wide>(b);
    if constexpr (kFunction == BinaryFunction::kAdd) return static_cast<T>(wide_a + wide_b);
    if constexpr (kFunction == BinaryFunction::kSub) return static_cast<T>(wide_a - wide_b);
    if constexpr (kFunction == BinaryFunction::kMul) return static_cast<T>(wide_a * wide_b);
    if constexpr (kFunction == BinaryFunction::kDiv) {
      if (b == 0) return 0;
      // lowest / -1 would trap.
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(Wide{0} - wide_a);
      return static_cast<T>(a / b);
    }
  }
}

/// y = a op b with both operands broadcast to y's shape.
struct BinaryStep {
  using Function = void (*)(const BinaryStep& step, const void* a, const void* b, void* y);

  Function function = nullptr;
  LoopNest<2> loops;  ///< Over y; operands a and b.
  Activation activation;
  void (*block_f32)(const BinaryBlock& block) = nullptr;

  void run(const void* a, const void* b, void* y) const { function(*this, a, b, y); }
};

void run_binary_f32(const BinaryStep& step, const void* a, const void* b, void* y) {
  const auto rows = step.loops.from_inside(1);
  const auto columns = step.loops.from_inside(0);
  float* out = static_cast<float*>(y);
  step.loops.for_each_outer(2, [&](const std::array<std::int64_t, 2>& offsets) {
    step.block_f32({static_cast<const float*>(a) + offsets[0], rows.strides[0],
                    static_cast<const float*>(b) + offsets[1], rows.strides[1], out, rows.extent,
                    columns.extent, step.activation});
    out += rows.extent * columns.extent;
  });
}

template <BinaryFunction kFunction, typename T>
void run_binary(const BinaryStep& step, const void* a, const void* b, void* y) {
  const auto columns = step.loops.from_inside(0);
  T* out = static_cast<T*>(y);
  step.loops.for_each_outer(1, [&](const std::array<std::int64_t, 2>& offsets) {
    const T* left = static_cast<const T*>(a) + offsets[0];
    const T* right = static_cast<const T*>(b) + offsets[1];
    for (std::int64_t i = 0; i < columns.extent; ++i) {
      *out++ = combine<kFunction, T>(left[i * columns.strides[0]], right[i * columns.strides[1]]);
    }
  });
}

BinaryStep::Function generic_binary(BinaryFunction function, DType dtype) {
  return ops::visit_dtype(dtype, [&](auto zero) -> BinaryStep::Function {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, bool>) {
      fail_unsupported("arithmetic on bool");
    } else {
      constexpr BinaryStep::Function kFunctions[kBinaryFunctionCount] = {
          &run_binary<BinaryFunction::kAdd, T>, &run_binary<BinaryFunction::kSub, T>,
          &run_binary<BinaryFunction::kMul, T>, &run_binary<BinaryFunction::kDiv, T>,
          &run_binary<BinaryFunction::kMax, T>, &run_binary<BinaryFunction::kMin, T>};
      return kFunctions[static_cast<int>(function)];
    }
  });
}

BinaryStep make_binary_step(BinaryFunction function, DType dtype, const Shape& a, const Shape& b,
                            const Shape& y, const Activation& activation, const Isa& isa) {
  BinaryStep step;
  step.activation = activation;
  const auto a_strides = ops::broadcast_strides(a, y);
  const auto b_strides = ops::broadcast_strides(b, y);
  for (std::int64_t axis = 0; axis < y.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    step.loops.push(y[axis], {a_strides[i], b_strides[i]});
  }
  if (dtype != DType::kFloat32) {
    step.function = generic_binary(function, dtype);
    return step;
  }
  const auto columns = step.loops.from_inside(0);
  const bool a_scalar = columns.strides[0] == 0;
  const bool b_scalar = columns.strides[1] == 0;
  const RowOperands operands = a_scalar
                                   ? (b_scalar ? RowOperands::kBothScalar : RowOperands::kAScalar)
                                   : (b_scalar ? RowOperands::kBScalar : RowOperands::kBothVector);
  step.function = &run_binary_f32;
  step.block_f32 = isa.elementwise.binary[static_cast<int>(function)][static_cast<int>(operands)];
  return step;
}

std::string binary_name(const BinaryStep& step, BinaryFunction function, DType dtype) {
  std::string name = fmt::format("{}_{}", name_of(function), dtype_name(dtype));
  const auto columns = step.loops.from_inside(0);
  const bool vectors = columns.strides[0] != 0 && columns.strides[1] != 0;
  if (step.loops.depth() <= 1) {
    name += vectors ? "_contiguous" : "_scalar";
  } else {
    name += vectors ? "_row_broadcast" : "_scalar_rows";
  }
  if (step.activation.kind != Activation::Kind::kNone) {
    name += "_" + std::string(name_of(step.activation.kind));
  }
  return name;
}

/// y[i] = function(x[i]) over `count` elements.
template <typename T, typename Function>
void map(const StepArgs& args, std::int64_t count, Function function) {
  const T* x = static_cast<const T*>(args.inputs[0]);
  T* y = static_cast<T*>(args.outputs[0]);
  for (std::int64_t i = 0; i < count; ++i) y[i] = function(x[i]);
}

Activation::Kind activation_kind(OpKind kind) {
  switch (kind) {
    case OpKind::kRelu:
      return Activation::Kind::kRelu;
    case OpKind::kLeakyRelu:
      return Activation::Kind::kLeakyRelu;
    case OpKind::kSigmoid:
      return Activation::Kind::kSigmoid;
    default:
      PRS_CHECK(kind == OpKind::kTanh);
      return Activation::Kind::kTanh;
  }
}

/// Neg and Relu of signed integers.
std::function<void(const StepArgs&)> integer_unary(OpKind kind, DType dtype, std::int64_t count) {
  return ops::visit_dtype(dtype, [&](auto zero) -> std::function<void(const StepArgs&)> {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      if (kind == OpKind::kNeg) {
        return [count](const StepArgs& args) {
          map<T>(args, count, [](T x) { return combine<BinaryFunction::kSub, T>(0, x); });
        };
      }
      if (kind == OpKind::kRelu) {
        return [count](const StepArgs& args) {
          map<T>(args, count, [](T x) { return x < 0 ? T{0} : x; });
        };
      }
    }
    fail_unsupported("this operator on {}", dtype_name(dtype));
  });
}

template <typename T>
Plan clip_plan(const Call& call, const Isa& isa) {
  const ClipParams& params = std::get<ClipParams>(call.params);
  const T low =
      params.legacy_min ? static_cast<T>(*params.legacy_min) : std::numeric_limits<T>::lowest();
  const T high =
      params.legacy_max ? static_cast<T>(*params.legacy_max) : std::numeric_limits<T>::max();
  const bool low_input = !params.legacy_min && call.has(1);
  const bool high_input = !params.legacy_max && call.has(2);
  const std::int64_t count = call.outputs[0].shape.elements();
  const auto clip_f32 = isa.elementwise.activation[static_cast<int>(Activation::Kind::kClip)];
  Plan plan;
  plan.run = [=](const StepArgs& args) {
    const T lower = low_input ? *static_cast<const T*>(args.inputs[1]) : low;
    const T upper = high_input ? *static_cast<const T*>(args.inputs[2]) : high;
    if constexpr (std::is_same_v<T, float>) {
      clip_f32(static_cast<const float*>(args.inputs[0]), static_cast<float*>(args.outputs[0]),
               count, lower, upper);
    } else {
      map<T>(args, count, [=](T x) {
        const T raised = x < lower ? lower : x;
        return raised > upper ? upper : raised;
      });
    }
  };
  plan.in_place = true;
  return plan;
}

Plan batch_norm_f32_plan(const ops::batch_norm::Extents& extents, float epsilon, const Isa& isa) {
  Plan plan;
  plan.kernel = extents.inner == 1 ? "batch_norm_f32_periodic" : "batch_norm_f32_row";
  plan.scratch_bytes = extents.channels * static_cast<std::int64_t>(sizeof(float));
  plan.in_place = true;
  const auto row = isa.elementwise.batch_norm_row;
  const auto periodic = isa.elementwise.batch_norm_periodic;
  plan.run = [=](const StepArgs& args) {
    const auto [batch, channels, inner] = extents;
    const float* x = static_cast<const float*>(args.inputs[0]);
    const float* scale = static_cast<const float*>(args.inputs[1]);
    const float* bias = static_cast<const float*>(args.inputs[2]);
    const float* mean = static_cast<const float*>(args.inputs[3]);
    const float* variance = static_cast<const float*>(args.inputs[4]);
    float* y = static_cast<float*>(args.outputs[0]);
    float* factor = reinterpret_cast<float*>(args.scratch);  // [channels]
    for (std::int64_t c = 0; c < channels; ++c) {
      factor[c] = static_cast<float>(
          static_cast<double>(scale[c]) /
          std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(epsilon)));
    }
    if (inner == 1) {
      periodic(x, mean, factor, bias, channels, y, batch * channels);
      return;
    }
    for (std::int64_t i = 0; i < batch * channels; ++i) {
      const std::int64_t c = i % channels;
      row(x + i * inner, mean[c], factor[c], bias[c], y + i * inner, inner);
    }
  };
  return plan;
}

/// Normalises one channel at a time, by the given statistics or by the batch's own.
template <typename T>
void batch_norm_by_channel(const ops::batch_norm::Extents& extents, const BatchNormParams& params,
                           bool wants_mean, bool wants_variance, const StepArgs& args) {
  const auto input = [&](std::size_t i) { return static_cast<const T*>(args.inputs[i]); };
  T* y = static_cast<T*>(args.outputs[0]);
  const double count = static_cast<double>(extents.batch * extents.inner);
  for (std::int64_t c = 0; c < extents.channels; ++c) {
    const auto for_each_element = [&](auto body) {
      for (std::int64_t n = 0; n < extents.batch; ++n) {
        const std::int64_t start = (n * extents.channels + c) * extents.inner;
        for (std::int64_t i = start; i < start + extents.inner; ++i) body(i);
      }
    };
    double mean = static_cast<double>(input(3)[c]);
    double variance = static_cast<double>(input(4)[c]);
    if (params.training_mode) {
      const double old_mean = mean;
      const double old_variance = variance;
      mean = 0;
      for_each_element([&](std::int64_t i) { mean += static_cast<double>(input(0)[i]); });
      mean /= count;
      variance = 0;
      for_each_element([&](std::int64_t i) {
        const double centred = static_cast<double>(input(0)[i]) - mean;
        variance += centred * centred;
      });
      variance /= count;
      const double momentum = static_cast<double>(params.momentum);
      if (wants_mean) {
        static_cast<T*>(args.outputs[1])[c] =
            static_cast<T>(old_mean * momentum + mean * (1 - momentum));
      }
      if (wants_variance) {
        static_cast<T*>(args.outputs[2])[c] =
            static_cast<T>(old_variance * momentum + variance * (1 - momentum));
      }
    }
    const double factor = static_cast<double>(input(1)[c]) /
                          std::sqrt(variance + static_cast<double>(params.epsilon));
    const double bias = static_cast<double>(input(2)[c]);
    for_each_element([&](std::int64_t i) {
      y[i] = static_cast<T>((static_cast<double>(input(0)[i]) - mean) * factor + bias);
    });
  }
}

/// `values` (one, or one for each channel) repeated to `count` values.
std::vector<float> repeated(const std::vector<float>& values, std::int64_t count) {
  std::vector<float> result(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = values[i % values.size()];
  return result;
}

template <typename T>
Plan normalize_plan(const NormalizeParams& params, const Shape& shape,
                    void (*row)(const T*, float, float, float*, std::int64_t),
                    void (*periodic)(const T*, const float*, const float*, std::int64_t, float*,
                                     std::int64_t)) {
  const auto [outer, channels, inner] = ops::normalize::extents(params, shape);
  const std::int64_t count = shape.elements();
  Plan plan;
  if (count == 0) {
    plan.kernel = "row";
    plan.run = [](const StepArgs&) {};
    return plan;
  }
  if (inner == 1) {
    // Few channels, as of an RGB image, repeat until a period is worth vectorising.
    constexpr std::int64_t kPeriod = 256;
    const std::int64_t period = (kPeriod + channels - 1) / channels * channels;
    plan.kernel = "periodic";
    plan.run = [=, scale = repeated(params.scale, period),
                bias = repeated(params.bias, period)](const StepArgs& args) {
      periodic(static_cast<const T*>(args.inputs[0]), scale.data(), bias.data(), period,
               static_cast<float*>(args.outputs[0]), count);
    };
    return plan;
  }
  plan.kernel = "row";
  plan.run = [scale = repeated(params.scale, channels), bias = repeated(params.bias, channels), row,
              rows = outer * channels, length = inner](const StepArgs& args) {
    const T* x = static_cast<const T*>(args.inputs[0]);
    float* y = static_cast<float*>(args.outputs[0]);
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::size_t c = static_cast<std::size_t>(i) % scale.size();
      row(x + i * length, scale[c], bias[c], y + i * length, length);
    }
  };
  return plan;
}

std::string kernel_name(std::string_view what, DType dtype, std::string_view algorithm) {
  return fmt::format("{}_{}_{}", what, dtype_name(dtype), algorithm);
}

}  // namespace

Plan plan_binary(const Call& call, const Isa& isa) {
  const BinaryParams& params = std::get<BinaryParams>(call.params);
  const TensorType& a = call.inputs[0].type;
  const TensorType& y = call.outputs[0];
  if (params.activation.kind != Activation::Kind::kNone && y.dtype != DType::kFloat32) {
    fail_unsupported("a fused activation on {}", dtype_name(y.dtype));
  }
  const BinaryFunction function = binary_function(call.kind);
  const Shape b = ops::binary::aligned_shape(params, a.shape, call.inputs[1].type.shape);
  const BinaryStep step =
      make_binary_step(function, y.dtype, a.shape, b, y.shape, params.activation, isa);
  Plan plan;
  plan.kernel = binary_name(step, function, y.dtype);
  plan.run = [step](const StepArgs& args) {
    step.run(args.inputs[0], args.inputs[1], args.outputs[0]);
  };
  plan.in_place = a.shape == y.shape;
  return plan;
}

Plan plan_variadic(const Call& call, const Isa& isa) {
  const TensorType& y = call.outputs[0];
  const BinaryFunction function = binary_function(call.kind);
  Plan plan;
  if (call.inputs.size() == 1) {
    plan.kernel = kernel_name("copy", y.dtype, "contiguous");
    plan.run = [size_bytes = y.shape.elements() * dtype_size(y.dtype)](const StepArgs& args) {
      if (size_bytes == 0) return;
      std::memmove(args.outputs[0], args.inputs[0], static_cast<std::size_t>(size_bytes));
    };
    plan.in_place = true;
    return plan;
  }
  std::vector<BinaryStep> steps;
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Shape& left = i == 1 ? call.inputs[0].type.shape : y.shape;
    steps.push_back(make_binary_step(function, y.dtype, left, call.inputs[i].type.shape, y.shape,
                                     Activation{}, isa));
  }
  plan.kernel = binary_name(steps[0], function, y.dtype);
  // With more operands a later step could find its input overwritten, if it is the first one again.
  plan.in_place = steps.size() == 1 && call.inputs[0].type.shape == y.shape;
  plan.run = [steps = std::move(steps)](const StepArgs& args) {
    steps[0].run(args.inputs[0], args.inputs[1], args.outputs[0]);
    for (std::size_t i = 1; i < steps.size(); ++i) {
      steps[i].run(args.outputs[0], args.inputs[i + 1], args.outputs[0]);
    }
  };
  return plan;
}

Plan plan_unary(const Call& call, const Isa& isa) {
  const DType dtype = call.outputs[0].dtype;
  const std::int64_t count = call.outputs[0].shape.elements();
  Plan plan;
  plan.in_place = true;
  if (call.kind == OpKind::kNeg) {
    plan.kernel = kernel_name("neg", dtype, "contiguous");
    if (dtype == DType::kFloat32) {
      plan.run = [count, negate = isa.elementwise.negate](const StepArgs& args) {
        negate(static_cast<const float*>(args.inputs[0]), static_cast<float*>(args.outputs[0]),
               count);
      };
      return plan;
    }
    if (dtype == DType::kFloat64) {
      plan.run = [count](const StepArgs& args) {
        map<double>(args, count, [](double x) { return -x; });
      };
      return plan;
    }
    plan.run = integer_unary(call.kind, dtype, count);
    return plan;
  }
  const Activation activation{activation_kind(call.kind), std::get<UnaryParams>(call.params).alpha};
  plan.kernel = kernel_name(name_of(activation.kind), dtype, "contiguous");
  if (dtype == DType::kFloat32) {
    const auto function = isa.elementwise.activation[static_cast<int>(activation.kind)];
    plan.run = [=](const StepArgs& args) {
      function(static_cast<const float*>(args.inputs[0]), static_cast<float*>(args.outputs[0]),
               count, activation.alpha, activation.beta);
    };
  } else if (dtype == DType::kFloat64) {
    plan.run = [=](const StepArgs& args) {
      map<double>(args, count, [=](double x) { return ops::activate(activation, x); });
    };
  } else {
    plan.run = integer_unary(call.kind, dtype, count);
  }
  return plan;
}

Plan plan_clip(const Call& call, const Isa& isa) {
  const DType dtype = call.outputs[0].dtype;
  Plan plan = ops::visit_dtype(dtype, [&](auto zero) -> Plan {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, bool>) {
      fail_unsupported("Clip on bool");
    } else {
      return clip_plan<T>(call, isa);
    }
  });
  plan.kernel = kernel_name("clip", dtype, "contiguous");
  return plan;
}

Plan plan_batch_norm(const Call& call, const Isa& isa) {
  const BatchNormParams params = std::get<BatchNormParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    if (call.wants(i)) ops::batch_norm::require_output(params, i);
  }
  const auto extents = ops::batch_norm::extents(params, x.shape);
  if (x.dtype == DType::kFloat32 && !params.training_mode) {
    return batch_norm_f32_plan(extents, params.epsilon, isa);
  }
  Plan plan;
  plan.kernel = kernel_name(params.training_mode ? "batch_norm_training" : "batch_norm", x.dtype,
                            "by_channel");
  plan.in_place = true;
  const auto function =
      x.dtype == DType::kFloat32 ? &batch_norm_by_channel<float> : &batch_norm_by_channel<double>;
  plan.run = [=, wants_mean = call.wants(1), wants_variance = call.wants(2)](const StepArgs& args) {
    function(extents, params, wants_mean, wants_variance, args);
  };
  return plan;
}

Plan plan_normalize(const Call& call, const Isa& isa) {
  const NormalizeParams& params = std::get<NormalizeParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  const ElementwiseKernels& kernels = isa.elementwise;
  const bool bytes = x.dtype == DType::kUint8;
  Plan plan = bytes ? normalize_plan(params, x.shape, kernels.normalize_row_u8,
                                     kernels.normalize_periodic_u8)
                    : normalize_plan(params, x.shape, kernels.normalize_row_f32,
                                     kernels.normalize_periodic_f32);
  plan.kernel = kernel_name("normalize", x.dtype, plan.kernel);
  plan.in_place = !bytes;
  return plan;
}

}  // namespace prs::cpu
