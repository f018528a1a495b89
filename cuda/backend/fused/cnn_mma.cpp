// Plans of the fused convolutional network on tensor cores: where everything lies in shared memory,
// how many images go together, and the constants in the order in which the kernel takes them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <utility>

#include "backend/fused/cnn.hpp"
#include "backend/quantized.hpp"
#include "check.hpp"
#include "kernels/fused/cnn_mma.hpp"
#include "ops/quantize.hpp"

namespace prs::cuda {
namespace {

constexpr std::int64_t kLaneWords = kWarpSize * 2;  ///< Of one n8 tile and step.
constexpr int kWarps = static_cast<int>(kThreads / kWarpSize);
/// Blocks that a multiprocessor has at once: the kernel's registers allow no more.
constexpr std::int64_t kBlocks = 2;

std::int64_t up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
std::int64_t parts(std::int64_t value, std::int64_t part) { return (value + part - 1) / part; }

/// Elements from one row of a matrix to the next, so that eight rows lie in different banks.
std::int64_t spread(std::int64_t elements) {
  return elements / 8 % 2 == 1 ? elements : elements + 8;
}

Divisor divisor_of(std::int64_t value) {
  constexpr std::int64_t kOne = std::int64_t{1} << 31;
  return {static_cast<std::uint32_t>(parts(kOne, value)), static_cast<int>(value)};
}

/// The numbers of a word, neighbours in the input, and the taps that they meet, as [channel, row,
/// column] of the filter; -1: none.
using Neighbours = std::array<std::int64_t, 4>;

/// By the distance of the first from the window's first element, a multiple of `in_word`.
std::map<std::int64_t, Neighbours> neighbours_of(const ops::Window& window, const Planes& planes,
                                                 std::int64_t in_word) {
  const auto& [depth, height, width] = window;
  std::map<std::int64_t, Neighbours> words;
  std::int64_t tap = 0;
  for (std::int64_t c = 0; c < planes.channels; ++c) {
    for (std::int64_t r = 0; r < height.kernel; ++r) {
      for (std::int64_t t = 0; t < width.kernel; ++t, ++tap) {
        const std::int64_t distance =
            (c * planes.height + r * height.dilation) * planes.width + t * width.dilation;
        const auto [word, added] =
            words.try_emplace(distance / in_word * in_word, Neighbours{-1, -1, -1, -1});
        word->second[static_cast<std::size_t>(distance % in_word)] = tap;
      }
    }
  }
  return words;
}

/// n8 tiles of a unit, of those that convolve() in the kernel has.
int mma_columns(int pool, bool neighbours, std::int64_t filters) {
  if (pool == 1) return 4;
  if (pool == 3) return 2;
  if (neighbours) return filters <= 16 ? 1 : 4;
  return filters <= 16 ? 2 : 4;
}

class CnnMmaPlan {
 public:
  explicit CnnMmaPlan(const Fusion& fusion)
      : fusion_(fusion),
        stages_(fusion.chain.convolutions),
        dense_(fusion.chain.dense),
        bytes_(fusion.chain.quantized) {}

  FusedChoice choose() {
    std::string reason = describe();
    if (reason.empty()) reason = choose_tile();
    if (!reason.empty()) return {{}, reason};
    return {finish(), {}};
  }

