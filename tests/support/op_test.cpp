#include "support/op_test.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/thread_pool.hpp"
#include "ops/support.hpp"
#include "support/expect_error.hpp"

namespace prs::test {
namespace {

std::vector<InputInfo> input_infos(const OpCase& test) {
  std::vector<InputInfo> infos;
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    const Tensor& input = test.inputs[i];
    InputInfo info{{input.dtype(), input.shape()}, nullptr};
    const bool known = ((op_def(test.kind).value_inputs >> i) & 1u) != 0 ||
                       std::find(test.constant_inputs.begin(), test.constant_inputs.end(), i) !=
                           test.constant_inputs.end();
    if (known && !input.empty()) info.constant = &input;
    infos.push_back(info);
  }
  return infos;
}

std::vector<Tensor> allocate(const std::vector<TensorType>& types) {
  std::vector<Tensor> tensors;
  for (const TensorType& type : types) {
    Tensor tensor(type.dtype, type.shape);
    // 0xFF bytes are NaN in every float format: an element never written shows.
    std::memset(tensor.data(), 0xFF, static_cast<std::size_t>(tensor.bytes()));
    tensors.push_back(tensor);
  }
  return tensors;
}

cpu::Plan make_plan(const OpCase& test, const std::vector<InputInfo>& inputs,
                    const std::vector<TensorType>& outputs, const cpu::Isa& isa) {
  const Sharing sharing{.threads = 3, .least_products = 0};
  const cpu::Call call{test.kind, test.params, inputs, outputs, test.precision, nullptr, sharing};
  switch (test.kind) {
#define PRS_OP(kind, family, ...) \
  case OpKind::k##kind:           \
    return cpu::plan_##family(call, isa);
#include "ops/ops.inc"
#undef PRS_OP
  }
  throw Error(ErrorCode::kInternal, "no such operator");
}

double element(const Tensor& tensor, std::int64_t i) {
  if (tensor.dtype() == DType::kFloat16) return half_to_float(tensor.as<std::uint16_t>()[i]);
  if (tensor.dtype() == DType::kBFloat16) return bfloat16_to_float(tensor.as<std::uint16_t>()[i]);
  return ops::visit_dtype(tensor.dtype(), [&](auto zero) {
    return static_cast<double>(tensor.as<decltype(zero)>()[i]);
  });
}

bool close(double got, double want, Tolerance tolerance) {
  if (std::isnan(got) || std::isnan(want)) return std::isnan(got) && std::isnan(want);
  if (got == want) return true;
  if (std::isinf(got) || std::isinf(want)) return false;
  return std::abs(got - want) <= tolerance.atol + tolerance.rtol * std::abs(want);
}

}  // namespace

std::vector<TensorType> infer_types(const OpCase& test) {
  std::vector<TensorType> types(test.output_count);
  const std::vector<InputInfo> inputs = input_infos(test);
  op_def(test.kind).infer({test.kind, test.params, inputs}, types);
  return types;
}

void expect_refused(const OpCase& test, ErrorCode code, const std::string& text) {
  expect_error(code, text, [&] { infer_types(test); });
}

Params parse(OpKind kind, std::int64_t opset, const Attributes& attributes) {
  return op_def(kind).parse({kind, attributes, opset});
}

std::vector<Tensor> run_reference(const OpCase& test) {
  std::vector<Tensor> outputs = allocate(infer_types(test));
  std::vector<TensorView> inputs;
  for (const Tensor& input : test.inputs) inputs.push_back(input.view());
  std::vector<MutableTensorView> views;
  for (Tensor& output : outputs) views.push_back(output.mutable_view());
  op_def(test.kind).reference({test.kind, test.params, inputs, views});
  return outputs;
}

std::vector<Tensor> run_cpu(const OpCase& test, std::string_view isa_name) {
  const cpu::Isa* isa = nullptr;
  for (const cpu::Isa* candidate : cpu::supported_isas()) {
    if (candidate->name == isa_name) isa = candidate;
  }
  if (isa == nullptr) throw Error(ErrorCode::kInternal, "no such instruction-set level");
  const std::vector<TensorType> types = infer_types(test);
  const std::vector<InputInfo> infos = input_infos(test);
  const cpu::Plan plan = make_plan(test, infos, types, *isa);
  EXPECT_FALSE(plan.kernel.empty());
  std::vector<const void*> inputs;
  for (const Tensor& input : test.inputs) inputs.push_back(input.data());
  std::vector<Tensor> first;
  static ThreadPool crew(3, std::numeric_limits<int>::max());  // However late they come.
  for (int round = 0; round < 2; ++round) {
    std::vector<Tensor> outputs = allocate(types);
    Tensor scratch(DType::kUint8, Shape{plan.scratch_bytes});
    std::memset(scratch.data(), 0xFF, static_cast<std::size_t>(plan.scratch_bytes));
    std::vector<void*> pointers;
    for (Tensor& output : outputs) pointers.push_back(output.data());
    plan.run(
        {inputs.data(), pointers.data(), scratch.as<std::byte>(), round == 0 ? nullptr : &crew});
    if (round == 0) {
      first = outputs;
      continue;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_EQ(0, std::memcmp(outputs[i].data(), first[i].data(),
                               static_cast<std::size_t>(outputs[i].bytes())))
          << plan.kernel << ": two runs differ, one shared by three threads";
    }
  }
  return first;
}

