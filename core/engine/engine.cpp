#include "prs/engine.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <random>
#include <utility>

#include "check.hpp"
#include "constant_pool.hpp"
#include "engine/engine_state.hpp"
#include "engine/settings.hpp"
#include "graph/passes.hpp"

namespace prs {
namespace {

/// The batch that an open graph is analysed with: not 1, so that nothing broadcasts by accident.
constexpr std::int64_t kProbeBatch = 3;

/// A batch at which a backend that computes blocks of images does so.
constexpr std::int64_t kBlockProbe = 16;

/// Copies dtypes and shapes of an inferred copy into the graph it came from.
void annotate(Graph& graph, const Graph& inferred) {
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    graph.values[i].dtype = inferred.values[i].dtype;
    graph.values[i].shape = inferred.values[i].shape;
  }
}

/// Moves the graph's constants into the pool, if there is one.
void share_constants(Graph& graph, ConstantPool* pool) {
  if (pool == nullptr) return;
  for (Value& value : graph.values) {
    if (!value.constant) continue;
    Tensor shared = pool->share(*value.constant);
    if (shared.data() != std::as_const(*value.constant).data()) {
      value.constant = std::make_shared<const Tensor>(std::move(shared));
    }
  }
}

std::string join_shapes(std::span<const Shape> shapes) {
  std::string text;
  for (const Shape& shape : shapes) {
    std::string one = shape.to_string();
    one.insert(1, shape.rank() > 0 ? "N," : "N");
    text += (text.empty() ? "" : " or ") + one;
  }
  return text;
}

}  // namespace

/// Opens the batch, keeps the one output that is scored, and makes both variants.
void Engine::State::prepare(Graph graph) {
  const PortInfo& port = model->inputs[0];
  const std::int64_t declared = port.extents[0];
  graph.outputs = {graph.outputs[output]};
  remove_dead_nodes(graph);
  if (declared == 0)
    fail_argument("{}: input '{}' has a batch of 0", model->path, printable(port.name));
  const DType dtype = port.dtype;
  const auto infer = [&](std::int64_t batch) {
    Graph inferred = graph;
    infer_and_fold(inferred, std::array{binding(dtype, batch)}, model->fold_limit);
    return inferred;
  };
  std::int64_t probe = declared < 0 ? kProbeBatch : declared;
  traced_batch = std::max<std::int64_t>(declared, 0);
  Graph inferred;
  try {
    inferred = infer(probe);
  } catch (const Error&) {
    if (declared > 0) throw;
    // The input's batch is open, but something inside is not: then it was traced with one image.
    inferred = infer(1);
    probe = traced_batch = 1;
    notes.push_back("the input's batch is open, but the model's nodes are made for one image");
  }
  const PortInfo& result = model->outputs[output];
  if (declared < 0 && result.has_shape && !result.extents.empty() && result.extents[0] >= 0) {
    notes.push_back(
        fmt::format("output '{}' is declared {}: its batch is ignored, the input's is "
                    "open",
                    printable(result.name), result.to_string()));
  }
  Graph opened = inferred;
  const BatchAnalysis analysis = open_batch(opened);
  if (analysis.separable && traced_batch > 0) {
    graph = std::move(opened);
    notes.push_back(
        fmt::format("the batch, fixed at {}, was opened: images are independent", traced_batch));
  } else if (analysis.separable) {
    annotate(graph, inferred);
  } else {
    fixed_batch = traced_batch > 0 ? traced_batch : 1;
    notes.push_back(
        fmt::format("computed {} image(s) at a time: {}", fixed_batch, analysis.reason));
    if (fixed_batch != probe) {
      inferred = infer(fixed_batch);
      probe = fixed_batch;
    }
    graph = std::move(inferred);
  }
  as_opened = graph;
  if (dtype == DType::kFloat32) {
    finish_variant(values, DType::kFloat32, graph, probe);
    finish_variant(pixels, DType::kUint8, with_normalization(graph), probe);
  } else {
    finish_variant(pixels, DType::kUint8, std::move(graph), probe);
  }
  const Value& scores = pixels.graph.value(pixels.graph.outputs[0].value);
  PRS_CHECK(scores.shape.has_value());
  const bool per_image = scores.shape->rank() > 0 && (*scores.shape)[0] == probe;
  if (scores.dtype != DType::kFloat32 || !per_image) {
    fail_argument(
        "{}: output '{}' is {}{}; scores are f32, one row an image. Choose another output",
        model->path, printable(model->outputs[output].name), dtype_name(scores.dtype),
        scores.shape->to_string());
  }
  classes = scores.shape->elements(1, scores.shape->rank());
  if (classes < 1) fail_argument("{}: the model gives no scores", model->path);
}