 private:
  /// All but what hangs on the number of images, with extents in 64 bits until shared_bytes() has
  /// seen that they are small. Returns why the kernel does not take the chain, or nothing.
  std::string describe() {
    // Numbers of images, and of those of a group more, are int.
    if (fusion_.images() > 1 << 30) return "too many images at once";
    std::int64_t dense_bytes = 0;
    // The first layer reads the channels of each place filled up to whole runs.
    const std::int64_t last_filters = filters(stages_.size() - 1);
    for (const DenseStage& stage : dense_) {
      const std::int64_t inputs =
          dense_bytes == 0 ? stage.inputs / last_filters * up(last_filters, run_) : stage.inputs;
      dense_bytes += up(inputs, 2 * run_) * up(stage.outputs, 16) * 2 / pack_;
    }
    if (dense_bytes > kMostDenseBytes) return too_many_dense_weights(dense_bytes);
    for (const ConvStage& stage : stages_) {
      if (stage.pool == nullptr) continue;
      std::string reason = turns_order(*stage.node);
      if (!reason.empty()) return reason;
    }
    args_.images = static_cast<int>(fusion_.images());
    args_.convolutions = static_cast<int>(stages_.size());
    args_.dense = static_cast<int>(dense_.size());
    args_.pixels = fusion_.pixels();
    args_.scores = fusion_.chain.scores;
    rounded_ = !bytes_ && dense_.empty() && read_by_products(fusion_.graph, fusion_.chain.output);
    args_.result = result();
    if (bytes_) describe_steps();
    for (std::size_t i = 0; i < stages_.size(); ++i) describe_layer(i);
    if (!fits_alone()) {
      return fmt::format("the planes of an image or the filters take more than {}",
                         kib(fusion_.limits.shared_bytes));
    }
    for (std::size_t i = 0; i <= stages_.size(); ++i) describe_planes(i);
    for (std::size_t i = 0; i < stages_.size(); ++i) describe_windows(i);
    for (std::size_t i = 0; i < dense_.size(); ++i) describe_dense(i);
    return {};
  }

  /// Why the largest sum may not give a convolution's largest output, or nothing.
  std::string turns_order(const Node& node) const {
    if (bytes_) {
      const Tensor& multipliers = *fusion_.graph.value(node.inputs[2]).constant;
      const auto* first = multipliers.as<float>();
      const bool rising =
          std::all_of(first, first + multipliers.elements(), [](float x) { return x >= 0.0F; });
      return rising ? "" : "a scale below zero stands in front of a MaxPool";
    }
    const Activation& activation = std::get<ConvParams>(node.params).activation;
    const bool rising = activation.kind != Activation::Kind::kLeakyRelu || activation.alpha >= 0;
    return rising ? "" : "a LeakyRelu with a negative slope stands in front of a MaxPool";
  }

  MmaResult result() const {
    if (args_.scores != Scores::kStored) return MmaResult::kLargest;
    if (bytes_ && fusion_.graph.value(fusion_.chain.output).dtype != DType::kFloat32) {
      return MmaResult::kBytes;
    }
    if (!dense_.empty()) return MmaResult::kScores;
    return rounded_ ? MmaResult::kRounded : MmaResult::kPlanes;
  }

  /// The chain's QuantizeLinear and DequantizeLinear.
  void describe_steps() {
    if (const Node* node = fusion_.chain.quantize) {
      const auto [scale, zero_point] = one_scale(fusion_.graph, *node);
      const DType to = fusion_.graph.value(node->outputs[0]).dtype;
      const auto [low, high] = ops::quantize::range(to);
      args_.quantizes = true;
      args_.quantize = {scale, static_cast<float>(low - zero_point),
                        static_cast<float>(high - zero_point), u8_zero_point(to, zero_point)};
    }
    if (const Node* node = fusion_.chain.dequantize) {
      const auto [scale, zero_point] = one_scale(fusion_.graph, *node);
      const auto& out = std::get<QuantizedGemmParams>(dense_.back().node->params).out;
      args_.dequantizes = true;
      args_.dequantize = {scale, static_cast<float>(out.y_zero_point - zero_point)};
    }
  }

  /// Of a quantised layer; numbers that stay on the chip are seen as u8.
  static MmaByteEnds ends_of(const Requantization& out, bool stays) {
    const std::int32_t zero_point =
        stays ? u8_zero_point(out.to, out.y_zero_point) : out.y_zero_point;
    return {out.low, out.high, zero_point};
  }

  std::int64_t filters(std::size_t i) const { return fusion_.weights(*stages_[i].node).shape()[0]; }

