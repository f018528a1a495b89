// Operators whose results are known without arithmetic: the same bytes under another shape,
// constants, shapes. The engine aliases buffers instead of running these where it can.
#include <array>

#include "check.hpp"
#include "cpu/bytes.hpp"
#include "cpu/kernel.hpp"
#include "ops/cast.hpp"

namespace prs::cpu {

Plan plan_reshape(const Call& call, const Isa&) { return copy_plan(call.outputs[0]); }
Plan plan_flatten(const Call& call, const Isa&) { return copy_plan(call.outputs[0]); }
Plan plan_squeeze(const Call& call, const Isa&) { return copy_plan(call.outputs[0]); }
Plan plan_unsqueeze(const Call& call, const Isa&) { return copy_plan(call.outputs[0]); }

Plan plan_identity(const Call& call, const Isa&) {
  if (!call.wants(1)) return copy_plan(call.outputs[0]);
  const TensorType& mask = call.outputs[1];
  std::array<std::byte, 8> one{};
  const float value = 1.0F;
  ops::cast::convert({DType::kFloat32, Shape{}, &value}, {mask.dtype, Shape{}, one.data()});
  const std::int64_t x_bytes = call.wants(0) ? buffer_bytes(call.outputs[0]) : 0;
  const std::int64_t mask_size = dtype_size(mask.dtype);
  const std::int64_t mask_count = buffer_bytes(mask) / mask_size;
  return {"copy_bytes_and_mask", [=](const StepArgs& args) {
            copy_bytes(static_cast<std::byte*>(args.outputs[0]),
                       static_cast<const std::byte*>(args.inputs[0]), x_bytes);
            fill_elements(static_cast<std::byte*>(args.outputs[1]), one.data(), mask_size,
                          mask_count);
          }};
}

Plan plan_constant(const Call& call, const Isa&) {
  const Tensor value = std::get<ConstantParams>(call.params).value;
  return {"constant_copy_bytes", [value](const StepArgs& args) {
            copy_bytes(static_cast<std::byte*>(args.outputs[0]), value.as<std::byte>(),
                       value.bytes());
          }};
}

Plan plan_constant_of_shape(const Call& call, const Isa&) {
  const Tensor value = std::get<ConstantOfShapeParams>(call.params).value;
  const std::int64_t size = dtype_size(value.dtype());
  const std::int64_t count = buffer_bytes(call.outputs[0]) / size;
  return {"fill_b" + std::to_string(8 * size), [=](const StepArgs& args) {
            fill_elements(static_cast<std::byte*>(args.outputs[0]), value.as<std::byte>(), size,
                          count);
          }};
}

Plan plan_shape(const Call& call, const Isa&) {
  // The extents are known here; the reference computes them from a view without data.
  const TensorView x{call.inputs[0].type.dtype, call.inputs[0].type.shape, nullptr};
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  const MutableTensorView y{DType::kInt64, call.outputs[0].shape, extents.data()};
  op_def(call.kind).reference({call.kind, call.params, {&x, 1}, {&y, 1}});
  const std::int64_t size_bytes = buffer_bytes(call.outputs[0]);
  return {"shape_i64", [=](const StepArgs& args) {
            copy_bytes(static_cast<std::byte*>(args.outputs[0]),
                       reinterpret_cast<const std::byte*>(extents.data()), size_bytes);
          }};
}

}  // namespace prs::cpu
