// Elementwise operators on the CPU: f32 through the instruction-set levels' loops, other types
// through plain templates.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <variant>
#include <vector>

#include "check.hpp"
#include "cpu/isa/elementwise.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "ops/activation.hpp"
#include "ops/batch_norm.hpp"
#include "ops/binary.hpp"
#include "ops/normalize.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

using Strides = std::array<std::int64_t, Shape::kMaxRank>;

/// Two operands broadcast to one result, with neighbouring axes joined where both allow it.
struct Broadcast {
  std::int64_t rank = 1;
  Strides extents{1};
  Strides a{1};
  Strides b{1};
  std::int64_t elements = 0;
};

Broadcast join_axes(const Shape& a, const Shape& b, const Shape& y) {
  const std::vector<std::int64_t> a_strides = ops::broadcast_strides(a, y);
  const std::vector<std::int64_t> b_strides = ops::broadcast_strides(b, y);
  Broadcast result;
  result.elements = y.elements();
  result.rank = 0;
  for (std::int64_t axis = 0; axis < y.rank(); ++axis) {
    if (y[axis] == 1) continue;
    const auto i = static_cast<std::size_t>(axis);
    const auto last = static_cast<std::size_t>(result.rank) - 1;
    const bool joins = result.rank > 0 && result.a[last] == a_strides[i] * y[axis] &&
                       result.b[last] == b_strides[i] * y[axis];
    if (joins) {
      result.extents[last] *= y[axis];
      result.a[last] = a_strides[i];
      result.b[last] = b_strides[i];
      continue;
    }
    const auto next = static_cast<std::size_t>(result.rank++);
    result.extents[next] = y[axis];
    result.a[next] = a_strides[i];
    result.b[next] = b_strides[i];
  }
  if (result.rank == 0) {
    result.rank = 1;
    result.extents[0] = 1;
    result.a[0] = result.b[0] = 0;
  }
  return result;
}

/// Calls body(a offset, b offset, y offset) for each block of the two innermost joined axes.
template <typename Body>
void for_each_block(const Broadcast& shape, const Body& body) {
  if (shape.elements == 0) return;
  const std::int64_t outer_rank = std::max<std::int64_t>(shape.rank - 2, 0);
  std::int64_t block = 1;
  for (std::int64_t axis = outer_rank; axis < shape.rank; ++axis) {
    block *= shape.extents[static_cast<std::size_t>(axis)];
  }
  for (std::int64_t y = 0; y < shape.elements; y += block) {
    std::int64_t index = y / block;
    std::int64_t a = 0;
    std::int64_t b = 0;
    for (std::int64_t axis = outer_rank - 1; axis >= 0; --axis) {
      const auto i = static_cast<std::size_t>(axis);
      a += index % shape.extents[i] * shape.a[i];
      b += index % shape.extents[i] * shape.b[i];
      index /= shape.extents[i];
    }
    body(a, b, y);
  }
}

/// Rows and columns of the innermost block; one row when there is one axis.
struct BlockShape {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t a_row = 0;
  std::int64_t b_row = 0;
  std::int64_t a_column = 1;
  std::int64_t b_column = 1;
};

BlockShape block_shape(const Broadcast& shape) {
  const auto inner = static_cast<std::size_t>(shape.rank) - 1;
  BlockShape block;
  block.columns = shape.extents[inner];
  block.a_column = shape.a[inner];
  block.b_column = shape.b[inner];
  if (inner > 0) {
    block.rows = shape.extents[inner - 1];
    block.a_row = shape.a[inner - 1];
    block.b_row = shape.b[inner - 1];
  }
  return block;
}

/// y = function(a, b) over broadcast f32 operands.
void run_f32(const Broadcast& shape, void (*const* kernels)(const BinaryBlock&), const float* a,
             const float* b, float* y, const Activation& activation) {
  const BlockShape block = block_shape(shape);
  const RowOperands operands =
      block.a_column != 0
          ? (block.b_column != 0 ? RowOperands::kBothVector : RowOperands::kBScalar)
          : (block.b_column != 0 ? RowOperands::kAScalar : RowOperands::kBothScalar);
  const auto kernel = kernels[static_cast<int>(operands)];
  for_each_block(shape, [&](std::int64_t a_at, std::int64_t b_at, std::int64_t y_at) {
    kernel({a + a_at, block.a_row, b + b_at, block.b_row, y + y_at, block.rows, block.columns,
            activation});
  });
}