  void describe_layer(std::size_t i) {
    const ConvStage& stage = stages_[i];
    const Planes planes = planes_at(fusion_, i);
    const auto& [depth, height, width] = stage.window;
    MmaConvLayer& layer = args_.conv_layers[i];
    layer.pool = stage.pool != nullptr ? static_cast<int>(stage.pool_window[1].kernel) : 1;
    std::int64_t runs = parts(planes.channels, run_) * height.kernel * width.kernel;
    if (i == 0 && layer.pool < 3) {
      // Words of neighbours, when fewer steps hold them than hold runs of channels.
      neighbours_ = neighbours_of(stage.window, planes, in_word_);
      args_.neighbours = parts(static_cast<std::int64_t>(neighbours_.size()), 8) < parts(runs, 2);
    }
    const bool in_words = i == 0 && args_.neighbours;
    if (in_words) runs = up(static_cast<std::int64_t>(neighbours_.size()), 8) / 4;
    layer.columns = mma_columns(layer.pool, in_words, filters(i));
    if (bytes_) {
      const bool stays = i + 1 < stages_.size() || !dense_.empty();
      layer.ends = ends_of(std::get<QuantizedConvParams>(stage.node->params).out, stays);
    } else {
      layer.epilogue = epilogue_of(std::get<ConvParams>(stage.node->params).activation);
    }
    const std::int64_t groups = parts(filters(i), std::int64_t{8} * layer.columns);
    const std::int64_t steps = parts(runs, 2);
    const auto take = [&](std::int64_t words) {
      return std::exchange(resident_, resident_ + words);
    };
    offsets_.push_back({take(groups * steps * layer.columns * kLaneWords),
                        take(tables_ * groups * layer.columns * 8),
                        take(up(steps * (in_words ? 16 : 2), 4))});
    groups_.push_back(groups);
    runs_.push_back(runs);
  }

  /// Whether the filters and each plane by itself fit, so that all extents are small from here on.
  bool fits_alone() const {
    bool fit = resident_ * 4 <= fusion_.limits.shared_bytes;
    for (std::size_t i = 0; i <= stages_.size(); ++i) {
      const Planes planes = planes_at(fusion_, i);
      const std::int64_t positions = std::int64_t{planes.height} * planes.width;
      const std::int64_t numbers =
          i == 0 && args_.neighbours ? planes.channels * in_word_ : up(planes.channels, run_);
      // The last planes of a front need no place, but their extents must be as small.
      fit = fit && positions * numbers * 2 / pack_ <= (i < stages_.size() || !dense_.empty()
                                                           ? fusion_.limits.shared_bytes
                                                           : std::int64_t{1} << 24);
    }
    return fit;
  }

  void describe_planes(std::size_t i) {
    const Planes from = planes_at(fusion_, i);
    MmaPlanes& to = args_.planes[i];
    to.height = from.height;
    to.width = from.width;
    to.top = from.top;
    to.left = from.left;
    to.rows = from.rows;
    to.columns = from.columns;
    to.borders = from.height != from.rows || from.width != from.columns;
    if (bytes_ && i < stages_.size()) to.padding = padding_of(*stages_[i].node);
    const int area = from.height * from.width;
    if (i == 0) args_.image_elements = from.channels * from.rows * from.columns;
    if (i == 0 && args_.neighbours) {
      to.channels = from.channels;
      to.runs = 1;
      // A word more for one that ends behind the last element.
      to.copy =
          static_cast<int>(up(parts(std::int64_t{from.channels} * area + in_word_, pack_), 8));
      to.image_pitch = static_cast<int>(in_word_) * to.copy;
      return;
    }
    to.channels = static_cast<int>(up(from.channels, run_));
    const bool features = i == stages_.size();
    to.runs = static_cast<int>(to.channels / run_);
    const std::int64_t image_runs = std::int64_t{area} * to.runs;
    // Runs change places within eight.
    to.image_pitch = static_cast<int>(features ? spread(image_runs * 8) : up(image_runs, 8) * 8);
  }