/// The graph with u8 pixels as its input and the preprocessing as its first node.
Graph Engine::State::with_normalization(const Graph& graph) const {
  Graph result = graph;
  const Preprocess& preprocess = input.preprocess;
  NormalizeParams params;
  params.channel_axis = input.layout == Layout::kChw ? 1 : image_shape.rank();
  const std::size_t count = std::max(preprocess.mean.size(), preprocess.std.size());
  for (std::size_t c = 0; c < count; ++c) {
    // value = (pixel * scale - mean) / std, with pixel -> 255 - pixel when inverted.
    const double mean = preprocess.mean[preprocess.mean.size() == 1 ? 0 : c];
    const double divisor = preprocess.std[preprocess.std.size() == 1 ? 0 : c];
    const double offset = preprocess.invert ? 255.0 * preprocess.scale : 0.0;
    const double scale = preprocess.invert ? -preprocess.scale : preprocess.scale;
    params.scale.push_back(static_cast<float>(scale / divisor));
    params.bias.push_back(static_cast<float>((offset - mean) / divisor));
  }
  GraphPort& port = result.inputs[0];
  Value value;
  value.name = result.value(port.value).name + ".pixels";
  value.dtype = DType::kUint8;
  value.shape = result.value(port.value).shape;
  Node node{OpKind::kNormalize, "normalize", std::move(params), {}, {port.value}};
  node.inputs = {result.add_value(std::move(value))};
  port.value = node.inputs[0];
  port.dtype = DType::kUint8;
  result.nodes.insert(result.nodes.begin(), std::move(node));
  return result;
}

void Engine::State::finish_variant(Variant& variant, DType dtype, Graph graph, std::int64_t probe) {
  variant.dtype = dtype;
  variant.graph = std::move(graph);
  // Shapes first (of a copy, whose folding would nail the batch down), then the passes: what they
  // make of the weights is shared by the executables of all batch sizes.
  Graph inferred = variant.graph;
  infer_and_fold(inferred, std::array{binding(dtype, probe)}, model->fold_limit);
  annotate(variant.graph, inferred);
  if (precision == Precision::kInt8) {
    const QuantizedLayers fused = fuse_quantized(variant.graph);
    if (fused.layers == 0) {
      fail_argument(
          "{}: int8 covers no layer of this quantised model; expected Conv, Gemm or MatMul with i8 "
          "weights of zero point 0. Load it in fp32",
          model->path);
    }
    variant.notes.push_back(fmt::format("{} layers compute with 8-bit integers", fused.layers));
    if (fused.normalizations > 0) variant.notes.push_back("pixels are the first layer's input");
    fold_constants(variant.graph, model->fold_limit);
  }
  optimize(variant.graph, variant.notes);
  share_constants(variant.graph, constants.get());
}

CompiledGraph& Engine::State::compiled(const Variant& variant, std::int64_t batch) const {
  const std::size_t index =
      fixed_batch > 0
          ? 0
          : static_cast<std::size_t>(std::countr_zero(static_cast<std::uint64_t>(batch)));
  std::atomic<CompiledGraph*>& slot = variant.by_size[index];
  if (CompiledGraph* ready = slot.load(std::memory_order_acquire)) return *ready;
  const std::lock_guard lock(variant.mutex);
  if (CompiledGraph* ready = slot.load(std::memory_order_relaxed)) return *ready;
  variant.owned.push_back(compile_for(variant.graph, *backend,
                                      std::array{binding(variant.dtype, batch)}, compile_options(),
                                      model->fold_limit));
  slot.store(variant.owned.back().get(), std::memory_order_release);
  return *variant.owned.back();
}