void expect_in_place_parity(const OpCase& test, Tolerance tolerance,
                            cpu::Plan (*make_plan)(const cpu::Call&, const cpu::Isa&)) {
  const Tensor want = run_one(test);
  const std::vector<TensorType> types = infer_types(test);
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    std::vector<InputInfo> infos;
    std::vector<const void*> pointers;
    Tensor buffer = Tensor::copy_of(test.inputs[0].dtype(), test.inputs[0].shape(),
                                    test.inputs[0].data(), test.inputs[0].bytes());
    for (std::size_t i = 0; i < test.inputs.size(); ++i) {
      infos.push_back({{test.inputs[i].dtype(), test.inputs[i].shape()}, nullptr});
      // The same tensor given twice is overwritten twice.
      const bool shared = test.inputs[i].data() == test.inputs[0].data();
      pointers.push_back(shared ? buffer.data() : test.inputs[i].data());
    }
    const cpu::Plan plan = make_plan({test.kind, test.params, infos, types}, *isa);
    ASSERT_TRUE(plan.in_place) << plan.kernel;
    Tensor scratch(DType::kUint8, Shape{plan.scratch_bytes});
    void* outputs[] = {buffer.data()};
    plan.run({pointers.data(), outputs, scratch.as<std::byte>()});
    expect_close(buffer, want, tolerance, plan.kernel + " " + std::string(isa->name));
  }
}

void expect_close(const Tensor& got, const Tensor& want, Tolerance tolerance,
                  const std::string& label) {
  ASSERT_EQ(got.dtype(), want.dtype()) << label;
  ASSERT_EQ(got.shape(), want.shape())
      << label << ": " << got.shape().to_string() << " vs " << want.shape().to_string();
  std::int64_t wrong = 0;
  std::int64_t worst = -1;
  double worst_error = -1.0;
  for (std::int64_t i = 0; i < got.elements(); ++i) {
    const double x = element(got, i);
    const double y = element(want, i);
    if (close(x, y, tolerance)) continue;
    ++wrong;
    const double error = std::isfinite(x - y) ? std::abs(x - y) : HUGE_VAL;
    if (error > worst_error) {
      worst_error = error;
      worst = i;
    }
  }
  EXPECT_EQ(wrong, 0) << label << ": " << wrong << " of " << got.elements() << " elements of "
                      << dtype_name(got.dtype()) << got.shape().to_string() << " differ; worst at "
                      << worst << ": got " << (worst < 0 ? 0.0 : element(got, worst)) << ", want "
                      << (worst < 0 ? 0.0 : element(want, worst));
}

void expect_parity(const OpCase& test, Tolerance tolerance) {
  const std::vector<Tensor> want = run_reference(test);
  for (const cpu::Isa* isa : cpu::supported_isas()) {
    const std::vector<Tensor> got = run_cpu(test, isa->name);
    ASSERT_EQ(got.size(), want.size());
    std::string label = std::string(op_def(test.kind).name) + " [" + std::string(isa->name) + "]";
    for (const Tensor& input : test.inputs) label += " " + input.shape().to_string();
    for (std::size_t i = 0; i < got.size(); ++i) {
      expect_close(got[i], want[i], tolerance, label + " output " + std::to_string(i));
    }
  }
}

Tensor random_tensor(DType dtype, const Shape& shape, std::mt19937_64& random, double low,
                     double high) {
  Tensor tensor(dtype, shape);
  std::uniform_real_distribution<double> uniform(low, high);
  ops::visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* values = tensor.as<T>();
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
      if constexpr (std::is_same_v<T, bool>) {
        values[i] = (random() & 1u) != 0;
      } else if constexpr (std::is_integral_v<T>) {
        values[i] = static_cast<T>(std::floor(uniform(random)));
      } else {
        values[i] = static_cast<T>(uniform(random));
      }
    }
  });
  return tensor;
}

template <typename T>
Tensor tensor(const Shape& shape, const std::vector<T>& values) {
  constexpr DType dtype = std::is_same_v<T, float>          ? DType::kFloat32
                          : std::is_same_v<T, double>       ? DType::kFloat64
                          : std::is_same_v<T, std::int64_t> ? DType::kInt64
                          : std::is_same_v<T, std::int32_t> ? DType::kInt32
                          : std::is_same_v<T, std::int8_t>  ? DType::kInt8
                                                            : DType::kUint8;
  return Tensor::from<T>(dtype, shape, values);
}

template Tensor tensor<float>(const Shape&, const std::vector<float>&);
template Tensor tensor<double>(const Shape&, const std::vector<double>&);
template Tensor tensor<std::int64_t>(const Shape&, const std::vector<std::int64_t>&);
template Tensor tensor<std::int32_t>(const Shape&, const std::vector<std::int32_t>&);
template Tensor tensor<std::int8_t>(const Shape&, const std::vector<std::int8_t>&);
template Tensor tensor<std::uint8_t>(const Shape&, const std::vector<std::uint8_t>&);

}  // namespace prs::test