  /// Four bytes of what the input has around it.
  std::uint32_t padding_of(const Node& node) const {
    const std::int32_t zero_point =
        u8_zero_point(fusion_.graph.value(node.inputs[0]).dtype,
                      std::get<QuantizedConvParams>(node.params).out.x_zero_point);
    return static_cast<std::uint32_t>(zero_point) * 0x01010101U;
  }

  void describe_windows(std::size_t i) {
    const ConvStage& stage = stages_[i];
    const auto& [depth, height, width] = stage.window;
    MmaPlanes& from = args_.planes[i];
    const MmaPlanes& to = args_.planes[i + 1];
    MmaConvLayer& layer = args_.conv_layers[i];
    layer.filters = static_cast<int>(filters(i));
    layer.groups = static_cast<int>(groups_[i]);
    layer.steps = static_cast<int>(parts(runs_[i], 2));
    layer.half = runs_[i] % 2 == 1;
    layer.weights = static_cast<int>(offsets_[i].weights);
    layer.biases = static_cast<int>(offsets_[i].biases);
    layer.taps = static_cast<int>(offsets_[i].taps);
    const bool pools = stage.pool != nullptr;
    const auto pool_stride = [&](std::size_t axis) {
      return pools ? static_cast<int>(stage.pool_window[axis].stride) : 1;
    };
    layer.window_down = static_cast<int>(height.stride) * from.width * from.runs;
    layer.window_right = static_cast<int>(width.stride) * from.runs;
    layer.down = pool_stride(1) * layer.window_down;
    layer.right = pool_stride(2) * layer.window_right;
    layer.places = divisor_of(std::int64_t{to.rows} * to.columns);
    layer.row_places = divisor_of(to.columns);
    // Eight positions in a row begin `right` runs apart, a multiple of 2^n: only every 2^n-th of
    // the eight places in a line of banks is taken, by runs that differ in n bits of the line's
    // number.
    const int n = std::countr_zero(static_cast<std::uint32_t>(layer.right));
    from.shift = std::max(3, n);
    from.mask = (1 << std::min(n, 3)) - 1;
  }

  void describe_dense(std::size_t i) {
    const DenseStage& stage = dense_[i];
    MmaDenseLayer& layer = args_.dense_layers[i];
    // The first layer's inputs are the last planes, as they lie; the others' the units before.
    const std::int64_t inputs = i == 0
                                    ? std::int64_t{last().rows} * last().columns * last().runs * 8
                                    : std::int64_t{args_.dense_layers[i - 1].units} * 16 / pack_;
    PRS_CHECK(i > 0 || stage.inputs == filters(stages_.size() - 1) * last().rows * last().columns);
    layer.steps = static_cast<int>(parts(inputs, 16));
    layer.half = inputs % 16 != 0;
    layer.outputs = static_cast<int>(stage.outputs);
    layer.units = static_cast<int>(parts(stage.outputs, 16));
    layer.slices = std::clamp(kWarps / layer.units, 1, layer.steps);
    const bool stays = i + 1 < dense_.size();
    if (bytes_) {
      layer.ends = ends_of(std::get<QuantizedGemmParams>(stage.node->params).out, stays);
    } else {
      layer.epilogue = epilogue_of(std::get<GemmParams>(stage.node->params).activation);
    }
    if (stays) {
      args_.hidden_pitch =
          std::max(args_.hidden_pitch, static_cast<int>(spread(layer.units * 16 / pack_)));
    }
  }

  const MmaPlanes& last() const { return args_.planes[stages_.size()]; }

