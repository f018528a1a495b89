// prs-gpu quantize: a float model as one of 8-bit integers, and what that costs in accuracy.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "entry/calibration.hpp"
#include "failures.hpp"
#include "interrupt.hpp"
#include "load_engine.hpp"
#include "output.hpp"
#include "pipeline.hpp"
#include "progress.hpp"
#include "scoring_options.hpp"
#include "text.hpp"
#include "true_labels.hpp"

namespace prs::cli {
namespace {

constexpr const char* kQuantizeExamples = R"(Examples:
  prs-gpu quantize cnn.onnx --calibrate train/ -o cnn.int8.onnx
  prs-gpu quantize cnn.onnx --calibrate t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz \
      -o cnn.int8.onnx
  prs-gpu score --model cnn.int8.onnx --precision int8 photos/

The first --images of the images give the ranges of the activations; all of them are scored by both
models, which are compared. The file is an ONNX model with QuantizeLinear and DequantizeLinear, which
other runtimes read too. Sidecar files (cnn.prs.json, cnn.labels.txt) are not copied.
)";

struct QuantizeOptions {
  ScoringOptions scoring;
  std::string labels;
  std::filesystem::path output;
  bool overwrite = false;
};

/// The best class of each image; -1 for those that failed.
class TopClassSink : public ScoreSink {
 public:
  TopClassSink(const Engine& engine, std::int64_t images)
      : engine_(engine), top_(static_cast<std::size_t>(images), -1), progress_(images, "images") {}

  void scored(std::int64_t item, std::span<const float> scores) override {
    top_[static_cast<std::size_t>(item)] = engine_.top(scores, 1).top[0].index;
  }
  void failed(std::int64_t, const std::string& reason) override {
    progress_.clear();
    spdlog::warn("{}", reason);
  }
  void batch_done(std::int64_t items_done) override { progress_.update(items_done); }

  const std::vector<std::int64_t>& top() {
    progress_.clear();
    return top_;
  }

 private:
  const Engine& engine_;
  std::vector<std::int64_t> top_;
  Progress progress_;
};

/// Nothing when it was interrupted.
std::optional<std::vector<std::int64_t>> top_classes(const Scorer& scorer, const ImageList& images,
                                                     const QuantizeOptions& options) {
  TopClassSink sink(scorer.engine, images.size());
  if (!score_images(scorer.engine, images, pipeline_options(options.scoring, scorer), sink)) {
    return std::nullopt;
  }
  return sink.top();
}

double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string comparison(const std::vector<std::int64_t>& before,
                       const std::vector<std::int64_t>& after, const TrueLabels& truth) {
  std::int64_t images = 0;
  std::int64_t equal = 0;
  std::int64_t labelled = 0;
  std::int64_t right_before = 0;
  std::int64_t right_after = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] < 0 || after[i] < 0) continue;
    ++images;
    equal += before[i] == after[i] ? 1 : 0;
    const auto label = truth ? truth(static_cast<std::int64_t>(i)) : std::nullopt;
    if (!label) continue;
    ++labelled;
    right_before += *label == before[i] ? 1 : 0;
    right_after += *label == after[i] ? 1 : 0;
  }
  std::string text = fmt::format("same class as fp32: {:.2f} % of {} images\n",
                                 percent(equal, images), group_digits(images));
  if (labelled > 0) {
    text += fmt::format("accuracy: fp32 {:.2f} %, int8 {:.2f} % of {} images\n",
                        percent(right_before, labelled), percent(right_after, labelled),
                        group_digits(labelled));
  }
  return text;
}

int quantize(QuantizeOptions options) {
  ScoringOptions& scoring = options.scoring;
  // On the CPU, which has 8-bit integers; what the file says hangs on no device.
  scoring.engine.device = "cpu";
  const ImageList images = find_images(scoring.calibrate);
  // Before the work is done that it is for.
  Output output = Output::create(options.output, options.overwrite);
  const InterruptGuard guard;
  const EngineOptions as_float = entry::engine_options(scoring);
  const Scorer before = entry::make_scorer(load_engine(scoring.model, as_float), scoring);
  const entry::CalibrationImages calibration(images, before.engine, scoring);
  const std::string bytes = Engine::quantize(scoring.model, calibration.view(), as_float);
  EngineOptions as_int8 = as_float;
  as_int8.precision = Precision::kInt8;
  as_int8.calibration = calibration.view();
  const Scorer after = entry::make_scorer(load_engine(scoring.model, as_int8), scoring);
  const TrueLabels truth =
      options.labels.empty() ? TrueLabels() : read_true_labels(options.labels, images, before);
  const auto top_before = top_classes(before, images, options);
  const auto top_after = top_before ? top_classes(after, images, options) : std::nullopt;
  if (!top_after) {
    fmt::print(stderr, "prs-gpu: interrupted\n");
    return kExitInterrupted;
  }
  output.append(bytes);
  output.commit();
  print(fmt::format("{}: calibrated on {} images\n{}", options.output.string(),
                    group_digits(calibration.view().shape[0]),
                    comparison(*top_before, *top_after, truth)));
  return kExitDone;
}

}  // namespace

void add_quantize(CLI::App& app, Command& chosen) {
  CLI::App& command =
      *app.add_subcommand("quantize", "Write a float model as one of 8-bit integers");
  const auto options = std::make_shared<QuantizeOptions>();
  command.add_option("--model,model", options->scoring.model, "ONNX model")
      ->required()
      ->type_name("FILE");
  add_calibration_options(command, options->scoring)
      ->required()
      ->description("Typical images, which tell what values the layers take");
  command.add_option("-o,--output", options->output, "The quantised model")
      ->required()
      ->type_name("FILE");
  command
      .add_option("--labels", options->labels,
                  "True classes of the images, as for evaluate: accuracy is compared too")
      ->type_name("LABELS");
  command.add_flag("--overwrite", options->overwrite, "Replace a file that exists");
  add_preprocess_options(command, options->scoring);
  command.footer(kQuantizeExamples);
  command.callback([options, &chosen] { chosen = [options] { return quantize(*options); }; });
}

}  // namespace prs::cli