template <typename T, typename Function>
void run_generic(const Broadcast& shape, const T* a, const T* b, T* y, const Function& function) {
  const BlockShape block = block_shape(shape);
  for_each_block(shape, [&](std::int64_t a_at, std::int64_t b_at, std::int64_t y_at) {
    for (std::int64_t row = 0; row < block.rows; ++row) {
      for (std::int64_t column = 0; column < block.columns; ++column) {
        y[y_at + row * block.columns + column] =
            function(a[a_at + row * block.a_row + column * block.a_column],
                     b[b_at + row * block.b_row + column * block.b_column]);
      }
    }
  });
}

/// One arithmetic step: integers wrap, x / 0 is 0 and lowest / -1 is lowest, as in the reference.
template <typename T>
T arithmetic(BinaryFunction function, T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    switch (function) {
      case BinaryFunction::kAdd:
        return a + b;
      case BinaryFunction::kSub:
        return a - b;
      case BinaryFunction::kMul:
        return a * b;
      case BinaryFunction::kDiv:
        return a / b;
      default:
        break;
    }
    if (a != a) return a;
    if (b != b) return b;
  } else {
    const auto x = static_cast<std::uint64_t>(a);
    const auto y = static_cast<std::uint64_t>(b);
    switch (function) {
      case BinaryFunction::kAdd:
        return static_cast<T>(x + y);
      case BinaryFunction::kSub:
        return static_cast<T>(x - y);
      case BinaryFunction::kMul:
        return static_cast<T>(x * y);
      case BinaryFunction::kDiv:
        if (b == 0) return 0;
        if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(0 - x);
        return static_cast<T>(a / b);
      default:
        break;
    }
  }
  return function == BinaryFunction::kMax ? std::max(a, b) : std::min(a, b);
}

/// Calls body with a value of the element type; bool is no number.
template <typename Body>
void visit_number(DType dtype, const Body& body) {
  ops::visit_dtype(dtype, [&](auto zero) {
    if constexpr (std::is_same_v<decltype(zero), bool>) {
      fail_unsupported("arithmetic on bool");
    } else {
      body(zero);
    }
  });
}

const char* function_name(BinaryFunction function) {
  static constexpr const char* kNames[] = {"add", "sub", "mul", "div", "max", "min"};
  return kNames[static_cast<int>(function)];
}

BinaryFunction function_of(OpKind kind) {
  switch (kind) {
    case OpKind::kSub:
      return BinaryFunction::kSub;
    case OpKind::kMul:
      return BinaryFunction::kMul;
    case OpKind::kDiv:
      return BinaryFunction::kDiv;
    case OpKind::kMax:
      return BinaryFunction::kMax;
    case OpKind::kMin:
      return BinaryFunction::kMin;
    default:
      return BinaryFunction::kAdd;
  }
}

std::string kernel_name(const std::string& what, DType dtype, const char* algorithm) {
  return what + "_" + std::string(dtype_name(dtype)) + "_" + algorithm;
}

using Apply = void (*)(const void* x, void* y, std::int64_t count, const Activation& activation);

/// f64 and integer activations, one element after the other.
template <typename T>
void apply_generic(const void* x, void* y, std::int64_t count, const Activation& activation) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      to[i] = static_cast<T>(ops::activate(activation, static_cast<double>(from[i])));
    } else {
      to[i] = from[i] > 0 ? from[i] : T{0};
    }
  }
}

template <typename T>
void negate_generic(const void* x, void* y, std::int64_t count, const Activation&) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      to[i] = -from[i];
    } else {
      to[i] = static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(from[i]));
    }
  }
}

Activation activation_of(OpKind kind, float alpha) {
  switch (kind) {
    case OpKind::kRelu:
      return {Activation::Kind::kRelu, 0.0F, 0.0F};
    case OpKind::kLeakyRelu:
      return {Activation::Kind::kLeakyRelu, alpha, 0.0F};
    case OpKind::kSigmoid:
      return {Activation::Kind::kSigmoid, 0.0F, 0.0F};
    default:
      return {Activation::Kind::kTanh, 0.0F, 0.0F};
  }
}