  /// Places everything for `tile` images at once in groups of `group`; returns the bytes.
  std::int64_t place(int tile, int group) {
    args_.tile = tile;
    args_.group = group;
    args_.resident = static_cast<int>(resident_);
    const std::int64_t image_bytes = std::int64_t{args_.image_elements} * (args_.pixels ? 1 : 4);
    args_.staged = image_bytes % 16 == 0;
    std::int64_t bytes = resident_ * 4;
    const auto take = [&](std::int64_t size) { return std::exchange(bytes, bytes + up(size, 16)); };
    args_.staging = static_cast<int>(take(args_.staged ? tile * image_bytes : 0));
    std::int64_t regions[2] = {0, 0};
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      regions[i % 2] =
          std::max(regions[i % 2], std::int64_t{tile} * args_.planes[i].image_pitch * 2);
    }
    const std::int64_t first[2] = {take(regions[0]), take(regions[1])};
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      args_.planes[i].first = static_cast<int>(first[i % 2] / 2);
      args_.planes[i].alone = i < 2 && i + 2 >= stages_.size();
    }
    if (dense_.empty()) return args_.shared_bytes = bytes;
    const std::int64_t pitch = last().image_pitch;
    args_.features_pitch = static_cast<int>(pitch);
    args_.features = static_cast<int>(take(group * pitch * 2) / 2);
    args_.planes[stages_.size()].first = args_.features;
    for (int& hidden : args_.hidden) {
      hidden = static_cast<int>(take(std::int64_t{group} * args_.hidden_pitch * 2) / 2);
    }
    std::int64_t sums = 0;
    for (int i = 0; i < args_.dense; ++i) {
      const MmaDenseLayer& layer = args_.dense_layers[i];
      sums = std::max(sums, std::int64_t{layer.slices} * layer.units);
    }
    args_.sums = static_cast<int>(take(sums * kMmaImages * 16 * 4) / 4);
    return args_.shared_bytes = bytes;
  }

  /// What a round costs an image, in instructions of a warp, all warps waiting for the last. Small
  /// tiles leave warps without a unit; larger ones take room from a second block.
  double cost_of(int tile) const {
    constexpr double kBarriers = 200;
    double cost = kBarriers;
    for (int i = 0; i < args_.convolutions; ++i) {
      const MmaConvLayer& layer = args_.conv_layers[i];
      const int places = layer.pool == 1 ? kMmaPlaces : 16;
      const int tiles = layer.pool == 1 ? kMmaPlaces / 16 : layer.pool * layer.pool;
      const std::int64_t units =
          parts(std::int64_t{tile} * layer.places.divisor, places) * layer.groups;
      const double unit = layer.steps * tiles * (layer.columns + 4.0) + 8.0 * tiles * layer.columns;
      cost += static_cast<double>(parts(units, kWarps)) * unit;
    }
    return cost / tile;
  }

  /// The cheapest number of images at once of those with which two blocks share a multiprocessor,
  /// or else of those that fit; no more than keep all multiprocessors busy.
  std::string choose_tile() {
    const std::int64_t slots = kBlocks * fusion_.limits.multiprocessors;
    const int share =
        static_cast<int>(std::clamp<std::int64_t>(parts(fusion_.images(), slots), 1, kMmaImages));
    const auto group_of = [&](int tile) { return dense_.empty() ? tile : share; };
    int best = 0;
    bool best_pairs = false;
    for (int tile = 1; tile <= share; ++tile) {
      const std::int64_t bytes = place(tile, group_of(tile));
      if (bytes > fusion_.limits.shared_bytes || !exact(tile)) break;
      const bool two = two_blocks_fit(bytes, fusion_.limits);
      if (best != 0 && (two != best_pairs || cost_of(tile) >= cost_of(best))) continue;
      best = tile;
      best_pairs = two;
    }
    if (best == 0) {
      return fmt::format("an image needs {} of shared memory; the device has {}",
                         kib(place(1, group_of(1))), kib(fusion_.limits.shared_bytes));
    }
    place(best, group_of(best));
    args_.groups = static_cast<int>(parts(fusion_.images(), args_.group));
    two_blocks_ = best_pairs;
    return {};
  }

  /// Whether the kernel's divisions by multiplication are exact (Divisor).
  bool exact(int tile) {
    constexpr std::int64_t kEnd = std::int64_t{1} << 31;
    const MmaPlanes& input = args_.planes[0];
    const std::int64_t area = std::int64_t{input.height} * input.width;
    args_.input_area = divisor_of(area);
    args_.input_width = divisor_of(input.width);
    bool all = input.channels * area * area < kEnd && area * input.width < kEnd;
    for (int i = 0; i < args_.convolutions; ++i) {
      const MmaConvLayer& layer = args_.conv_layers[i];
      const std::int64_t places = tile * std::int64_t{layer.places.divisor} + kMmaPlaces;
      all = all && places * layer.places.divisor < kEnd;
    }
    return all;
  }

