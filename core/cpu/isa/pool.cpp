// Pooling for f32. Windows are separable: each output row first folds its input rows into one line,
// then the line's columns.
//
//   for planes, output planes d, output rows h:
//     line[w] = fold over taps in d and h of x[d, h, w]     (vectors along w)
//     y[w] = fold over taps in w of line                    (padding holds the fold's identity)
#include "cpu/isa/begin.hpp"

#include <Eigen/Core>

#include "cpu/isa/gemm.hpp"
#include "cpu/isa/linear.hpp"
#include "cpu/isa/vec.hpp"

namespace prs::cpu::PRS_ISA {
namespace {

struct Max {
  static constexpr float kIdentity = -__builtin_inff();
  static Vec fold(Vec best, Vec x) { return larger_or_nan(best, x); }
  static float fold(float best, float x) { return x > best || x != x ? x : best; }
};

struct Sum {
  static constexpr float kIdentity = 0.0F;
  static Vec fold(Vec sum, Vec x) { return sum + x; }
  static float fold(float sum, float x) { return sum + x; }
};

/// The taps [first, end) of output o that lie inside the input.
struct Taps {
  std::int64_t first;
  std::int64_t end;
};

Taps inside(const PoolTask& task, int axis, std::int64_t o) {
  const std::int64_t start = o * task.stride[axis] - task.pad_begin[axis];
  const std::int64_t room = task.in[axis] - start;
  const std::int64_t dilation = task.dilation[axis];
  if (start >= 0 && (task.kernel[axis] - 1) * dilation < room) return {0, task.kernel[axis]};
  const std::int64_t first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
  const std::int64_t end = room <= 0 ? 0 : (room + dilation - 1) / dilation;
  return {first, smaller(end, task.kernel[axis])};
}

/// The padded columns that windows touch.
std::int64_t line_extent(const PoolTask& task) {
  return (task.out[2] - 1) * task.stride[2] + (task.kernel[2] - 1) * task.dilation[2] + 1;
}

/// A line's floats, with two vectors behind it that the last outputs' vectors may read.
std::int64_t line_size(const PoolTask& task) {
  return (line_extent(task) + 3 * kLanes - 1) / kLanes * kLanes;
}

/// Rows of one plane under one output row: planes x rows of them, at these distances.
struct Rows {
  const float* first;
  std::int64_t planes;
  std::int64_t plane_step;
  std::int64_t rows;
  std::int64_t row_step;
};

Rows rows_under(const PoolTask& task, const float* x, std::int64_t od, std::int64_t oh) {
  const Taps depth = inside(task, 0, od);
  const Taps height = inside(task, 1, oh);
  const std::int64_t id = od * task.stride[0] - task.pad_begin[0] + depth.first * task.dilation[0];
  const std::int64_t ih = oh * task.stride[1] - task.pad_begin[1] + height.first * task.dilation[1];
  return {.first = x + (id * task.in[1] + ih) * task.in[2],
          .planes = depth.end - depth.first,
          .plane_step = task.dilation[0] * task.in[1] * task.in[2],
          .rows = height.end - height.first,
          .row_step = task.dilation[1] * task.in[2]};
}

/// The fold of `lanes` columns from column w on; the identity in the other lanes.
template <typename Fold>
PRS_INLINE Vec fold_rows_at(const Rows& rows, std::int64_t w, std::int64_t lanes) {
  Vec result = broadcast(Fold::kIdentity);
  for (std::int64_t q = 0; q < rows.planes; ++q) {
    const float* row = rows.first + q * rows.plane_step + w;
    for (std::int64_t r = 0; r < rows.rows; ++r, row += rows.row_step) {
      const Vec x =
          lanes == kLanes ? load(row) : load_lanes(row, lanes, broadcast(Fold::kIdentity));
      result = Fold::fold(result, x);
    }
  }
  return result;
}

template <typename Fold>
void fold_rows(const Rows& rows, std::int64_t columns, float* line) {
  std::int64_t w = 0;
  for (; w + kLanes <= columns; w += kLanes) {
    store(line + w, fold_rows_at<Fold>(rows, w, kLanes));
  }
  // A whole vector: behind the columns lies padding, and a load of part of a store's bytes and
  // others would have to wait for the store.
  if (w < columns) store(line + w, fold_rows_at<Fold>(rows, w, columns - w));
}

/// Columns w * kStride, (w + 1) * kStride, ... of a line, kStride 1 or 2.
template <int kStride>
PRS_INLINE Vec load_columns(const float* line, std::int64_t column) {
  if constexpr (kStride == 1) return load(line + column);
  // Pairs that begin at an even column, so that two taps share their loads.
  const float* pairs = line + column / 2 * 2;
  const Vec a = load(pairs);
  const Vec b = load(pairs + kLanes);
  return column % 2 == 0 ? even_lanes(a, b) : odd_lanes(a, b);
}

template <typename Fold, int kStride>
void fold_columns(const PoolTask& task, const float* line, float* y) {
  const std::int64_t width = task.out[2];
  for (std::int64_t w = 0; w < width; w += kLanes) {
    Vec result = load_columns<kStride>(line, w * kStride);
    for (std::int64_t t = 1; t < task.kernel[2]; ++t) {
      result = Fold::fold(result, load_columns<kStride>(line, w * kStride + t * task.dilation[2]));
    }
    if (w + kLanes <= width) {
      store(y + w, result);
    } else {
      store_lanes(y + w, result, width - w);
    }
  }
}

template <typename Fold>
void fold_columns_strided(const PoolTask& task, const float* line, float* y) {
  for (std::int64_t w = 0; w < task.out[2]; ++w) {
    const float* window = line + w * task.stride[2];
    float result = window[0];
    for (std::int64_t t = 1; t < task.kernel[2]; ++t) {
      result = Fold::fold(result, window[t * task.dilation[2]]);
    }
    y[w] = result;
  }
}

template <typename Fold>
void pool_row(const PoolTask& task, const float* x, std::int64_t od, std::int64_t oh, float* line,
              float* y) {
  const std::int64_t pad = smaller(task.pad_begin[2], line_extent(task));
  const std::int64_t columns = larger(smaller(task.in[2], line_extent(task) - pad), 0);
  fold_rows<Fold>(rows_under(task, x, od, oh), columns, line + pad);
  if (task.stride[2] == 1) {
    fold_columns<Fold, 1>(task, line, y);
  } else if (task.stride[2] == 2) {
    fold_columns<Fold, 2>(task, line, y);
  } else {
    fold_columns_strided<Fold>(task, line, y);
  }
}

template <typename Fold, typename Finish>
void pool(const PoolTask& task, const PoolOperands& operands, Finish finish) {
  // Padding columns keep the identity: rows are folded beside them only.
  for (std::int64_t i = 0; i < line_size(task); ++i) operands.scratch[i] = Fold::kIdentity;
  const float* x = operands.x;
  float* y = operands.y;
  for (std::int64_t plane = 0; plane < task.planes; ++plane) {
    for (std::int64_t od = 0; od < task.out[0]; ++od) {
      for (std::int64_t oh = 0; oh < task.out[1]; ++oh) {
        pool_row<Fold>(task, x, od, oh, operands.scratch, y);
        finish(od, oh, y);
        y += task.out[2];
      }
    }
    x += task.in[0] * task.in[1] * task.in[2];
  }
}

/// Summed in kLanes lanes, then across them: one order wherever the plane lies.
float sum_of_plane(const float* x, std::int64_t size) {
  Vec lanes{};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) lanes += load(x + i);
  float sum = 0.0F;
  for (int lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  for (; i < size; ++i) sum += x[i];
  return sum;
}

}  // namespace

std::int64_t pool_scratch(const PoolTask& task) { return line_size(task); }

void max_pool(const PoolTask& task, const PoolOperands& operands) {
  pool<Max>(task, operands, [](std::int64_t, std::int64_t, float*) {});
}

void average_pool(const PoolTask& task, const PoolOperands& operands) {
  pool<Sum>(task, operands, [&](std::int64_t od, std::int64_t oh, float* y) {
    const float* columns = operands.divisors + task.out[0] + task.out[1];
    const float rows = operands.divisors[od] * operands.divisors[task.out[0] + oh];
    for (std::int64_t w = 0; w < task.out[2]; ++w) y[w] /= rows * columns[w];
  });
}

void max_planes(const float* x, float* y, std::int64_t planes, std::int64_t size) {
  for (std::int64_t p = 0; p < planes; ++p) {
    const Eigen::Map<const Eigen::ArrayXf> plane(x + p * size, size);
    y[p] = size == 0 ? Max::kIdentity : plane.maxCoeff<Eigen::PropagateNaN>();
  }
}

void average_planes(const float* x, float* y, std::int64_t planes, std::int64_t size) {
  for (std::int64_t p = 0; p < planes; ++p) {
    y[p] = sum_of_plane(x + p * size, size) / static_cast<float>(size);
  }
}

}  // namespace prs::cpu::PRS_ISA