/// A bound of Clip at run time: the input's value, the legacy attribute, or the type's limit.
template <typename T>
T bound(const StepArgs& args, std::size_t input, bool present, std::optional<float> legacy,
        T fallback) {
  if (legacy) return static_cast<T>(*legacy);
  return present ? *static_cast<const T*>(args.inputs[input]) : fallback;
}

/// y = (x - mean) * factor + bias for one channel's values, in T, or in double for f64.
template <typename T>
struct ChannelNorm {
  T mean;
  T factor;
  T bias;
};

}  // namespace

Plan plan_binary(const Call& call, const Isa& isa) {
  const auto& params = std::get<BinaryParams>(call.params);
  const Shape& a = call.inputs[0].type.shape;
  const Shape b = ops::binary::aligned_shape(params, a, call.inputs[1].type.shape);
  const DType dtype = call.outputs[0].dtype;
  const Broadcast shape = join_axes(a, b, call.outputs[0].shape);
  const BinaryFunction function = function_of(call.kind);
  const Activation activation = params.activation;
  Plan plan;
  plan.kernel = kernel_name(
      function_name(function), dtype,
      shape.rank == 1 && shape.a[0] == 1 && shape.b[0] == 1 ? "contiguous" : "broadcast");
  plan.in_place = a == call.outputs[0].shape;
  if (dtype == DType::kFloat32) {
    const auto* kernels = isa.elementwise.binary[static_cast<int>(function)];
    plan.run = [=](const StepArgs& args) {
      run_f32(shape, kernels, static_cast<const float*>(args.inputs[0]),
              static_cast<const float*>(args.inputs[1]), static_cast<float*>(args.outputs[0]),
              activation);
    };
    return plan;
  }
  if (activation.kind != Activation::Kind::kNone) {
    fail_unsupported("a fused activation of type {}", dtype_name(dtype));
  }
  visit_number(dtype, [&](auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      run_generic(shape, static_cast<const T*>(args.inputs[0]),
                  static_cast<const T*>(args.inputs[1]), static_cast<T*>(args.outputs[0]),
                  [=](T x, T y) { return arithmetic(function, x, y); });
    };
  });
  return plan;
}

Plan plan_variadic(const Call& call, const Isa& isa) {
  const DType dtype = call.outputs[0].dtype;
  const Shape& y = call.outputs[0].shape;
  const BinaryFunction function = function_of(call.kind);
  // y = x0; y = f(y, x1); ... With a single operand, a copy. The first step combines operands 0 and
  // 1, so that y is written before it is read.
  std::vector<Broadcast> steps;
  const Shape& first = call.inputs[0].type.shape;
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    steps.push_back(join_axes(i == 1 ? first : y, call.inputs[i].type.shape, y));
  }
  Plan plan;
  const char* name = call.kind == OpKind::kSum ? "sum" : function_name(function);
  plan.kernel = kernel_name(name, dtype, "pairwise");
  const std::int64_t bytes = y.elements() * dtype_size(dtype);
  const auto* kernels = isa.elementwise.binary[static_cast<int>(function)];
  visit_number(dtype, [&](auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      T* to = static_cast<T*>(args.outputs[0]);
      if (steps.empty() && bytes > 0) {
        std::copy_n(static_cast<const std::byte*>(args.inputs[0]), bytes,
                    reinterpret_cast<std::byte*>(to));
      }
      for (std::size_t i = 0; i < steps.size(); ++i) {
        const T* a = i == 0 ? static_cast<const T*>(args.inputs[0]) : to;
        const T* b = static_cast<const T*>(args.inputs[i + 1]);
        if constexpr (std::is_same_v<T, float>) {
          run_f32(steps[i], kernels, a, b, to, {});
        } else {
          run_generic(steps[i], a, b, to, [=](T x, T z) { return arithmetic(function, x, z); });
        }
      }
    };
  });
  return plan;
}

