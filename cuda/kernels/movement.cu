// Kernels that move elements without computing, for every element type by its size: strided copies
// (Transpose, Slice, Concat and plain copies), Gather, Pad and fills. One thread an element.
#include "kernels/common.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

template <typename T>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) copy(CopyArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    std::int64_t at[2];
    offsets_at(args.loops, i, at);
    static_cast<T*>(args.to)[at[1]] = static_cast<const T*>(args.from)[at[0]];
  }
}

template <typename T>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) fill(FillArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    static_cast<T*>(args.to)[i] = static_cast<T>(args.bits);
  }
}

/// An index out of range reads nothing: the run complains and is thrown away.
template <typename T>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gather(GatherArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t number = i / args.slice % args.number;
    const std::int64_t outer = i / args.slice / args.number;
    const std::int64_t index = args.narrow ? static_cast<const std::int32_t*>(args.indices)[number]
                                           : static_cast<const std::int64_t*>(args.indices)[number];
    if (index < -args.extent || index >= args.extent) {
      if (atomic_cas(&args.complaint->step, 0u, args.step) == 0) args.complaint->value = index;
      continue;
    }
    const std::int64_t from = outer * args.extent + (index < 0 ? index + args.extent : index);
    static_cast<T*>(args.y)[i] = static_cast<const T*>(args.x)[from * args.slice + i % args.slice];
  }
}

/// As prs::ops::pad::source_index.
PRS_DEVICE std::int64_t pad_source(PadMode mode, std::int64_t first, std::int64_t kept,
                                   std::int64_t position) {
  if (position >= 0 && position < kept) return first + position;
  switch (mode) {
    case PadMode::kConstant:
      return -1;
    case PadMode::kEdge:
      return first + (position < 0 ? 0 : kept - 1);
    case PadMode::kWrap:
      return first + (position % kept + kept) % kept;
    case PadMode::kReflect: {
      if (kept == 1) return first;
      const std::int64_t period = 2 * (kept - 1);
      const std::int64_t phase = (position % period + period) % period;
      return first + (phase < kept ? phase : period - phase);
    }
  }
  return -1;
}

template <typename T>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) pad(PadArgs args) {
  const T value =
      args.value != nullptr ? *static_cast<const T*>(args.value) : static_cast<T>(args.bits);
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    std::int64_t rest = i;
    std::int64_t from = 0;
    bool inside = true;
    for (int axis = args.rank - 1; axis >= 0; --axis) {
      const std::int64_t position = rest % args.extents[axis] - args.before[axis];
      rest /= args.extents[axis];
      const std::int64_t source =
          pad_source(args.mode, args.first[axis], args.kept[axis], position);
      inside = inside && source >= 0;
      from += source * args.strides[axis];
    }
    static_cast<T*>(args.y)[i] = inside ? static_cast<const T*>(args.x)[from] : value;
  }
}

}  // namespace

void add_movement_kernels(KernelTable& table) {
  add(table, KernelId::kCopyB8, copy<std::uint8_t>);
  add(table, KernelId::kCopyB16, copy<std::uint16_t>);
  add(table, KernelId::kCopyB32, copy<std::uint32_t>);
  add(table, KernelId::kCopyB64, copy<std::uint64_t>);
  add(table, KernelId::kFillB8, fill<std::uint8_t>);
  add(table, KernelId::kFillB16, fill<std::uint16_t>);
  add(table, KernelId::kFillB32, fill<std::uint32_t>);
  add(table, KernelId::kFillB64, fill<std::uint64_t>);
  add(table, KernelId::kGatherB8, gather<std::uint8_t>);
  add(table, KernelId::kGatherB16, gather<std::uint16_t>);
  add(table, KernelId::kGatherB32, gather<std::uint32_t>);
  add(table, KernelId::kGatherB64, gather<std::uint64_t>);
  add(table, KernelId::kPadB8, pad<std::uint8_t>);
  add(table, KernelId::kPadB16, pad<std::uint16_t>);
  add(table, KernelId::kPadB32, pad<std::uint32_t>);
  add(table, KernelId::kPadB64, pad<std::uint64_t>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
