#include "backend/executable.hpp"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "backend/measure.hpp"
#include "check.hpp"

namespace prs::cuda {

template <typename Enqueue>
std::unique_ptr<Recording> CudaExecutable::record(CudaContext& context,
                                                  const Enqueue& enqueue_all) const {
  Runtime& runtime = *device_->runtime;
  runtime.begin_recording(*context.stream);
  try {
    enqueue_all();
  } catch (...) {
    // The stream must leave the recording, which is of no use.
    try {
      runtime.end_recording(*context.stream);
    } catch (const Error&) {
    }
    throw;
  }
  return runtime.end_recording(*context.stream);
}

std::unique_ptr<ExecutionContext> CudaExecutable::new_context() const {
  std::unique_ptr<CudaContext> context;
  try {
    context = std::make_unique<CudaContext>(device_, arena_bytes_, staging_bytes_);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    device_->memory->release();
    device_->pinned->release();
    throw Error(error.code(),
                fmt::format("{}; a batch of this size takes {} bytes on the device and {} of "
                            "page-locked memory; try a smaller batch",
                            error.message(), arena_bytes_, staging_bytes_));
  }
  clear_zeros(*context);
  for (const Place& place : input_places_) context->inputs.push_back(address(place, *context));
  for (const Place& place : output_places_) {
    context->outputs.push_back(const_cast<void*>(address(place, *context)));
  }
  return context;
}

void CudaExecutable::run(ExecutionContext& base, std::span<const void* const> inputs,
                         std::span<void* const> outputs) const {
  auto& context = static_cast<CudaContext&>(base);
  std::byte* staging = context.staging.data();
  stage(context, inputs);
  start(context);
  device_->runtime->synchronize(*context.stream);
  if (may_complain_) fail_if_told(context);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].size_bytes == 0) continue;
    std::memcpy(outputs[i], staging + outputs_[i].staging,
                static_cast<std::size_t>(outputs_[i].size_bytes));
  }
}

RunProfile CudaExecutable::profile(ExecutionContext& base, std::span<const void* const> inputs,
                                   double seconds) const {
  auto& context = static_cast<CudaContext&>(base);
  Runtime& runtime = *device_->runtime;
  DeviceTimer timer(runtime, *context.stream);
  stage(context, inputs);
  enqueue_inputs(context);
  enqueue_steps(context, 0, steps_.size());
  runtime.synchronize(*context.stream);
  const auto time_steps = [&](std::size_t first, std::size_t end, int times) {
    const std::unique_ptr<Recording> recording = record(context, [&] {
      for (int i = 0; i < times; ++i) enqueue_steps(context, first, end);
    });
    const auto time = timer.time(seconds, [&] { runtime.start(*context.stream, *recording); });
    return time ? std::optional(time->median_us / times) : std::nullopt;
  };
  RunProfile profile;
  profile.resident_us = time_steps(0, steps_.size(), 1);
  // A device that keeps no time has done what there is to see by now.
  constexpr int kTimes = 16;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    profile.steps.push_back(costs_[i]);
    profile.steps.back().step = infos_[i];
    if (profile.resident_us) profile.steps.back().time_us = time_steps(i, i + 1, kTimes);
  }
  clear_zeros(context);  // Of a complaint that nobody asked for.
  return profile;
}

void CudaExecutable::stage(CudaContext& context, std::span<const void* const> inputs) const {
  std::byte* staging = context.staging.data();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].size_bytes == 0) continue;
    std::memcpy(staging + inputs_[i].staging, inputs[i],
                static_cast<std::size_t>(inputs_[i].size_bytes));
  }
}

void CudaExecutable::clear_zeros(CudaContext& context) const {
  if (zero_bytes_ == 0) return;
  std::memset(context.staging.data(), 0, static_cast<std::size_t>(zero_bytes_));
  device_->runtime->copy_to_device(*context.stream, context.arena.data() + complaint_.offset,
                                   context.staging.data(), zero_bytes_);
  device_->runtime->synchronize(*context.stream);
}

void CudaExecutable::fail_if_told(CudaContext& context) const {
  const Complaint told = *reinterpret_cast<const Complaint*>(context.staging.data());
  if (told.step == 0) return;
  clear_zeros(context);
  const Step& step = steps_[told.step - 1];
  fail_argument("{}: {}", step.node, step.plan.complaint(told.value));
}

Complaint* CudaExecutable::complaint_of(CudaContext& context) const {
  return reinterpret_cast<Complaint*>(context.arena.data() + complaint_.offset);
}

void CudaExecutable::enqueue_inputs(CudaContext& context) const {
  Runtime& runtime = *device_->runtime;
  const std::byte* staging = context.staging.data();
  for (const Port& port : inputs_) {
    if (port.size_bytes == 0) continue;
    runtime.copy_to_device(*context.stream, context.arena.data() + port.place.offset,
                           staging + port.staging, port.size_bytes);
  }
}

void CudaExecutable::enqueue_steps(CudaContext& context, std::size_t first, std::size_t end) const {
  const Launcher launch(*device_->runtime, *context.stream);
  std::byte* arena = context.arena.data();
  for (std::size_t i = first; i < end; ++i) {
    const Step& step = steps_[i];
    step.plan.run({context.inputs.data() + step.first_input,
                   context.outputs.data() + step.first_output, complaint_of(context),
                   reinterpret_cast<unsigned*>(arena + tickets_.offset), arena + scratch_.offset,
                   launch});
  }
}

void CudaExecutable::enqueue(CudaContext& context) const {
  Runtime& runtime = *device_->runtime;
  std::byte* staging = context.staging.data();
  enqueue_inputs(context);
  enqueue_steps(context, 0, steps_.size());
  for (const Port& port : outputs_) {
    if (port.size_bytes == 0) continue;
    runtime.copy_to_host(*context.stream, staging + port.staging, address(port.place, context),
                         port.size_bytes);
  }
  if (may_complain_) {
    runtime.copy_to_host(*context.stream, staging, complaint_of(context), sizeof(Complaint));
  }
}

void CudaExecutable::start(CudaContext& context) const {
  Runtime& runtime = *device_->runtime;
  if (context.recording == nullptr && context.has_run) {
    context.recording = record(context, [&] { enqueue(context); });
  }
  if (context.recording != nullptr) {
    runtime.start(*context.stream, *context.recording);
  } else {
    enqueue(context);
  }
  context.has_run = true;
}

const void* CudaExecutable::address(const Place& place, const CudaContext& context) {
  return place.offset < 0 ? place.constant : context.arena.data() + place.offset;
}

}  // namespace prs::cuda