Plan plan_unary(const Call& call, const Isa& isa) {
  const DType dtype = call.outputs[0].dtype;
  const std::int64_t count = call.outputs[0].shape.elements();
  const bool negates = call.kind == OpKind::kNeg;
  const Activation activation = activation_of(call.kind, std::get<UnaryParams>(call.params).alpha);
  static constexpr const char* kNames[] = {"", "relu", "leaky_relu", "", "sigmoid", "tanh"};
  Plan plan;
  plan.kernel =
      kernel_name(negates ? "neg" : kNames[static_cast<int>(activation.kind)], dtype, "contiguous");
  plan.in_place = true;
  if (dtype == DType::kFloat32) {
    const auto negate = isa.elementwise.negate;
    const auto activate = isa.elementwise.activation[static_cast<int>(activation.kind)];
    plan.run = [=](const StepArgs& args) {
      const float* x = static_cast<const float*>(args.inputs[0]);
      float* y = static_cast<float*>(args.outputs[0]);
      if (negates) {
        negate(x, y, count);
      } else {
        activate(x, y, count, activation.alpha, activation.beta);
      }
    };
    return plan;
  }
  Apply apply = nullptr;
  visit_number(dtype, [&](auto zero) {
    using T = decltype(zero);
    apply = negates ? &negate_generic<T> : &apply_generic<T>;
  });
  plan.run = [=](const StepArgs& args) {
    apply(args.inputs[0], args.outputs[0], count, activation);
  };
  return plan;
}

Plan plan_clip(const Call& call, const Isa& isa) {
  const auto& params = std::get<ClipParams>(call.params);
  const DType dtype = call.outputs[0].dtype;
  const std::int64_t count = call.outputs[0].shape.elements();
  const bool has_low = call.has(1);
  const bool has_high = call.has(2);
  const auto clip_f32 = isa.elementwise.activation[static_cast<int>(Activation::Kind::kClip)];
  const ClipParams legacy = params;
  Plan plan;
  plan.kernel = kernel_name("clip", dtype, "contiguous");
  plan.in_place = true;
  visit_number(dtype, [&](auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      const T low = bound<T>(args, 1, has_low, legacy.legacy_min, std::numeric_limits<T>::lowest());
      const T high = bound<T>(args, 2, has_high, legacy.legacy_max, std::numeric_limits<T>::max());
      const T* x = static_cast<const T*>(args.inputs[0]);
      T* y = static_cast<T*>(args.outputs[0]);
      if constexpr (std::is_same_v<T, float>) {
        clip_f32(x, y, count, low, high);
      } else {
        for (std::int64_t i = 0; i < count; ++i) {
          const T raised = x[i] < low ? low : x[i];
          y[i] = raised > high ? high : raised;
        }
      }
    };
  });
  return plan;
}