  // ---- constants --------------------------------------------------------------------------------

  /// Fragments of one n8 tile and step by lane and register: value(k, column) of the matrix.
  template <typename Value>
  void put_tile(std::size_t at, std::size_t stride, std::int64_t k0, std::int64_t column0,
                const Value& value) {
    const PackedFormat format(fusion_.precision);
    for (std::int64_t lane = 0; lane < kWarpSize; ++lane) {
      for (std::int64_t r = 0; r < 2; ++r) {
        const std::int64_t k = k0 + lane % 4 * in_word_ + r * run_;
        std::uint32_t word = 0;
        for (std::int64_t i = 0; i < in_word_; ++i) {
          word |= format.bits(value(k + i, column0 + lane / 4)) << (32 / in_word_ * i);
        }
        words_[at + static_cast<std::size_t>(lane) * stride + static_cast<std::size_t>(r)] = word;
      }
    }
  }

  /// [groups, steps, columns / pair, lane, pair tiles, 2 registers] at word `at`.
  template <typename Value>
  void put_matrix(std::int64_t at, std::int64_t groups, std::int64_t steps, std::int64_t columns,
                  const Value& value) {
    const std::int64_t pair = columns == 1 ? 1 : 2;
    for (std::int64_t group = 0; group < groups; ++group) {
      for (std::int64_t step = 0; step < steps; ++step) {
        for (std::int64_t n = 0; n < columns; ++n) {
          const std::int64_t tile = (group * steps + step) * columns + n / pair * pair;
          put_tile(static_cast<std::size_t>(at + tile * kLaneWords + n % pair * 2),
                   static_cast<std::size_t>(pair * 2), step * 2 * run_, (group * columns + n) * 8,
                   value);
        }
      }
    }
  }

  void put_biases(std::int64_t at, const Node& node, std::int64_t outputs, float beta) {
    const std::vector<float> biases = biases_of(fusion_.graph, node, outputs, beta);
    for (std::size_t i = 0; i < biases.size(); ++i) {
      words_[static_cast<std::size_t>(at) + i] = std::bit_cast<std::uint32_t>(biases[i]);
    }
  }

  /// Element i of a layer's weights.
  float weight(const Tensor& weights, std::int64_t i) const {
    return bytes_ ? weights.as<std::int8_t>()[i] : weights.as<float>()[i];
  }

  /// A quantised layer's starts, multipliers and offsets, each with zeros up to `width`.
  void put_tables(std::int64_t at, std::int64_t width, const Node& node) {
    const RequantizeTables tables = requantize_tables(fusion_.graph, node);
    for (std::size_t i = 0; i < tables.starts.size(); ++i) {
      auto* word = words_.data() + at + i;
      word[0] = static_cast<std::uint32_t>(tables.starts[i]);
      word[width] = std::bit_cast<std::uint32_t>(tables.multipliers[i]);
      word[2 * width] = std::bit_cast<std::uint32_t>(tables.offsets[i]);
    }
  }

  void put_words_of_neighbours(const MmaConvLayer& layer, const Tensor& weights) {
    std::vector<Neighbours> words;
    auto word = words_.begin() + layer.taps;
    for (const auto& [distance, neighbours] : neighbours_) {
      words.push_back(neighbours);
      *word++ = static_cast<std::uint32_t>(distance / in_word_);
      for (std::int64_t i = 0; i < in_word_; ++i) {
        if (neighbours[static_cast<std::size_t>(i)] < 0) continue;
        *word |= (bytes_ ? 0xFFU : 0xFFFFU) << (32 / in_word_ * i);
      }
      ++word;
    }
    const std::int64_t taps = weights.shape().elements(1, 4);
    put_matrix(layer.weights, layer.groups, layer.steps, layer.columns,
               [&](std::int64_t k, std::int64_t column) {
                 const auto at = static_cast<std::size_t>(k / in_word_);
                 if (at >= words.size() || column >= layer.filters) return 0.0F;
                 const std::int64_t tap = words[at][static_cast<std::size_t>(k % in_word_)];
                 return tap < 0 ? 0.0F : weight(weights, column * taps + tap);
               });
  }