/// Null when the intermediates of so many images exceed the limit.
const Executable* Engine::State::try_compile(std::int64_t batch) const {
  try {
    return &compiled(pixels, batch).executable();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    return nullptr;
  }
}

void Engine::State::choose_chunk() {
  if (fixed_batch > 0) {
    chunk = fixed_batch;
    compiled(pixels, chunk);
    return;
  }
  // Compiling here also reports what no kernel can do, before any image is read.
  const std::int64_t bytes =
      std::max<std::int64_t>(compiled(pixels, 1).executable().arena_bytes(), 1);
  constexpr std::int64_t kLargest = std::int64_t{1} << (kSizes - 1);
  const PieceSize size = backend->piece_size(bytes, image_elements * dtype_size(pixels.dtype));
  least_piece = size.least;
  const std::int64_t largest = floor_power_of_two(std::min(max_batch, kLargest));
  chunk = std::min(largest, floor_power_of_two(size.most));
  // Blocks of images keep what lies between layers for themselves: more images may fit then.
  const Executable* executable = try_compile(std::min(largest, std::max(chunk, kBlockProbe)));
  if (executable == nullptr || executable->block_images() == 1) return;
  chunk = std::min(largest, std::max(chunk, kBlockProbe));
  while (chunk < largest) {
    const Executable* twice = try_compile(2 * chunk);
    // What another `chunk` images add is what they all take.
    if (twice == nullptr || 2 * (twice->arena_bytes() - executable->arena_bytes()) > kPieceBytes) {
      break;
    }
    chunk *= 2;
    executable = twice;
  }
  block = std::min(executable->block_images(), chunk);
}

std::int64_t Engine::State::first_piece(std::int64_t batch) const {
  if (batch < 1) fail_argument("batch {}; expected 1 or more", batch);
  return fixed_batch > 0 ? fixed_batch : Cut::open(batch, chunk, block, least_piece, 1)[0].batch;
}

void Engine::State::name_classes(const std::optional<std::vector<std::string>>& given,
                                 const std::vector<std::string>& own) {
  const std::vector<std::string>& wanted = given ? *given : own;
  if (wanted.empty() || static_cast<std::int64_t>(wanted.size()) == classes) {
    labels = wanted;
    return;
  }
  const std::string mismatch =
      fmt::format("{} class names for the {} scores of output '{}'", wanted.size(), classes,
                  printable(model->outputs[output].name));
  if (given) fail_argument("{}: {}", model->path, mismatch);
  // They may belong to another output of the model.
  input.origins.push_back("labels: ignored, " + mismatch);
}

void Engine::State::check_images(const TensorView& images) const {
  const bool known = images.dtype == DType::kUint8 ||
                     (images.dtype == DType::kFloat32 && values.dtype == DType::kFloat32);
  if (!known) {
    fail_argument("images of {}; this model takes u8 pixels{}", dtype_name(images.dtype),
                  values.dtype == DType::kFloat32 ? " or f32 values" : "");
  }
  const std::array fitting = {image_shape, Shape{input.height, input.width, input.channels},
                              Shape{input.channels, input.height, input.width},
                              Shape{image_elements}};
  if (images.shape.rank() >= 1) {
    const Shape record(images.shape.extents().subspan(1));
    const bool plane = input.channels == 1 && record == Shape{input.height, input.width};
    if (plane || std::find(fitting.begin(), fitting.end(), record) != fitting.end()) {
      if (images.data != nullptr || images.shape[0] == 0) return;
      fail_argument("images without data");
    }
  }
  fail_argument("images of shape {} do not fit the model; it takes {}", images.shape.to_string(),
                join_shapes(fitting));
}

