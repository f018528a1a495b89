// Kernels that move elements without computing: Transpose, Concat, Gather, Slice and Pad, for all
// element types by their size alone; and Cast.
#include <array>
#include <vector>

#include "check.hpp"
#include "cpu/bytes.hpp"
#include "cpu/convert.hpp"
#include "cpu/kernel.hpp"
#include "cpu/strided_copy.hpp"
#include "ops/gather.hpp"
#include "ops/pad.hpp"
#include "ops/slice.hpp"
#include "ops/support.hpp"
#include "ops/transpose.hpp"

namespace prs::cpu {
namespace {

Plan strided_plan(const char* what, const StridedCopy& copy) {
  return {std::string(what) + "_" + copy.name(), [copy](const StepArgs& args) {
            copy.run(static_cast<const std::byte*>(args.inputs[0]),
                     static_cast<std::byte*>(args.outputs[0]));
          }};
}

bool has_elements(const TensorType& type) { return type.shape.elements() > 0; }

}  // namespace

Plan plan_transpose(const Call& call, const Isa&) {
  const TensorType& x = call.inputs[0].type;
  const TensorType& y = call.outputs[0];
  if (!has_elements(y)) return nothing_plan();
  buffer_bytes(x);
  const std::vector<std::int64_t> x_strides = ops::row_major_strides(x.shape);
  std::vector<std::int64_t> strides;
  for (const std::int64_t axis :
       ops::transpose::permutation(std::get<TransposeParams>(call.params), x.shape.rank())) {
    strides.push_back(x_strides[static_cast<std::size_t>(axis)]);
  }
  return strided_plan("transpose", StridedCopy(y.shape.extents(), strides, 0, dtype_size(x.dtype)));
}

Plan plan_slice(const Call& call, const Isa&) {
  const TensorType& x = call.inputs[0].type;
  const TensorType& y = call.outputs[0];
  if (!has_elements(y)) return nothing_plan();
  buffer_bytes(x);
  std::vector<std::int64_t> strides = ops::row_major_strides(x.shape);
  std::int64_t offset = 0;
  std::size_t axis = 0;
  for (const auto& slice : ops::slice::resolve(InferArgs{call.kind, call.params, call.inputs})) {
    offset += slice.start * strides[axis];
    strides[axis++] *= slice.step;
  }
  return strided_plan("slice",
                      StridedCopy(y.shape.extents(), strides, offset, dtype_size(x.dtype)));
}

Plan plan_concat(const Call& call, const Isa&) {
  const TensorType& y = call.outputs[0];
  if (!has_elements(y)) return nothing_plan();
  buffer_bytes(y);
  const std::int64_t rank = y.shape.rank();
  const std::int64_t axis = ops::normalize_axis(std::get<ConcatParams>(call.params).axis, rank);
  const std::int64_t outer = y.shape.elements(0, axis);
  std::vector<std::int64_t> chunks;
  for (const InputInfo& input : call.inputs) {
    chunks.push_back(input.type.shape.elements(axis, rank) * dtype_size(y.dtype));
  }
  return {"concat_bytes", [outer, chunks](const StepArgs& args) {
            auto* to = static_cast<std::byte*>(args.outputs[0]);
            for (std::int64_t o = 0; o < outer; ++o) {
              for (std::size_t k = 0; k < chunks.size(); ++k) {
                if (chunks[k] == 0) continue;
                copy_bytes(to, static_cast<const std::byte*>(args.inputs[k]) + o * chunks[k],
                           chunks[k]);
                to += chunks[k];
              }
            }
          }};
}

namespace {

struct GatherLayout {
  std::int64_t outer;
  std::int64_t axis;
  std::int64_t extent;
  std::int64_t count;  ///< Number of indices.
  std::int64_t slice_bytes;
};

/// The indices come from the caller's data, so each is checked where it is used.
template <typename IndexType>
void run_gather(const GatherLayout& layout, const std::byte* from, const IndexType* indices,
                std::byte* to) {
  const std::int64_t block_bytes = layout.extent * layout.slice_bytes;
  for (std::int64_t o = 0; o < layout.outer; ++o, from += block_bytes) {
    for (std::int64_t i = 0; i < layout.count; ++i, to += layout.slice_bytes) {
      const std::int64_t index = ops::gather::normalize_index(
          indices[i], layout.axis, layout.extent, ErrorCode::kInvalidArgument);
      copy_bytes(to, from + index * layout.slice_bytes, layout.slice_bytes);
    }
  }
}

}  // namespace

Plan plan_gather(const Call& call, const Isa&) {
  const TensorType& x = call.inputs[0].type;
  const TensorType& indices = call.inputs[1].type;
  if (!has_elements(call.outputs[0])) return nothing_plan();
  buffer_bytes(x);
  buffer_bytes(call.outputs[0]);
  const std::int64_t rank = x.shape.rank();
  const std::int64_t axis = ops::normalize_axis(std::get<GatherParams>(call.params).axis, rank);
  const GatherLayout layout{x.shape.elements(0, axis), axis, x.shape[axis],
                            indices.shape.elements(),
                            x.shape.elements(axis + 1, rank) * dtype_size(x.dtype)};
  const bool narrow = indices.dtype == DType::kInt32;
  return {narrow ? "gather_bytes_i32" : "gather_bytes_i64", [=](const StepArgs& args) {
            const auto* from = static_cast<const std::byte*>(args.inputs[0]);
            auto* to = static_cast<std::byte*>(args.outputs[0]);
            if (narrow) {
              run_gather(layout, from, static_cast<const std::int32_t*>(args.inputs[1]), to);
            } else {
              run_gather(layout, from, static_cast<const std::int64_t*>(args.inputs[1]), to);
            }
          }};
}

namespace {

/// Pad as rows along the last padded axis; the axes after it belong to the elements of a row, which
/// are therefore called units.
struct PadLayout {
  PadParams::Mode mode;
  std::int64_t element_bytes;
  std::int64_t unit_bytes;
  std::int64_t rows = 1;
  std::int64_t rank;  ///< Outer axes and the row's; 0 when nothing is padded or cropped.
  std::array<ops::pad::AxisPad, Shape::kMaxRank> axes{};
  std::array<std::int64_t, Shape::kMaxRank> from_strides{};  ///< Bytes.
};

PadLayout pad_layout(const Call& call) {
  const Shape& x = call.inputs[0].type.shape;
  const auto axes = ops::pad::resolve(InferArgs{call.kind, call.params, call.inputs});
  const auto untouched = [&](std::int64_t axis) {
    const auto& pad = axes[static_cast<std::size_t>(axis)];
    return pad.before == 0 && pad.after == 0 && pad.kept == x[axis];
  };
  PadLayout layout{};
  layout.mode = std::get<PadParams>(call.params).mode;
  layout.element_bytes = dtype_size(call.inputs[0].type.dtype);
  layout.unit_bytes = layout.element_bytes;
  layout.rank = x.rank();
  while (layout.rank > 0 && untouched(layout.rank - 1)) layout.unit_bytes *= x[--layout.rank];
  std::int64_t stride = layout.unit_bytes;
  for (std::int64_t axis = layout.rank - 1; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    layout.axes[i] = axes[i];
    layout.from_strides[i] = stride;
    stride *= x[axis];
    if (axis < layout.rank - 1) layout.rows *= axes[i].extent();
  }
  return layout;
}

/// Units [begin, end) of a row that lie outside of what the input gives.
void fill_border(const PadLayout& layout, const std::byte* from_row, const std::byte* value,
                 std::byte* to_row, std::int64_t begin, std::int64_t end) {
  const ops::pad::AxisPad& row = layout.axes[static_cast<std::size_t>(layout.rank - 1)];
  const std::int64_t unit = layout.unit_bytes;
  if (layout.mode == PadParams::Mode::kConstant) {
    fill_elements(to_row + begin * unit, value, layout.element_bytes,
                  (end - begin) * unit / layout.element_bytes);
    return;
  }
  for (std::int64_t i = begin; i < end; ++i) {
    copy_bytes(to_row + i * unit, from_row + ops::pad::source_index(layout.mode, row, i) * unit,
               unit);
  }
}

void run_pad(const PadLayout& layout, const std::byte* from, const std::byte* value,
             std::byte* to) {
  const ops::pad::AxisPad& row = layout.axes[static_cast<std::size_t>(layout.rank - 1)];
  const std::int64_t unit = layout.unit_bytes;
  const std::int64_t row_bytes = row.extent() * unit;
  std::array<std::int64_t, Shape::kMaxRank> index{};
  for (std::int64_t r = 0; r < layout.rows; ++r, to += row_bytes) {
    bool inside = true;
    std::int64_t offset = 0;
    for (std::int64_t axis = 0; axis < layout.rank - 1; ++axis) {
      const auto i = static_cast<std::size_t>(axis);
      const std::int64_t source = ops::pad::source_index(layout.mode, layout.axes[i], index[i]);
      inside = inside && source >= 0;
      offset += source * layout.from_strides[i];
    }
    if (inside && row.kept > 0) {
      const std::byte* from_row = from + offset;
      fill_border(layout, from_row, value, to, 0, row.before);
      copy_bytes(to + row.before * unit, from_row + row.first * unit, row.kept * unit);
      fill_border(layout, from_row, value, to, row.before + row.kept, row.extent());
    } else {
      fill_elements(to, value, layout.element_bytes, row_bytes / layout.element_bytes);
    }
    for (std::int64_t axis = layout.rank - 2; axis >= 0; --axis) {
      const auto i = static_cast<std::size_t>(axis);
      if (++index[i] < layout.axes[i].extent()) break;
      index[i] = 0;
    }
  }
}

const char* mode_name(PadParams::Mode mode) {
  switch (mode) {
    case PadParams::Mode::kConstant:
      return "constant";
    case PadParams::Mode::kReflect:
      return "reflect";
    case PadParams::Mode::kEdge:
      return "edge";
    case PadParams::Mode::kWrap:
      return "wrap";
  }
  PRS_CHECK(false);
}

}  // namespace

Plan plan_pad(const Call& call, const Isa&) {
  const auto& params = std::get<PadParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  if (!has_elements(call.outputs[0])) return nothing_plan();
  buffer_bytes(x);
  buffer_bytes(call.outputs[0]);
  const PadLayout layout = pad_layout(call);
  if (layout.rank == 0) return copy_plan(x);
  const std::array<std::byte, 8> zero = ops::pad::default_value(params, x.dtype);
  const bool given = call.has(2);
  return {"pad_b" + std::to_string(8 * layout.element_bytes) + "_" + mode_name(params.mode),
          [=](const StepArgs& args) {
            run_pad(layout, static_cast<const std::byte*>(args.inputs[0]),
                    given ? static_cast<const std::byte*>(args.inputs[2]) : zero.data(),
                    static_cast<std::byte*>(args.outputs[0]));
          }};
}

Plan plan_cast(const Call& call, const Isa&) {
  const TensorType& x = call.inputs[0].type;
  const TensorType& y = call.outputs[0];
  if (x.dtype == y.dtype) return copy_plan(y);
  using Convert = void (*)(const void*, void*, std::int64_t);
  const Convert convert = visit_storage(x.dtype, [&](auto from) {
    return visit_storage(y.dtype, [&](auto to) -> Convert {
      return &convert_elements<decltype(from), decltype(to)>;
    });
  });
  const std::int64_t count = buffer_bytes(y) / dtype_size(y.dtype);
  return {fmt::format("cast_{}_{}", dtype_name(x.dtype), dtype_name(y.dtype)),
          [=](const StepArgs& args) { convert(args.inputs[0], args.outputs[0], count); }};
}

}  // namespace prs::cpu