  void put_in_runs(const MmaConvLayer& layer, const MmaPlanes& from, const ops::Window& window,
                   const Tensor& weights) {
    const auto& [depth, height, width] = window;
    const std::int64_t channels = weights.shape()[1];
    const std::int64_t taps = height.kernel * width.kernel;
    const std::int64_t runs = from.channels / run_;
    auto word = words_.begin() + layer.taps;
    for (std::int64_t r = 0; r < height.kernel; ++r) {
      for (std::int64_t t = 0; t < width.kernel; ++t) {
        for (std::int64_t run = 0; run < runs; ++run) {
          const std::int64_t position = r * height.dilation * from.width + t * width.dilation;
          *word++ = static_cast<std::uint32_t>(position * from.runs + run);
        }
      }
    }
    put_matrix(layer.weights, layer.groups, layer.steps, layer.columns,
               [&](std::int64_t k, std::int64_t column) {
                 const std::int64_t tap = k / from.channels;
                 const std::int64_t channel = k % from.channels;
                 if (tap >= taps || channel >= channels || column >= layer.filters) return 0.0F;
                 return weight(weights, (column * channels + channel) * taps + tap);
               });
  }

  void put_dense(std::size_t i) {
    const DenseStage& stage = dense_[i];
    const GemmParams params = gemm_params(*stage.node);
    const MmaDenseLayer& layer = args_.dense_layers[i];
    const Tensor& weights = fusion_.weights(*stage.node);
    const std::int64_t places = std::int64_t{last().rows} * last().columns;
    const std::int64_t channels = filters(stages_.size() - 1);
    put_matrix(
        layer.weights, layer.units, layer.steps, kDenseTiles, [&](std::int64_t k, std::int64_t n) {
          if (i == 0) {
            // [place, channel] here, [channel, place] in the graph.
            const std::int64_t channel = k % last().channels;
            const std::int64_t place = k / last().channels;
            if (channel >= channels || place >= places) return 0.0F;
            k = channel * places + place;
          }
          if (k >= stage.inputs || n >= stage.outputs) return 0.0F;
          return params.alpha *
                 weight(weights, params.trans_b ? n * stage.inputs + k : k * stage.outputs + n);
        });
    if (bytes_) {
      put_tables(layer.biases, std::int64_t{layer.units} * 16, *stage.node);
    } else {
      put_biases(layer.biases, *stage.node, stage.outputs, params.beta);
    }
  }

  GemmParams gemm_params(const Node& node) const {
    if (!bytes_) return std::get<GemmParams>(node.params);
    return {.trans_b = std::get<QuantizedGemmParams>(node.params).trans_b, .activation = {}};
  }

