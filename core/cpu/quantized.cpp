// QuantizeLinear, DequantizeLinear, and the layers of 8-bit integers between them.
//
// Plans are immutable and safe to run from several threads, each with scratch of its own.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "check.hpp"
#include "cpu/conv_task.hpp"
#include "cpu/crew.hpp"
#include "cpu/isa/int8.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "cpu/pack_words.hpp"
#include "ops/gemm.hpp"
#include "ops/quantize.hpp"

namespace prs::cpu {
namespace {

using ops::quantize::Extents;

Extents read_extents(const Call& call) {
  return ops::quantize::resolve(std::get<QuantizeParams>(call.params), call.inputs[0].type.shape,
                                call.inputs[1].type.shape,
                                call.has(2) ? &call.inputs[2].type.shape : nullptr);
}

/// Element i of the zero points of type T, 0 when there are none.
template <typename T>
std::int32_t zero_point(const StepArgs& args, bool has_zero_point, std::int64_t i) {
  return has_zero_point ? static_cast<const T*>(args.inputs[2])[i] : 0;
}

template <typename T>
std::function<void(const StepArgs&)> run_dequantize(const Extents& extents, bool has_zero_point) {
  return [extents, has_zero_point](const StepArgs& args) {
    const T* x = static_cast<const T*>(args.inputs[0]);
    const auto* scales = static_cast<const float*>(args.inputs[1]);
    float* y = static_cast<float*>(args.outputs[0]);
    for (std::int64_t i = 0; i < extents.outer * extents.channels; ++i) {
      const std::int64_t c = i % extents.channels;
      const std::int64_t zero = zero_point<T>(args, has_zero_point, c);
      for (std::int64_t k = 0; k < extents.inner; ++k, ++x) {
        *y++ = static_cast<float>(std::int64_t{*x} - zero) * scales[c];
      }
    }
  };
}

// ---- layers -------------------------------------------------------------------------------------

/// What a quantised layer's plan holds of its weights.
struct Weights {
  std::shared_ptr<const Tensor> words;
  std::vector<std::int32_t> start;  ///< One a channel.
};

const Tensor& constant_weights(const Call& call) {
  if (call.inputs[1].constant == nullptr) {
    fail_unsupported("the CPU multiplies 8-bit integers with constant weights only");
  }
  return *call.inputs[1].constant;
}

/// The zero point of x as the kernels see it, as a number of 0 to 255.
std::int32_t flipped_zero_point(const Requantization& out, DType x) {
  return out.x_zero_point + flip_of(x);
}

/// Minus the zero point's share in the sums, for channels whose weights element(channel, i) are.
template <typename Element>
std::vector<std::int32_t> starts(std::int64_t channels, std::int64_t products,
                                 std::int32_t zero_point, const Element& element) {
  std::vector<std::int32_t> start;
  for (std::int64_t c = 0; c < channels; ++c) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < products; ++i) sum += element(c, i);
    start.push_back(static_cast<std::int32_t>(-zero_point * sum));
  }
  return start;
}

/// Without the channels' tables, which come at run time.
Int8Ends make_ends(const Requantization& out, DType x) {
  return {.start = nullptr,
          .multiplier = nullptr,
          .offset = nullptr,
          .low = out.low,
          .high = out.high,
          .zero_point = out.y_zero_point,
          .to_bytes = out.to != DType::kFloat32,
          .x_flip = flip_of(x),
          .x_padding = static_cast<std::uint8_t>(flipped_zero_point(out, x))};
}

/// `ends` with the channels' tables of one run.
Int8Ends with_tables(Int8Ends ends, const Weights& weights, const StepArgs& args) {
  ends.start = weights.start.data();
  ends.multiplier = static_cast<const float*>(args.inputs[2]);
  ends.offset = static_cast<const float*>(args.inputs[3]);
  return ends;
}

std::string kernel_name(std::string_view what, const Call& call, std::string_view algorithm,
                        const Int8Kernels& kernels) {
  return fmt::format("{}_{}_i8_{}_{}_{}x{}", what, dtype_name(call.inputs[0].type.dtype),
                     dtype_name(call.outputs[0].dtype), algorithm, kernels.tile_rows,
                     kernels.tile_vectors * kernels.lanes);
}

}  // namespace

Plan plan_quantize(const Call& call, const Isa& isa) {
  const DType to = call.outputs[0].dtype;
  const ops::quantize::Range range = ops::quantize::range(to);
  Plan plan;
  plan.kernel = fmt::format("quantize_f32_{}", dtype_name(to));
  plan.run = [extents = read_extents(call), range, has_zero_point = call.has(2),
              run = isa.int8.quantize](const StepArgs& args) {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* y = static_cast<std::uint8_t*>(args.outputs[0]);
    for (std::int64_t i = 0; i < extents.outer * extents.channels; ++i) {
      const std::int64_t c = i % extents.channels;
      const std::int32_t zero = range.low < 0 ? zero_point<std::int8_t>(args, has_zero_point, c)
                                              : zero_point<std::uint8_t>(args, has_zero_point, c);
      run({.scale = static_cast<const float*>(args.inputs[1])[c],
           .zero_point = zero,
           .low = range.low,
           .high = range.high},
          x + i * extents.inner, extents.inner, y + i * extents.inner);
    }
  };
  return plan;
}

