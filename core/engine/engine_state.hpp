// What an Engine consists of; for the engine's own sources.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/cut.hpp"
#include "engine/model_state.hpp"
#include "engine/thread_pool.hpp"
#include "onnx/quantize_model.hpp"
#include "prs/engine.hpp"

namespace prs {

/// Executables are compiled for powers of two up to this exponent.
inline constexpr std::size_t kSizes = 17;

/// The graph for one kind of input (u8 pixels or f32 values) and its executables by batch size.
struct Variant {
  DType dtype = DType::kUndefined;
  Graph graph;
  std::vector<std::string> notes;
  /// Index: log2 of the batch; the first one for models whose batch cannot be opened. Null until
  /// needed; then `owned` keeps it.
  mutable std::array<std::atomic<CompiledGraph*>, kSizes> by_size{};
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<CompiledGraph>> owned;  ///< Guarded by mutex.
};

struct Engine::State {
  std::shared_ptr<const Model::State> model;
  std::unique_ptr<Backend> backend;
  std::shared_ptr<ConstantPool> constants;  ///< Null: the weights are this process's own.
  Precision precision = Precision::kFp32;
  ImageInput input;
  std::vector<std::string> labels;
  std::size_t output = 0;
  std::int64_t classes = 0;
  std::int64_t fixed_batch = 0;   ///< 0: open.
  std::int64_t traced_batch = 0;  ///< The only batch that the model as imported takes; 0: any.
  std::int64_t max_batch = 1;     ///< As wanted; chunk is what fits.
  std::int64_t chunk = 1;         ///< Images that one thread computes at once.
  std::int64_t block = 1;         ///< Executable::block_images() of the chunk's executable.
  std::int64_t least_piece = 1;   ///< No batch is cut into smaller ones to occupy more lanes.
  std::int64_t image_elements = 0;
  Shape image_shape;  ///< The model's own, without the batch.
  std::vector<std::string> notes;
  Graph as_opened;  ///< The model's, of its own input, before the passes.
  Variant pixels;
  Variant values;
  int threads = 1;
  mutable ThreadPool pool;  ///< One thread a lane.

  State(std::unique_ptr<Backend> owned_backend, int wanted_threads)
      : backend(std::move(owned_backend)),
        threads(wanted_threads),
        pool(backend->lanes(wanted_threads)) {}

  Shape batch_shape(std::int64_t batch) const {
    Shape shape{batch};
    for (const std::int64_t extent : image_shape) shape.push_back(extent);
    return shape;
  }
  InputBinding binding(DType dtype, std::int64_t batch) const {
    return {dtype, batch_shape(batch), nullptr};
  }

  void prepare(Graph graph);
  CompileOptions compile_options() const {
    return {.limits = model->limits,
            .precision = precision,
            .sharing = {.threads = pool.threads()},
            .constants = constants};
  }
  /// Of those of the tensors of these names that the chosen output hangs on, over all the images
  /// (u8).
  /// Throws invalid argument for images that do not fit, or are too few for one run.
  std::map<std::string, onnx::Range> observe(const TensorView& images,
                                             std::span<const std::string> names) const;
  Graph with_normalization(const Graph& graph) const;
  void finish_variant(Variant& variant, DType dtype, Graph graph, std::int64_t probe);
  void choose_chunk();
  void name_classes(const std::optional<std::vector<std::string>>& given,
                    const std::vector<std::string>& own);
  CompiledGraph& compiled(const Variant& variant, std::int64_t batch) const;
  const Executable* try_compile(std::int64_t batch) const;
  /// Images of the executable that begins a run of `batch` images on one lane.
  std::int64_t first_piece(std::int64_t batch) const;
  void check_images(const TensorView& images) const;
  bool needs_arranging(const Shape& shape) const;
  /// Whether the channels of such images are turned round: pixels are RGB, the model takes BGR.
  bool needs_reversing(DType dtype) const { return input.preprocess.bgr && dtype == DType::kUint8; }
  void arrange(const TensorView& images, std::int64_t image, std::byte* destination) const;
  /// Images [first, first + count) as the model takes `batch` of them: where they lie, or arranged
  /// in memory of the thread's own, which serves until the next call. Those that are missing are 0.
  const void* stage(const TensorView& images, std::int64_t first, std::int64_t count,
                    std::int64_t batch) const;
  /// The crew, unless null, shares the steps.
  void run_piece(const Variant& variant, const TensorView& images, const Piece& piece,
                 ThreadPool* crew, float* scores) const;
};

}  // namespace prs
