// What the families' plans share.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "backend/plan.hpp"
#include "check.hpp"

namespace prs::cuda {

std::shared_ptr<const void> Constants::upload(const void* data, std::int64_t bytes) const {
  auto buffer = std::make_shared<Buffer>(device_, bytes);
  const Buffer staging(pinned_, bytes);
  if (bytes > 0) {
    std::memcpy(staging.data(), data, static_cast<std::size_t>(bytes));
    const std::unique_ptr<Stream> stream = runtime_->new_stream();
    runtime_->copy_to_device(*stream, buffer->data(), staging.data(), bytes);
    runtime_->synchronize(*stream);
  }
  const void* address = buffer->data();
  return {std::move(buffer), address};
}

std::shared_ptr<const void> Constants::share(
    std::vector<Tensor> constants, const std::string& layout,
    const std::function<std::shared_ptr<const void>()>& make) const {
  std::string key = layout;
  for (const Tensor& constant : constants) {
    key += fmt::format(" {}", fmt::ptr(constant.data()));
  }
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const Packed> entry = packed_[key].lock();
  if (entry == nullptr) {
    entry = std::make_shared<const Packed>(Packed{std::move(constants), make()});
    packed_[key] = entry;
    std::erase_if(packed_, [](const auto& item) { return item.second.expired(); });
  }
  return {entry, entry->memory.get()};
}

Dim3 grid_for(std::int64_t count) {
  // Enough blocks to fill any GPU many times over; beyond that, threads take several elements.
  constexpr std::int64_t kMost = 1 << 16;
  const std::int64_t blocks = (count + kThreads - 1) / kThreads;
  return {static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, kMost)), 1, 1};
}

void require_f32(const Call& call, std::span<const std::size_t> inputs) {
  for (const std::size_t i : inputs) {
    if (!call.has(i) || call.inputs[i].type.dtype == DType::kFloat32) continue;
    fail_unsupported("element type {} on the GPU; expected f32",
                     dtype_name(call.inputs[i].type.dtype));
  }
}

Epilogue epilogue_of(const Activation& activation) {
  static_assert(static_cast<int>(Function::kTanh) == static_cast<int>(Activation::Kind::kTanh));
  return {static_cast<Function>(activation.kind), activation.alpha, activation.beta};
}

KernelId by_size(KernelId b8, std::int64_t bytes) {
  int log = 0;
  while ((std::int64_t{1} << log) < bytes) ++log;
  return static_cast<KernelId>(static_cast<int>(b8) + log);
}

Plan plan_copy(const TensorType& type) {
  CopyArgs args{};
  args.count = buffer_bytes(type.dtype, type.shape);
  push_loop(args.loops, args.count, {1, 1});
  return plan_kernel(KernelId::kCopyB8, grid_for(args.count), args, args.count,
                     [](CopyArgs& complete, const StepArgs& step) {
                       complete.from = step.inputs[0];
                       complete.to = step.outputs[0];
                     });
}

}  // namespace prs::cuda