Plan plan_batch_norm(const Call& call, const Isa& isa) {
  const auto& params = std::get<BatchNormParams>(call.params);
  const DType dtype = call.inputs[0].type.dtype;
  const ops::batch_norm::Extents extents =
      ops::batch_norm::extents(params, call.inputs[0].type.shape);
  const double epsilon = static_cast<double>(params.epsilon);
  const double momentum = static_cast<double>(params.momentum);
  const bool training = params.training_mode;
  const bool wants_mean = call.wants(1);
  const bool wants_variance = call.wants(2);
  if (!training) {
    for (std::size_t i = 1; i < call.outputs.size(); ++i) {
      if (call.wants(i)) fail_unsupported("output {} outside of training mode", i);
    }
  }
  if (call.wants(3) || call.wants(4)) fail_unsupported("saved statistics of old training modes");
  const auto row_f32 = isa.elementwise.batch_norm_row;
  Plan plan;
  plan.kernel = kernel_name(training ? "batch_norm_training" : "batch_norm", dtype, "per_channel");
  plan.in_place = !training;
  const auto planned = [&](auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      const T* x = static_cast<const T*>(args.inputs[0]);
      const auto vector = [&](std::size_t i, std::int64_t c) {
        return static_cast<double>(static_cast<const T*>(args.inputs[i])[c]);
      };
      T* y = static_cast<T*>(args.outputs[0]);
      for (std::int64_t c = 0; c < extents.channels; ++c) {
        double mean = vector(3, c);
        double variance = vector(4, c);
        const auto each_row = [&](const auto& body) {
          for (std::int64_t n = 0; n < extents.batch; ++n) {
            body((n * extents.channels + c) * extents.inner);
          }
        };
        if (training) {
          const auto count = static_cast<double>(extents.batch * extents.inner);
          double sum = 0.0;
          each_row([&](std::int64_t at) {
            for (std::int64_t i = at; i < at + extents.inner; ++i) sum += static_cast<double>(x[i]);
          });
          const double batch_mean = sum / count;
          double squares = 0.0;
          each_row([&](std::int64_t at) {
            for (std::int64_t i = at; i < at + extents.inner; ++i) {
              const double centered = static_cast<double>(x[i]) - batch_mean;
              squares += centered * centered;
            }
          });
          const double batch_variance = squares / count;
          if (wants_mean) {
            static_cast<T*>(args.outputs[1])[c] =
                static_cast<T>(mean * momentum + batch_mean * (1 - momentum));
          }
          if (wants_variance) {
            static_cast<T*>(args.outputs[2])[c] =
                static_cast<T>(variance * momentum + batch_variance * (1 - momentum));
          }
          mean = batch_mean;
          variance = batch_variance;
        }
        const ChannelNorm<T> norm{static_cast<T>(mean),
                                  static_cast<T>(vector(1, c) / std::sqrt(variance + epsilon)),
                                  static_cast<T>(vector(2, c))};
        each_row([&](std::int64_t at) {
          if constexpr (std::is_same_v<T, float>) {
            row_f32(x + at, norm.mean, norm.factor, norm.bias, y + at, extents.inner);
          } else {
            for (std::int64_t i = at; i < at + extents.inner; ++i) {
              y[i] = (x[i] - norm.mean) * norm.factor + norm.bias;
            }
          }
        });
      }
    };
  };
  if (dtype == DType::kFloat32 && !training && extents.inner == 1) {
    // Channels are neighbours: one pass with vectors that repeat, the factors computed first.
    const auto periodic = isa.elementwise.batch_norm_periodic;
    plan.kernel = kernel_name("batch_norm", dtype, "periodic");
    plan.scratch_bytes = extents.channels * static_cast<std::int64_t>(sizeof(float));
    plan.run = [=](const StepArgs& args) {
      const auto vector = [&](std::size_t i) { return static_cast<const float*>(args.inputs[i]); };
      auto* factor = reinterpret_cast<float*>(args.scratch);
      for (std::int64_t c = 0; c < extents.channels; ++c) {
        factor[c] = static_cast<float>(static_cast<double>(vector(1)[c]) /
                                       std::sqrt(static_cast<double>(vector(4)[c]) + epsilon));
      }
      periodic(vector(0), vector(3), factor, vector(2), extents.channels,
               static_cast<float*>(args.outputs[0]), extents.batch * extents.channels);
    };
  } else if (dtype == DType::kFloat32) {
    planned(float{});
  } else {
    planned(double{});
  }
  return plan;
}

Plan plan_normalize(const Call& call, const Isa& isa) {
  const auto& params = std::get<NormalizeParams>(call.params);
  const DType dtype = call.inputs[0].type.dtype;
  const ops::normalize::Extents extents =
      ops::normalize::extents(params, call.inputs[0].type.shape);
  const auto at = [](const std::vector<float>& values, std::int64_t c) {
    return values[values.size() == 1 ? 0 : static_cast<std::size_t>(c)];
  };
  std::vector<float> scale;
  std::vector<float> bias;
  for (std::int64_t c = 0; c < extents.channels; ++c) {
    scale.push_back(at(params.scale, c));
    bias.push_back(at(params.bias, c));
  }
  // Interleaved channels are short runs: one pass with repeating vectors instead.
  const bool periodic = extents.inner == 1 && extents.channels > 1;
  Plan plan;
  plan.kernel = kernel_name("normalize", dtype, periodic ? "periodic" : "per_channel");
  const std::int64_t count = extents.outer * extents.channels * extents.inner;
  const auto planned = [&](auto row, auto period, auto zero) {
    using T = decltype(zero);
    plan.run = [=](const StepArgs& args) {
      const T* x = static_cast<const T*>(args.inputs[0]);
      float* y = static_cast<float*>(args.outputs[0]);
      if (periodic) {
        period(x, scale.data(), bias.data(), extents.channels, y, count);
        return;
      }
      for (std::int64_t i = 0; i < extents.outer * extents.channels; ++i) {
        const auto c = static_cast<std::size_t>(i % extents.channels);
        row(x + i * extents.inner, scale[c], bias[c], y + i * extents.inner, extents.inner);
      }
    };
  };
  if (dtype == DType::kUint8) {
    planned(isa.elementwise.normalize_row_u8, isa.elementwise.normalize_periodic_u8,
            std::uint8_t{});
  } else {
    planned(isa.elementwise.normalize_row_f32, isa.elementwise.normalize_periodic_f32, float{});
  }
  return plan;
}

}  // namespace prs::cpu
