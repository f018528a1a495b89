// prs-gpu evaluate: how often a model is right on images whose classes are known.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "choice.hpp"
#include "commands.hpp"
#include "evaluation.hpp"
#include "failures.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "pipeline.hpp"
#include "progress.hpp"
#include "scoring_options.hpp"
#include "text.hpp"
#include "true_labels.hpp"

namespace prs::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kEvaluateExamples = R"(Examples:
  prs-gpu evaluate --model lenet.onnx --labels t10k-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz
  prs-gpu evaluate --model lenet.onnx --labels labels.csv photos/     rows: name,label
  prs-gpu evaluate --model lenet.onnx --labels photos/ photos/        photos/<class>/*.png
  prs-gpu evaluate --model lenet.onnx --labels folders 'photos/*/*.png' --format json | jq .accuracy

Labels are names of classes or their numbers. Accuracy counts the images that could be scored and have
a label; exit code 3 when others did not.
)";

/// Larger confusion matrices are left out of the text, and of the JSON.
constexpr std::int64_t kMaxTextMatrix = 30;
constexpr std::int64_t kMaxJsonMatrix = 1000;
constexpr std::size_t kMaxConfusions = 20;

struct EvaluateOptions {
  ScoringOptions scoring;
  std::string labels;
  Format format = Format::kText;
};

/// Counts predictions as they come.
class EvaluationSink : public ScoreSink {
 public:
  EvaluationSink(const ImageList& images, const Engine& engine, TrueLabels truth,
                 const std::string& labels)
      : images_(images),
        engine_(engine),
        labels_(labels),
        truth_(std::move(truth)),
        evaluation_(engine.classes()),
        progress_(images.size(), "images") {}

  void scored(std::int64_t item, std::span<const float> scores) override {
    if (const std::optional<std::int64_t> truth = truth_(item)) {
      evaluation_.add(*truth, engine_.top(scores, 1).top[0].index);
    } else {
      failed(item, fmt::format("{}: no label in {}", images_.item(item).name(), labels_));
    }
  }

  void failed(std::int64_t item, const std::string& reason) override {
    progress_.clear();
    failures_.add(images_.item(item), reason);
  }

  void batch_done(std::int64_t items_done) override { progress_.update(items_done); }

  const Evaluation& evaluation() const noexcept { return evaluation_; }
  const Failures& failures() const noexcept { return failures_; }
  Progress& progress() noexcept { return progress_; }

 private:
  const ImageList& images_;
  const Engine& engine_;
  const std::string& labels_;  ///< Where the truth comes from.
  TrueLabels truth_;
  Evaluation evaluation_;
  Failures failures_{{}, false};
  Progress progress_;
};

std::string class_table(const Evaluation& evaluation, const Scorer& scorer) {
  Table table("<>>>>");
  table.add({"class", "images", "precision", "recall", "F1"});
  for (std::int64_t i = 0; i < evaluation.classes(); ++i) {
    const ClassFigures figures = evaluation.figures(i);
    table.add({scorer.class_name(i), group_digits(figures.support),
               fmt::format("{:.4f}", figures.precision), fmt::format("{:.4f}", figures.recall),
               fmt::format("{:.4f}", figures.f1)});
  }
  return table.to_string("  ");
}

std::string matrix_table(const Evaluation& evaluation, const Scorer& scorer) {
  const std::int64_t classes = evaluation.classes();
  Table table("<" + std::string(static_cast<std::size_t>(classes), '>'));
  std::vector<std::string> header = {""};
  for (std::int64_t i = 0; i < classes; ++i) header.push_back(fmt::format("{}", i));
  table.add(std::move(header));
  for (std::int64_t truth = 0; truth < classes; ++truth) {
    std::vector<std::string> row = {scorer.class_names.empty()
                                        ? fmt::format("{}", truth)
                                        : fmt::format("{} {}", truth, scorer.class_name(truth))};
    for (std::int64_t predicted = 0; predicted < classes; ++predicted) {
      row.push_back(fmt::format("{}", evaluation.count(truth, predicted)));
    }
    table.add(std::move(row));
  }
  return "confusion matrix (rows: true, columns: predicted)\n" + table.to_string("  ");
}