  std::vector<std::uint32_t> pack() {
    words_.assign(static_cast<std::size_t>(total_words_), 0);
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const MmaConvLayer& layer = args_.conv_layers[i];
      const Tensor& weights = fusion_.weights(*stages_[i].node);
      if (i == 0 && args_.neighbours) {
        put_words_of_neighbours(layer, weights);
      } else {
        put_in_runs(layer, args_.planes[i], stages_[i].window, weights);
      }
      if (bytes_) {
        put_tables(layer.biases, std::int64_t{layer.groups} * layer.columns * 8, *stages_[i].node);
      } else {
        put_biases(layer.biases, *stages_[i].node, layer.filters, 1.0F);
      }
    }
    for (std::size_t i = 0; i < dense_.size(); ++i) put_dense(i);
    return std::move(words_);
  }

  /// Tells apart what else than the chain's constants the packed words hang on.
  std::string layout() const {
    std::string text = fmt::format("cnn mma {}", precision_name(fusion_.precision));
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const auto& [depth, height, width] = stages_[i].window;
      text += fmt::format(" {}x{}:{}:{}:{}", args_.planes[i].height, args_.planes[i].width,
                          height.dilation, width.dilation, args_.conv_layers[i].pool);
      if (bytes_) text += fmt::format(":{:x}", args_.planes[i].padding);
    }
    return text;
  }

  FusedPlan finish() {
    total_words_ = resident_;
    for (int i = 0; i < args_.dense; ++i) {
      MmaDenseLayer& layer = args_.dense_layers[i];
      layer.weights = static_cast<int>(total_words_);
      total_words_ += std::int64_t{layer.units} * layer.steps * kDenseTiles * kLaneWords;
      layer.biases = static_cast<int>(total_words_);
      total_words_ += tables_ * layer.units * 16;
    }
    const auto constants = pack_chain(fusion_, layout(), [&] { return pack(); });
    const std::int64_t channels = planes_at(fusion_, 0).channels;
    const auto normalization = upload_normalization(fusion_, channels);
    args_.constants = static_cast<const std::uint32_t*>(constants.get());
    if (normalization != nullptr) {
      args_.scale = static_cast<const float*>(normalization.get());
      args_.bias = args_.scale + channels;
    }
    const auto complete = [constants, normalization](CnnMmaArgs& full, const StepArgs& step) {
      full.x = step.inputs[0];
      full.y = step.outputs[0];
    };
    const std::int64_t slots = kBlocks * fusion_.limits.multiprocessors;
    const auto blocks = static_cast<unsigned>(std::clamp<std::int64_t>(args_.groups, 1, slots));
    Plan plan =
        plan_kernel(kernel(), {blocks, 1, 1}, args_, args_.images, complete, args_.shared_bytes);
    std::string detail = fmt::format("{} convolution(s)", args_.convolutions);
    if (args_.dense > 0) detail += fmt::format(" and {} dense layer(s)", args_.dense);
    detail +=
        fmt::format(" in {}, {} image(s) at once", precision_name(fusion_.precision), args_.tile);
    if (args_.dense > 0) detail += fmt::format(", {} a block", args_.group);
    detail += fmt::format(", {} of shared memory{}", kib(args_.shared_bytes),
                          two_blocks_ ? "" : ", one block on a multiprocessor");
    FusedPlan fused{std::move(plan), std::move(detail)};
    fused.rounded = rounded_;
    return fused;
  }

  KernelId kernel() const {
    if (bytes_) return KernelId::kCnnU8S8Mma;
    return fusion_.precision == Precision::kBf16 ? KernelId::kCnnBf16Mma : KernelId::kCnnF16Mma;
  }

  /// Words of a convolution's constants, as MmaConvLayer has them.
  struct Offsets {
    std::int64_t weights, biases, taps;
  };

  const Fusion& fusion_;
  const std::vector<ConvStage>& stages_;
  const std::vector<DenseStage>& dense_;
  const bool bytes_;                          ///< The numbers, instead of 16 bits each.
  const std::int64_t pack_ = bytes_ ? 2 : 1;  ///< Numbers of a halfword.
  const std::int64_t in_word_ = 2 * pack_;
  const std::int64_t run_ = 8 * pack_;
  const std::int64_t tables_ = bytes_ ? 3 : 1;  ///< Words of each output beside its weights.
  CnnMmaArgs args_{};
  std::map<std::int64_t, Neighbours> neighbours_;
  std::vector<Offsets> offsets_;
  std::vector<std::int64_t> groups_;
  std::vector<std::int64_t> runs_;  ///< Along k.
  std::int64_t resident_ = 0;       ///< Words.
  std::int64_t total_words_ = 0;
  std::vector<std::uint32_t> words_;
  bool rounded_ = false;
  bool two_blocks_ = false;
};

}  // namespace

FusedChoice plan_cnn_mma(const Fusion& fusion) { return CnnMmaPlan(fusion).choose(); }

}  // namespace prs::cuda