/// Whether images of this shape must be reordered: their layout differs from the model's.
bool Engine::State::needs_arranging(const Shape& shape) const {
  if (input.channels == 1) return false;
  const Shape record(shape.extents().subspan(1));
  if (record == image_shape || record.rank() == 1) return false;
  const bool record_is_hwc = record == Shape{input.height, input.width, input.channels};
  return record_is_hwc != (input.layout == Layout::kHwc || input.layout == Layout::kFlat);
}

/// Copies one image into the model's layout and channel order.
void Engine::State::arrange(const TensorView& images, std::int64_t image,
                            std::byte* destination) const {
  const bool to_planes = input.layout == Layout::kChw;
  const bool from_planes = needs_arranging(images.shape) ? !to_planes : to_planes;
  const bool reversed = needs_reversing(images.dtype);
  const auto copy = [&](auto zero) {
    using T = decltype(zero);
    const T* from = images.as<T>() + image * image_elements;
    T* to = reinterpret_cast<T*>(destination);
    const std::int64_t area = input.height * input.width;
    const auto at = [&](bool planes, std::int64_t c, std::int64_t p) {
      return planes ? c * area + p : p * input.channels + c;
    };
    for (std::int64_t c = 0; c < input.channels; ++c) {
      const std::int64_t source = reversed ? input.channels - 1 - c : c;
      for (std::int64_t p = 0; p < area; ++p)
        to[at(to_planes, c, p)] = from[at(from_planes, source, p)];
    }
  };
  if (images.dtype == DType::kUint8) {
    copy(std::uint8_t{});
  } else {
    copy(float{});
  }
}

const void* Engine::State::stage(const TensorView& images, std::int64_t first, std::int64_t count,
                                 std::int64_t batch) const {
  const std::int64_t image_bytes = image_elements * dtype_size(images.dtype);
  const auto* source = static_cast<const std::byte*>(images.data) + first * image_bytes;
  const bool arranging = needs_arranging(images.shape) || needs_reversing(images.dtype);
  if (!arranging && batch == count) return source;
  // A buffer of the thread's own, grown once.
  thread_local std::vector<std::byte> staging;
  if (staging.size() < static_cast<std::size_t>(batch * image_bytes)) {
    staging.resize(static_cast<std::size_t>(batch * image_bytes));
  }
  for (std::int64_t i = 0; i < batch; ++i) {
    std::byte* to = staging.data() + i * image_bytes;
    if (i >= count) {
      std::memset(to, 0, static_cast<std::size_t>(image_bytes));
    } else if (arranging) {
      arrange(images, first + i, to);
    } else {
      std::memcpy(to, source + i * image_bytes, static_cast<std::size_t>(image_bytes));
    }
  }
  return staging.data();
}

void Engine::State::run_piece(const Variant& variant, const TensorView& images, const Piece& piece,
                              ThreadPool* crew, float* scores) const {
  const auto [first, count, batch] = piece;
  const void* input_pointer = stage(images, first, count, batch);
  void* output_pointer = scores + first * classes;
  thread_local std::vector<float> padded_scores;  // Grown once.
  if (batch != count) {
    if (padded_scores.size() < static_cast<std::size_t>(batch * classes)) {
      padded_scores.resize(static_cast<std::size_t>(batch * classes));
    }
    output_pointer = padded_scores.data();
  }
  compiled(variant, batch).run(std::array{input_pointer}, std::array{output_pointer}, crew);
  if (batch != count) {
    std::copy_n(padded_scores.data(), count * classes, scores + first * classes);
  }
}

Engine::Engine(std::shared_ptr<const State> state) : state_(std::move(state)) {}

namespace {

bool is_quantized(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return node.kind == OpKind::kQuantizeLinear; });
}

/// The model as `options` want it: for int8 one that is quantised.
onnx::ImportedModel import_model(const std::filesystem::path& path, const EngineOptions& options) {
  onnx::ImportedModel imported = onnx::import_file(path, options.limits);
  if (options.precision != Precision::kInt8 || is_quantized(imported.graph)) return imported;
  if (options.calibration.data == nullptr) {
    fail_argument(
        "{}: int8 of a float model needs images to calibrate on (--calibrate IMAGES; in a step "
        "calibrate: FOLDER), or quantise the model first (prs-gpu quantize)",
        path.string());
  }
  return onnx::import_bytes(Engine::quantize(path, options.calibration, options), path.string(),
                            {});
}

}  // namespace

