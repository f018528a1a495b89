// The engine: scores images with an ONNX model. The door for programs that embed prs-gpu.
//
//   prs::Engine engine = prs::Engine::load("lenet.onnx");
//   prs::TensorView images{prs::DType::kUint8, {n, 28, 28}, pixels};
//   std::vector<float> scores = engine.run(images);            // [n, engine.classes()]
//   for (const prs::Prediction& p : engine.classify(images)) std::cout << p.top[0].label << '\n';
//
// An Engine is immutable and cheap to copy (copies share the model). All const members may be
// called from several threads at once. Every failure is a prs::Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "prs/error.hpp"
#include "prs/export.hpp"
#include "prs/image.hpp"
#include "prs/model.hpp"
#include "prs/precision.hpp"
#include "prs/profile.hpp"
#include "prs/tensor.hpp"

namespace prs {

/// What turns pixels into model input: value = (pixel * scale - mean[c]) / std[c], where pixel is
/// first replaced by 255 - pixel when invert is set. Applied to u8 images only.
struct Preprocess {
  double scale = 1.0 / 255.0;
  std::vector<double> mean = {0.0};  ///< One value, or one a channel.
  std::vector<double> std = {1.0};   ///< One value, or one a channel.
  bool invert = false;
  /// The model takes its three channels as blue, green, red; mean and std are in that order. Pixels
  /// are given as red, green, blue all the same.
  bool bgr = false;
};

/// Settings that overrule what the model's metadata or sidecar file say.
struct PreprocessOverrides {
  std::optional<double> scale;
  std::optional<std::vector<double>> mean;
  std::optional<std::vector<double>> std;
  std::optional<bool> invert;
  std::optional<bool> bgr;
  std::optional<Layout> layout;
  std::optional<std::int64_t> channels;
  std::optional<std::int64_t> height;  ///< For models that leave the image size open.
  std::optional<std::int64_t> width;
};

/// The processors that this process may use, at least 1: those of its affinity mask, or fewer where
/// a cgroup's quota gives it less time than that (1.5 processors' time counts as 2).
PRS_API int available_processors();

struct EngineOptions {
  std::string device = "auto";  ///< "auto", "cpu", "cuda" or "cuda:N".
  /// What products are computed in. Throws unsupported at load when the device has not got it.
  Precision precision = Precision::kFp32;
  /// int8 of a float model: u8 images as run() takes them, typical ones, that it is quantised for
  /// first; looked at while loading only. A model that is quantised already needs none.
  TensorView calibration;
  int threads = 0;  ///< Threads that share one run; 0: available_processors().
  /// Images computed at once by one thread; larger runs are chunked. 0: as the device has it best,
  /// which Engine::max_batch() tells.
  std::int64_t max_batch = 0;
  /// Where processes of one machine keep the weights of a model once for all of them: a descriptor,
  /// open for reading and writing, of a file that all of them were given and that was empty
  /// (memfd_create); duplicated while loading. -1: the engine has its own.
  int shared_weights = -1;
  std::string output;  ///< Name of the output to score; empty: the model's first.
  PreprocessOverrides preprocess;
  /// Names of the classes, one a score (none: numbers). Unset: the model's own, when their count
  /// fits the output; ImageInput::origins tells when it does not.
  std::optional<std::vector<std::string>> labels;
  ModelLimits limits;
};

/// How the model takes images.
struct ImageInput {
  std::string name;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
  Layout layout = Layout::kChw;
  Preprocess preprocess;
  /// Where each setting came from, for logs: "layout: from the input's shape [N,1,28,28]", ...
  std::vector<std::string> origins;
};

struct Score {
  std::int64_t index = 0;
  float score = 0.0F;
  std::string label;  ///< The index in digits when the model has no labels.
};

struct Prediction {
  std::vector<Score> top;  ///< Highest first; ties by lower index; NaN last.
};

class PRS_API Engine {
 public:
  /// Loads a model and prepares it. Throws invalid model, unsupported, io, out of memory; invalid
  /// argument for options that do not fit, or a model whose input is no image.
  static Engine load(const std::filesystem::path& path, const EngineOptions& options = {});

  /// The float model as a quantised one, an ONNX file's bytes: i8 weights, u8 activations in the
  /// ranges that they take on these images (u8, as run() takes them). The options are those of
  /// load(). Throws as load(); invalid argument when there is nothing to quantise, or it is done
  /// already; unsupported for opsets below 10 and weights in other files.
  static std::string quantize(const std::filesystem::path& path, const TensorView& images,
                              const EngineOptions& options = {});

  const ImageInput& input() const noexcept;
  std::int64_t classes() const noexcept;                 ///< Scores per image.
  std::span<const std::string> labels() const noexcept;  ///< Empty, or one a class.
  /// "cpu", "cuda:0"; "cuda:0 or cpu" where each batch size has its own.
  std::string device() const;
  /// With device "auto": why a GPU that is there is not used, "cuda:0: ..."; "" when it is.
  std::string device_problem() const;
  Precision precision() const noexcept;
  int threads() const noexcept;
  /// EngineOptions::max_batch, or the device's own. Runs of fewer images a thread may leave it
  /// idle.
  std::int64_t max_batch() const noexcept;

  /// Scores a batch into `scores`, [N, classes()] row-major.
  ///
  /// images: u8 pixels (the preprocessing is applied) or f32 values that are the model's input
  /// already (no preprocessing). Shape [N, ...] where the rest is the model's own layout, or
  /// [H, W, C], [C, H, W], [H, W] or [H*W*C] with the model's extents (arranged as needed; with
  /// equal shapes the model's own layout wins). N may be 0 and of any size.
  /// Throws invalid argument naming the shapes that fit; otherwise as Model::run. After the first
  /// calls of a batch size it allocates no memory.
  void run(const TensorView& images, std::span<float> scores) const;

  /// The same into a vector of its own.
  std::vector<float> run(const TensorView& images) const;

  /// The top_k best classes of each image; top_k is cut to classes().
  std::vector<Prediction> classify(const TensorView& images, std::int64_t top_k = 1) const;

  /// The top_k best of one image's scores.
  Prediction top(std::span<const float> scores, std::int64_t top_k) const;

  /// The model with the plan that `batch` u8 images of one thread's chunk go through.
  ModelDescription describe(std::int64_t batch) const;

  /// What the steps of that plan take, measured for about `seconds` each on random pixels. Throws
  /// unsupported where the plan runs on no GPU; otherwise as run().
  RunProfile profile(std::int64_t batch, double seconds) const;

 private:
  struct State;
  explicit Engine(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace prs
