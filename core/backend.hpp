// The one boundary between the engine and what computes: a backend compiles a graph with static
// shapes into an executable.
//
// Backends and executables are immutable and thread-safe; a context belongs to one run at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "graph/graph.hpp"
#include "prs/model.hpp"
#include "prs/precision.hpp"
#include "prs/profile.hpp"

namespace prs {

class ConstantPool;
class ThreadPool;

/// The memory of one run in progress (arena, scratch, pointer tables). Made once, used again.
class ExecutionContext {
 public:
  virtual ~ExecutionContext();

  /// Threads of the CPU that the next run may share its steps among; null: none.
  ThreadPool* crew = nullptr;
};

class Executable {
 public:
  virtual ~Executable();

  virtual std::unique_ptr<ExecutionContext> new_context() const = 0;

  /// Runs once. inputs and outputs hold one pointer a graph port, in order, to memory of the
  /// compiled dtype and shape; no alignment is assumed. Outputs must not overlap inputs or each
  /// other. Allocates nothing. Throws what kernels throw for contents they refuse (an index out of
  /// range).
  virtual void run(ExecutionContext& context, std::span<const void* const> inputs,
                   std::span<void* const> outputs) const = 0;

  /// Measures the steps of a run on these inputs, each for about `seconds`. The batch is left for
  /// the caller to fill in. The context serves no run at the same time. Throws unsupported where
  /// nothing can be measured by step.
  virtual RunProfile profile(ExecutionContext& context, std::span<const void* const> inputs,
                             double seconds) const;

  virtual std::int64_t arena_bytes() const = 0;

  /// The images that are computed together where that is decided by the hardware: a part of such a
  /// block takes as long as a whole one. 1: each image takes its own time.
  virtual std::int64_t block_images() const { return 1; }

  virtual std::span<const StepInfo> steps() const = 0;
  /// What the backend chose, and why, in words; for `inspect`.
  virtual std::span<const std::string> notes() const { return {}; }
};

/// Steps that several threads of the CPU compute together.
struct Sharing {
  int threads = 1;  ///< Of the largest crew that will share a run.
  /// Products of vectors, which take one thread more than ten microseconds: handing over takes
  /// about one, so that two threads are never slower. Steps of fewer are not shared.
  std::int64_t least_products = 100000;
};

/// How a graph is to be compiled.
struct CompileOptions {
  ModelLimits limits;
  Precision precision = Precision::kFp32;
  Sharing sharing = {};
  std::shared_ptr<ConstantPool> constants{};  ///< Where packed weights go; null: own memory.
};

/// Intermediates of one piece should stay in a core's second-level cache.
inline constexpr std::int64_t kPieceBytes = std::int64_t{4} << 20;

/// How many images a piece of a batch should have.
struct PieceSize {
  std::int64_t most;
  std::int64_t least;  ///< Batches are not cut into smaller ones to occupy more lanes.
};

class Backend {
 public:
  virtual ~Backend();

  virtual std::string name() const = 0;
  /// Why it could not use a device that is there and made do without; "" when it could.
  virtual std::string problem() const { return {}; }

  /// The precisions that compile() takes; kFp32 is always among them.
  virtual std::span<const Precision> precisions() const = 0;
  /// What the device lacks for more of them, in words for a message; empty when nothing.
  virtual std::string precisions_need() const { return {}; }

  /// Pieces of a batch that are worth computing at once when `threads` cores may share them.
  virtual int lanes(int threads) const;

  /// Images that a run should have at most a piece when its caller has no wish: enough to fill the
  /// device, if memory allows (piece_size()).
  virtual std::int64_t preferred_images() const { return 256; }

  /// For a graph with so many bytes of intermediates, at least 1, and of input an image.
  virtual PieceSize piece_size(std::int64_t arena_bytes, std::int64_t input_bytes) const;

  /// measure_device().
  virtual DevicePeaks measure(double seconds) const;

  /// Compiles a graph whose values all have a dtype and a shape. Throws unsupported (naming node,
  /// operator and reason, or the precisions there are) and out of memory (naming the limit).
  virtual std::unique_ptr<Executable> compile(const Graph& graph,
                                              const CompileOptions& options) const = 0;
};

/// Throws unsupported, naming what there is, unless the backend computes in this precision.
void require_precision(const Backend& backend, Precision precision);

/// The backend for a device: "cpu", "cuda", "cuda:N", or "auto" for the best there is. Defined
/// where the library is put together, not in core, so that core knows no other room. Throws invalid
/// argument for another name, unavailable with the reason.
std::unique_ptr<Backend> make_backend(std::string_view device);

namespace cpu {
struct Isa;
std::unique_ptr<Backend> make_backend();
/// With the kernels of one instruction-set level, which must be supported.
std::unique_ptr<Backend> make_backend(const Isa& isa);
}  // namespace cpu

}  // namespace prs