Plan plan_dequantize(const Call& call, const Isa&) {
  const DType x = call.inputs[0].type.dtype;
  const Extents extents = read_extents(call);
  Plan plan;
  plan.kernel = fmt::format("dequantize_{}_f32", dtype_name(x));
  if (x == DType::kInt32) {
    plan.run = run_dequantize<std::int32_t>(extents, call.has(2));
  } else if (x == DType::kInt8) {
    plan.run = run_dequantize<std::int8_t>(extents, call.has(2));
  } else {
    plan.run = run_dequantize<std::uint8_t>(extents, call.has(2));
  }
  return plan;
}

Plan plan_quantized_gemm(const Call& call, const Isa& isa) {
  const auto& params = std::get<QuantizedGemmParams>(call.params);
  const Int8Kernels& kernels = isa.int8;
  const DType x = call.inputs[0].type.dtype;
  const Tensor& b = constant_weights(call);
  const auto [m, n, k] = ops::gemm::resolve({.trans_b = params.trans_b, .activation = {}},
                                            call.inputs[0].type.shape, b.shape());
  GemmTask task;
  task.m = m;
  task.n = n;
  task.k = k;
  // Sums of integers are exact. Several rows are multiplied faster than ordered by their zeros.
  task.skips_zeros = m == 1;
  const std::int64_t row = params.trans_b ? 1 : n;
  const std::int64_t column = params.trans_b ? k : 1;
  const auto at = [from = b.as<std::int8_t>(), row, column](std::int64_t p, std::int64_t j) {
    return from[p * row + j * column];
  };
  const auto pack = [&, n = n, k = k] {
    return pack_gemm_words<std::uint8_t>(n, k, kernels.lanes, kernels.tile_vectors, at);
  };
  const std::string layout = fmt::format("gemm i8 {}x{} strides {} {} vectors {}x{}", k, n, row,
                                         column, kernels.tile_vectors, kernels.lanes);
  Weights weights{.words = pack_constant(call.packed, b, layout, pack),
                  .start = starts(n, k, flipped_zero_point(params.out, x),
                                  [&](std::int64_t j, std::int64_t p) { return at(p, j); })};
  Plan plan;
  plan.kernel = kernel_name("gemm", call, "packed", kernels);
  const std::int64_t products = gemm_products(m, n * k / (4 * kernels.lanes));
  const SharedStep step(call.sharing, products, kernels.gemm_scratch(task));
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [task, weights = std::move(weights), ends = make_ends(params.out, x),
              run = kernels.gemm, step](const StepArgs& args) {
    step.run<std::uint32_t>(args, [&](const Part& part, std::uint32_t* scratch) {
      run(task, with_tables(ends, weights, args),
          {.x = static_cast<const std::uint8_t*>(args.inputs[0]),
           .b = weights.words->as<std::uint32_t>(),
           .y = args.outputs[0],
           .scratch = scratch,
           .part = part});
    });
  };
  return plan;
}

Plan plan_quantized_conv(const Call& call, const Isa& isa) {
  const auto& params = std::get<QuantizedConvParams>(call.params);
  const Int8Kernels& kernels = isa.int8;
  const DType x = call.inputs[0].type.dtype;
  ConvLayout layout = read_conv_layout(call, params.conv);
  layout.has_bias = false;  // Input 2 is no bias.
  const Tensor& w = constant_weights(call);
  const std::string what = fmt::format("conv{}d", call.inputs[0].type.shape.rank() - 2);
  Plan plan;
  if (call.outputs[0].shape.elements() == 0) {
    plan.kernel = what + "_empty";
    plan.run = [](const StepArgs&) {};
    return plan;
  }
  const ConvTask task = make_conv_word_task(layout, x, 4);
  if (!fits_shifts(task)) {
    fail_unsupported("x of shape {} is too large for 8-bit integers",
                     call.inputs[0].type.shape.to_string());
  }
  const std::int64_t filters = layout.groups * layout.filters;
  const std::int64_t products = w.elements() / std::max<std::int64_t>(filters, 1);
  const auto* from = w.as<std::int8_t>();
  const auto pack = [&] {
    return pack_conv_words<std::uint8_t>(filters, layout.channels,
                                         products / std::max<std::int64_t>(layout.channels, 1),
                                         [from](std::int64_t i) { return from[i]; });
  };
  Weights weights{
      .words = pack_constant(call.packed, w, "conv i8", pack),
      .start = starts(filters, products, flipped_zero_point(params.out, x),
                      [&](std::int64_t m, std::int64_t i) { return from[m * products + i]; })};
  plan.kernel = kernel_name(what, call, "im2col_gemm", kernels);
  const std::int64_t vector_products = conv_products(task) / kernels.lanes;
  const SharedStep step(call.sharing, vector_products, kernels.conv_scratch(task));
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [task, shifts = make_shifts(task, layout.window), weights = std::move(weights),
              ends = make_ends(params.out, x), run = kernels.conv, step](const StepArgs& args) {
    step.run<std::uint32_t>(args, [&](const Part& part, std::uint32_t* scratch) {
      run(task, with_tables(ends, weights, args),
          {.x = static_cast<const std::uint8_t*>(args.inputs[0]),
           .weights = weights.words->as<std::uint32_t>(),
           .shifts = shifts.data(),
           .y = args.outputs[0],
           .scratch = scratch,
           .part = part});
    });
  };
  return plan;
}

}  // namespace prs::cpu