Engine Engine::load(const std::filesystem::path& path, const EngineOptions& options) {
  if (options.threads < 0) fail_argument("threads {}; expected 0 (all) or more", options.threads);
  if (options.max_batch < 0) {
    fail_argument("max_batch {}; expected 0 (the device's) or more", options.max_batch);
  }
  const std::shared_ptr<Model::State> model_state =
      make_model_state(import_model(path, options), path.string(), options.limits,
                       options.precision == Precision::kInt8);
  const Model model(model_state);
  const auto state = std::make_shared<State>(
      make_backend(options.device), options.threads > 0 ? options.threads : available_processors());
  if (options.shared_weights >= 0) {
    state->constants = std::make_shared<ConstantPool>(options.shared_weights);
    share_constants(model_state->imported.graph, state->constants.get());
  }
  state->model = model_state;
  state->precision = options.precision;
  require_precision(*state->backend, state->precision);
  if (model.inputs().size() != 1) {
    fail_argument("{}: the model has {} inputs; images can be scored by models with one",
                  path.string(), model.inputs().size());
  }
  const PortInfo& port = model.inputs()[0];
  if (port.dtype != DType::kFloat32 && port.dtype != DType::kUint8) {
    fail_unsupported("{}: input '{}' is {}; images are scored by models that take f32 or u8",
                     path.string(), printable(port.name), dtype_name(port.dtype));
  }
  if (state->model->shape_inputs[0]) {
    fail_unsupported("{}: the model's shapes depend on the contents of its input", path.string());
  }
  if (!options.output.empty()) {
    const auto outputs = model.outputs();
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const PortInfo& output) {
      return output.name == options.output;
    });
    if (found == outputs.end()) {
      std::string names;
      for (const PortInfo& output : outputs) {
        names += (names.empty() ? "" : ", ") + printable(output.name);
      }
      fail_argument("{}: no output '{}'; the model has {}", path.string(), options.output, names);
    }
    state->output = static_cast<std::size_t>(found - outputs.begin());
  }
  const ModelSettings settings = read_settings(path, state->model->imported.metadata);
  state->input = resolve_image_input(port, settings, options.preprocess, path.string());
  const ImageInput& input = state->input;
  state->image_elements = input.height * input.width * input.channels;
  switch (input.layout) {
    case Layout::kChw:
      state->image_shape = Shape{input.channels, input.height, input.width};
      break;
    case Layout::kHwc:
      state->image_shape = Shape{input.height, input.width, input.channels};
      break;
    case Layout::kHw:
      state->image_shape = Shape{input.height, input.width};
      break;
    case Layout::kFlat:
      state->image_shape = Shape{state->image_elements};
      if (port.extents.size() == 3) state->image_shape.push_back(1);
      break;
  }
  state->prepare(state->model->imported.graph);
  state->max_batch = options.max_batch > 0 ? options.max_batch : state->backend->preferred_images();
  state->choose_chunk();
  state->name_classes(options.labels, settings.labels);
  return Engine(std::move(state));
}

const ImageInput& Engine::input() const noexcept { return state_->input; }
std::int64_t Engine::classes() const noexcept { return state_->classes; }
std::span<const std::string> Engine::labels() const noexcept { return state_->labels; }
std::string Engine::device() const { return state_->backend->name(); }
std::string Engine::device_problem() const { return state_->backend->problem(); }
Precision Engine::precision() const noexcept { return state_->precision; }
int Engine::threads() const noexcept { return state_->threads; }
std::int64_t Engine::max_batch() const noexcept { return state_->max_batch; }

