// MaxPool, AveragePool and the global pools: f32 through the instruction-set kernels, other dtypes
// and MaxPool's Indices through plain loops.
//
// Plans are immutable and safe to run from several threads, each with scratch of its own.
#include "ops/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "check.hpp"
#include "cpu/isa/gemm.hpp"
#include "cpu/isa/int8.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/kernel.hpp"
#include "ops/support.hpp"

namespace prs::cpu {
namespace {

using ops::Window;
using ops::WindowAxis;

struct PoolLayout {
  OpKind kind;
  PoolParams params;
  Window window;
  std::int64_t planes;
  bool wants_indices;
};

/// Calls body(plane, od, oh, ow) for each output in row-major order.
template <typename Body>
void for_each_output(const PoolLayout& layout, Body&& body) {
  const auto& [depth, height, width] = layout.window;
  for (std::int64_t plane = 0; plane < layout.planes; ++plane) {
    for (std::int64_t od = 0; od < depth.out; ++od) {
      for (std::int64_t oh = 0; oh < height.out; ++oh) {
        for (std::int64_t ow = 0; ow < width.out; ++ow) body(plane, od, oh, ow);
      }
    }
  }
}

/// Calls body(id, ih, iw) for each tap inside the input.
template <typename Body>
void for_each_tap(const Window& window, std::int64_t od, std::int64_t oh, std::int64_t ow,
                  Body&& body) {
  const auto& [depth, height, width] = window;
  for (std::int64_t q = depth.first_tap(od); q < depth.end_tap(od); ++q) {
    const std::int64_t id = od * depth.stride - depth.pad_begin + q * depth.dilation;
    for (std::int64_t r = height.first_tap(oh); r < height.end_tap(oh); ++r) {
      const std::int64_t ih = oh * height.stride - height.pad_begin + r * height.dilation;
      for (std::int64_t s = width.first_tap(ow); s < width.end_tap(ow); ++s) {
        body(id, ih, ow * width.stride - width.pad_begin + s * width.dilation);
      }
    }
  }
}

template <typename T>
constexpr T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                              : std::numeric_limits<T>::lowest();
}

/// NaN is larger than anything.
template <typename T>
bool larger(T x, T best) {
  return x > best || (x != x && best == best);
}

template <typename T>
void max_pool(const PoolLayout& layout, const StepArgs& args) {
  const WindowAxis& depth = layout.window[0];
  const WindowAxis& height = layout.window[1];
  const WindowAxis& width = layout.window[2];
  const std::int64_t plane_size = depth.in * height.in * width.in;
  const T* x = static_cast<const T*>(args.inputs[0]);
  T* y = static_cast<T*>(args.outputs[0]);
  auto* indices = layout.wants_indices ? static_cast<std::int64_t*>(args.outputs[1]) : nullptr;
  for_each_output(layout, [&](auto plane, auto od, auto oh, auto ow) {
    T best = lowest<T>();
    std::int64_t index = -1;
    for_each_tap(layout.window, od, oh, ow, [&](auto id, auto ih, auto iw) {
      const std::int64_t offset = (id * height.in + ih) * width.in + iw;
      const T value = x[plane * plane_size + offset];
      if (index >= 0 && !larger(value, best)) return;
      best = value;
      index = plane * plane_size +
              (layout.params.storage_order == 0 ? offset : (iw * height.in + ih) * depth.in + id);
    });
    *y++ = best;
    if (indices != nullptr) *indices++ = index;
  });
}

/// The inputs of a row that lie under the taps of an output column: from first on, a dilation
/// apart.
struct TapRange {
  std::int64_t first;
  std::int64_t end;
};

std::vector<TapRange> tap_ranges(const WindowAxis& axis) {
  std::vector<TapRange> ranges;
  for (std::int64_t o = 0; o < axis.out; ++o) {
    const std::int64_t start = o * axis.stride - axis.pad_begin;
    ranges.push_back({start + axis.first_tap(o) * axis.dilation,
                      start + (axis.end_tap(o) - 1) * axis.dilation + 1});
  }
  return ranges;
}

/// The same of integers, without indices: the rows of a window first, then its columns.
template <typename T>
void max_pool_by_rows(const PoolLayout& layout, std::span<const TapRange> columns,
                      const StepArgs& args) {
  const auto& [depth, height, width] = layout.window;
  const T* x = static_cast<const T*>(args.inputs[0]);
  T* y = static_cast<T*>(args.outputs[0]);
  T* row = reinterpret_cast<T*>(args.scratch);  // [width.in]
  for (std::int64_t plane = 0; plane < layout.planes; ++plane) {
    for (std::int64_t od = 0; od < depth.out; ++od) {
      for (std::int64_t oh = 0; oh < height.out; ++oh, y += width.out) {
        std::fill_n(row, width.in, std::numeric_limits<T>::lowest());
        for (std::int64_t q = depth.first_tap(od); q < depth.end_tap(od); ++q) {
          const std::int64_t id = od * depth.stride - depth.pad_begin + q * depth.dilation;
          for (std::int64_t r = height.first_tap(oh); r < height.end_tap(oh); ++r) {
            const std::int64_t ih = oh * height.stride - height.pad_begin + r * height.dilation;
            const T* from = x + ((plane * depth.in + id) * height.in + ih) * width.in;
            for (std::int64_t i = 0; i < width.in; ++i) row[i] = std::max(row[i], from[i]);
          }
        }
        for (std::int64_t ow = 0; ow < width.out; ++ow) {
          T best = std::numeric_limits<T>::lowest();
          const TapRange taps = columns[static_cast<std::size_t>(ow)];
          for (std::int64_t i = taps.first; i < taps.end; i += width.dilation) {
            best = std::max(best, row[i]);
          }
          y[ow] = best;
        }
      }
    }
  }
}

template <typename T>
void average_pool(const PoolLayout& layout, const StepArgs& args) {
  const WindowAxis& depth = layout.window[0];
  const WindowAxis& height = layout.window[1];
  const WindowAxis& width = layout.window[2];
  const T* x = static_cast<const T*>(args.inputs[0]);
  T* y = static_cast<T*>(args.outputs[0]);
  for_each_output(layout, [&](auto plane, auto od, auto oh, auto ow) {
    T sum = 0;
    std::int64_t count = 0;
    for_each_tap(layout.window, od, oh, ow, [&](auto id, auto ih, auto iw) {
      sum += x[((plane * depth.in + id) * height.in + ih) * width.in + iw];
      ++count;
    });
    if (layout.params.count_include_pad) {
      count = depth.padded_taps(od) * height.padded_taps(oh) * width.padded_taps(ow);
    }
    *y++ = sum / static_cast<T>(count);
  });
}

/// The taps that count of each output position, one axis after the other.
std::vector<float> make_divisors(const PoolLayout& layout) {
  std::vector<float> divisors;
  for (const WindowAxis& axis : layout.window) {
    for (std::int64_t o = 0; o < axis.out; ++o) {
      const std::int64_t taps = layout.params.count_include_pad
                                    ? axis.padded_taps(o)
                                    : axis.end_tap(o) - axis.first_tap(o);
      divisors.push_back(static_cast<float>(taps));
    }
  }
  return divisors;
}

/// Whether a row with its padding is of a size that the kernels may keep in scratch.
bool has_short_rows(const WindowAxis& width) {
  constexpr std::int64_t kLimit = 1 << 24;
  return (width.out - 1) * width.stride + width.extent() <= kLimit;
}

Plan plan_f32(const PoolLayout& layout, const GemmKernels& kernels) {
  PoolTask task;
  task.planes = layout.planes;
  for (std::size_t i = 0; i < 3; ++i) {
    const WindowAxis& axis = layout.window[i];
    task.in[i] = axis.in;
    task.out[i] = axis.out;
    task.kernel[i] = axis.kernel;
    task.stride[i] = axis.stride;
    task.dilation[i] = axis.dilation;
    task.pad_begin[i] = axis.pad_begin;
  }
  Plan plan;
  plan.scratch_bytes = kernels.pool_scratch(task) * static_cast<std::int64_t>(sizeof(float));
  const bool average = layout.kind == OpKind::kAveragePool;
  plan.run = [task, divisors = average ? make_divisors(layout) : std::vector<float>{},
              run = average ? kernels.average_pool : kernels.max_pool](const StepArgs& args) {
    run(task, {.x = static_cast<const float*>(args.inputs[0]),
               .divisors = divisors.data(),
               .y = static_cast<float*>(args.outputs[0]),
               .scratch = reinterpret_cast<float*>(args.scratch)});
  };
  return plan;
}

/// Whether windows of bytes are the 2 x 2 that there is a kernel for.
bool is_2x2(const PoolLayout& layout) {
  const auto& [depth, height, width] = layout.window;
  for (const WindowAxis* axis : {&height, &width}) {
    if (axis->kernel != 2 || axis->stride != 2 || axis->dilation != 1 || axis->pad_begin != 0 ||
        axis->out * 2 > axis->in) {
      return false;
    }
  }
  return depth.in == 1 && depth.kernel == 1 && depth.out == 1 && width.in == 2 * width.out &&
         height.in / 2 == height.out;
}

Plan plan_bytes(const PoolLayout& layout, DType dtype, const Int8Kernels& kernels) {
  PoolTask task;
  task.planes = layout.planes;
  task.in[1] = layout.window[1].in;
  task.in[2] = layout.window[2].in;
  Plan plan;
  plan.run = [task, flip = static_cast<std::uint8_t>(dtype == DType::kInt8 ? 0x80 : 0),
              run = kernels.max_pool_2x2](const StepArgs& args) {
    run(task, flip, static_cast<const std::uint8_t*>(args.inputs[0]),
        static_cast<std::uint8_t*>(args.outputs[0]));
  };
  return plan;
}

Plan plan_by_rows(const PoolLayout& layout, DType dtype) {
  Plan plan;
  plan.scratch_bytes = layout.window[2].in;
  const std::vector<TapRange> columns = tap_ranges(layout.window[2]);
  if (dtype == DType::kInt8) {
    plan.run = [layout, columns](const StepArgs& args) {
      max_pool_by_rows<std::int8_t>(layout, columns, args);
    };
  } else {
    plan.run = [layout, columns](const StepArgs& args) {
      max_pool_by_rows<std::uint8_t>(layout, columns, args);
    };
  }
  return plan;
}

Plan plan_plain(const PoolLayout& layout, DType dtype) {
  Plan plan;
  plan.run = [layout, dtype](const StepArgs& args) {
    ops::visit_dtype(dtype, [&](auto zero) {
      using T = decltype(zero);
      if (layout.kind == OpKind::kMaxPool) {
        max_pool<T>(layout, args);
      } else if constexpr (std::is_floating_point_v<T>) {
        average_pool<T>(layout, args);
      }
    });
  };
  return plan;
}

template <typename T>
void global_pool(OpKind kind, std::int64_t planes, std::int64_t size, const StepArgs& args) {
  const T* x = static_cast<const T*>(args.inputs[0]);
  T* y = static_cast<T*>(args.outputs[0]);
  for (std::int64_t p = 0; p < planes; ++p, x += size) {
    T sum = 0;
    T best = lowest<T>();
    for (std::int64_t i = 0; i < size; ++i) {
      sum += x[i];
      if (larger(x[i], best)) best = x[i];
    }
    y[p] = kind == OpKind::kGlobalMaxPool ? best : sum / static_cast<T>(size);
  }
}

}  // namespace