std::string confusion_list(const Evaluation& evaluation, const Scorer& scorer) {
  Table table(
      ">"
      "<");
  for (const Evaluation::Confusion& confusion : evaluation.confusions(kMaxConfusions)) {
    table.add({group_digits(confusion.count),
               fmt::format("{} taken for {}", scorer.class_name(confusion.truth),
                           scorer.class_name(confusion.predicted))});
  }
  return "most frequent confusions\n" + table.to_string("  ");
}

std::string as_text(const Evaluation& evaluation, const Scorer& scorer) {
  std::string text =
      fmt::format("accuracy {:.4f} ({} of {} images)\n", evaluation.accuracy(),
                  group_digits(evaluation.correct()), group_digits(evaluation.images()));
  text += class_table(evaluation, scorer);
  text += evaluation.classes() <= kMaxTextMatrix ? matrix_table(evaluation, scorer)
                                                 : confusion_list(evaluation, scorer);
  return text;
}

std::string as_json(const Evaluation& evaluation, const Scorer& scorer, std::int64_t total,
                    std::int64_t failed) {
  Json json = {{"accuracy", evaluation.accuracy()}, {"images", total},
               {"scored", evaluation.images()},     {"failed", failed},
               {"correct", evaluation.correct()},   {"per_class", Json::array()}};
  for (std::int64_t i = 0; i < evaluation.classes(); ++i) {
    const ClassFigures figures = evaluation.figures(i);
    json["per_class"].push_back({{"class", scorer.class_name(i)},
                                 {"index", i},
                                 {"support", figures.support},
                                 {"precision", figures.precision},
                                 {"recall", figures.recall},
                                 {"f1", figures.f1}});
  }
  Json& confusion = json["confusion"] = nullptr;
  if (evaluation.classes() <= kMaxJsonMatrix) {
    confusion = Json::array();
    for (std::int64_t truth = 0; truth < evaluation.classes(); ++truth) {
      Json row = Json::array();
      for (std::int64_t predicted = 0; predicted < evaluation.classes(); ++predicted) {
        row.push_back(evaluation.count(truth, predicted));
      }
      confusion.push_back(std::move(row));
    }
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int evaluate(const EvaluateOptions& options) {
  const ImageList images = find_images(options.scoring.images);
  const Scorer scorer = load_scorer(options.scoring, images);
  const InterruptGuard guard;
  EvaluationSink sink(images, scorer.engine, read_true_labels(options.labels, images, scorer),
                      options.labels);
  const bool completed =
      score_images(scorer.engine, images, pipeline_options(options.scoring, scorer), sink);
  sink.progress().clear();
  const std::int64_t total = images.size();
  const Evaluation& evaluation = sink.evaluation();
  const Failures& failures = sink.failures();
  if (spdlog::should_log(spdlog::level::info)) {
    fmt::print(
        stderr, "{}\n{}",
        scoring_summary(evaluation.images(), failures.count(), total, sink.progress().elapsed_s()),
        failures.summary());
  }
  if (!completed) {
    fmt::print(stderr, "prs-gpu: interrupted\n");
    return kExitInterrupted;
  }
  print(options.format == Format::kText ? as_text(evaluation, scorer)
                                        : as_json(evaluation, scorer, total, failures.count()));
  return failures.count() == 0 ? kExitDone : kExitSomeFailed;
}

}  // namespace

void add_evaluate(CLI::App& app, Command& chosen) {
  CLI::App& command = *app.add_subcommand("evaluate", "Compare a model's answers with the truth");
  const auto options = std::make_shared<EvaluateOptions>();
  add_model_options(command, options->scoring);
  command
      .add_option("--labels", options->labels,
                  "True classes: IDX or NPY file, CSV name,label, folder of classes, or 'folders'")
      ->required()
      ->type_name("LABELS");
  add_image_options(command, options->scoring, "--class-names");
  add_format(command, options->format);
  add_preprocess_options(command, options->scoring);
  command.footer(kEvaluateExamples);
  command.callback([options, &chosen] { chosen = [options] { return evaluate(*options); }; });
}

}  // namespace prs::cli