void Engine::run(const TensorView& images, std::span<float> scores) const {
  const State& state = *state_;
  state.check_images(images);
  const std::int64_t count = images.shape[0];
  if (static_cast<std::int64_t>(scores.size()) != count * state.classes) {
    fail_argument("room for {} scores; {} images of {} classes give {}", scores.size(), count,
                  state.classes, count * state.classes);
  }
  const Variant& variant = images.dtype == DType::kUint8 ? state.pixels : state.values;
  const Cut cut = state.fixed_batch > 0 ? Cut::fixed(count, state.fixed_batch)
                                        : Cut::open(count, state.chunk, state.block,
                                                    state.least_piece, state.pool.threads());
  if (cut.pieces() == 1) {
    state.run_piece(variant, images, cut[0], &state.pool, scores.data());
    return;
  }
  state.pool.run(cut.pieces(), [&](std::int64_t piece) {
    state.run_piece(variant, images, cut[piece], nullptr, scores.data());
  });
}

std::vector<float> Engine::run(const TensorView& images) const {
  state_->check_images(images);
  std::vector<float> scores(static_cast<std::size_t>(images.shape[0] * state_->classes));
  run(images, scores);
  return scores;
}

Prediction Engine::top(std::span<const float> scores, std::int64_t top_k) const {
  const State& state = *state_;
  if (static_cast<std::int64_t>(scores.size()) != state.classes) {
    fail_argument("{} scores; an image has {}", scores.size(), state.classes);
  }
  if (top_k < 1) fail_argument("top_k {}; expected 1 or more", top_k);
  std::vector<std::int64_t> order(scores.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  const auto better = [&](std::int64_t a, std::int64_t b) {
    const float x = scores[static_cast<std::size_t>(a)];
    const float y = scores[static_cast<std::size_t>(b)];
    if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
    if (x > y || x < y) return x > y;
    return a < b;
  };
  const auto kept = std::min<std::int64_t>(top_k, state.classes);
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), better);
  Prediction prediction;
  for (std::int64_t i = 0; i < kept; ++i) {
    const auto index = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]);
    prediction.top.push_back({static_cast<std::int64_t>(index), scores[index],
                              state.labels.empty() ? std::to_string(index) : state.labels[index]});
  }
  return prediction;
}

std::vector<Prediction> Engine::classify(const TensorView& images, std::int64_t top_k) const {
  const std::vector<float> scores = run(images);
  const auto classes = static_cast<std::size_t>(state_->classes);
  std::vector<Prediction> predictions;
  for (std::size_t first = 0; first < scores.size(); first += classes) {
    predictions.push_back(top(std::span(scores).subspan(first, classes), top_k));
  }
  return predictions;
}

ModelDescription Engine::describe(std::int64_t batch) const {
  const State& state = *state_;
  const std::int64_t size = state.first_piece(batch);
  ModelDescription description = describe_header(*state.model);
  description.notes = state.notes;
  description.notes.insert(description.notes.end(), state.pixels.notes.begin(),
                           state.pixels.notes.end());
  description.precision = state.precision;
  description.batch_open = state.fixed_batch == 0;
  const std::int64_t layer_batch = state.traced_batch > 0 ? state.traced_batch : size;
  Graph annotated = state.model->imported.graph;
  infer_and_fold(annotated, std::array{state.binding(state.model->inputs[0].dtype, layer_batch)},
                 state.model->fold_limit);
  describe_graph(description, annotated, layer_batch, state.compiled(state.pixels, size));
  description.batch = size;
  return description;
}

RunProfile Engine::profile(std::int64_t batch, double seconds) const {
  const State& state = *state_;
  const std::int64_t size = state.first_piece(batch);
  const Executable& executable = state.compiled(state.pixels, size).executable();
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size * state.image_elements));
  std::minstd_rand random(1);
  for (std::uint8_t& pixel : pixels) pixel = static_cast<std::uint8_t>(random() >> 8);
  const std::array<const void*, 1> inputs = {pixels.data()};
  const auto context = executable.new_context();
  RunProfile profile = executable.profile(*context, inputs, seconds);
  profile.batch = size;
  return profile;
}

DevicePeaks measure_device(const std::string& device, double seconds) {
  return make_backend(device)->measure(seconds);
}

}  // namespace prs