Plan plan_pool(const Call& call, const Isa& isa) {
  const auto& params = std::get<PoolParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  const PoolLayout layout{.kind = call.kind,
                          .params = params,
                          .window = ops::pool::resolve(params, x.shape),
                          .planes = x.shape.elements(0, 2),
                          .wants_indices = call.wants(1)};
  const std::string prefix =
      fmt::format("{}_pool{}d_{}", call.kind == OpKind::kMaxPool ? "max" : "average",
                  x.shape.rank() - 2, dtype_name(x.dtype));
  if (call.outputs[0].shape.elements() == 0) {
    Plan plan;
    plan.kernel = prefix + "_empty";
    plan.run = [](const StepArgs&) {};
    return plan;
  }
  const bool separable =
      x.dtype == DType::kFloat32 && !layout.wants_indices && has_short_rows(layout.window[2]);
  const bool of_bytes = x.dtype == DType::kUint8 || x.dtype == DType::kInt8;
  if (of_bytes && !layout.wants_indices) {
    const bool small = is_2x2(layout);
    Plan plan = small ? plan_bytes(layout, x.dtype, isa.int8) : plan_by_rows(layout, x.dtype);
    plan.kernel = prefix + (small ? "_2x2" : "_rows");
    return plan;
  }
  Plan plan = separable ? plan_f32(layout, isa.gemm) : plan_plain(layout, x.dtype);
  plan.kernel = prefix + (separable ? "_separable" : layout.wants_indices ? "_indices" : "_plain");
  return plan;
}

Plan plan_global_pool(const Call& call, const Isa& isa) {
  const TensorType& x = call.inputs[0].type;
  const std::int64_t planes = x.shape.elements(0, 2);
  const std::int64_t size = x.shape.elements(2, x.shape.rank());
  const bool average = call.kind == OpKind::kGlobalAveragePool;
  const std::string prefix =
      fmt::format("global_{}_pool_{}", average ? "average" : "max", dtype_name(x.dtype));
  Plan plan;
  if (x.dtype == DType::kFloat32) {
    plan.kernel = prefix + "_plane_per_vector";
    plan.run = [planes, size, run = average ? isa.gemm.average_planes : isa.gemm.max_planes](
                   const StepArgs& args) {
      run(static_cast<const float*>(args.inputs[0]), static_cast<float*>(args.outputs[0]), planes,
          size);
    };
    return plan;
  }
  plan.kernel = prefix + "_plain";
  plan.run = [kind = call.kind, planes, size](const StepArgs& args) {
    global_pool<double>(kind, planes, size, args);
  };
  return plan;
}

}  // namespace prs::cpu
