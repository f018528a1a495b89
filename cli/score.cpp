// prs-gpu score: the classes of images, one row an image, in the order they were given.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "choice.hpp"
#include "commands.hpp"
#include "entry/row_writer.hpp"
#include "errors.hpp"
#include "failures.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "pipeline.hpp"
#include "progress.hpp"
#include "scoring_options.hpp"

namespace prs::cli {

using config::OutputFormat;
using entry::RowWriter;

namespace {

constexpr const char* kScoreExamples = R"(Examples:
  prs-gpu score --model lenet.onnx photos/                       a folder and all below it
  prs-gpu score --model lenet.onnx 'photos/**/*.png' more.jpg    globs and files
  prs-gpu score --model lenet.onnx t10k-images-idx3-ubyte.gz     the records of an IDX file
  find . -name '*.png' | prs-gpu score --model lenet.onnx -      a list
  prs-gpu score --model lenet.onnx --format csv --top-k 3 --output scores.csv photos/
  prs-gpu score --model lenet.onnx --format jsonl --scores photos/ | jq .scores

Rows keep the order of the images. Images that cannot be read are reported on standard error and left
out. Exit code: 0 all scored, 1 error, 2 usage, 3 some images failed, 130 interrupted.
)";

struct ScoreOptions {
  ScoringOptions scoring;
  OutputFormat format = OutputFormat::kText;
  std::int64_t top_k = 1;
  bool all_scores = false;
  std::filesystem::path output;
  std::filesystem::path failures;
  bool overwrite = false;
};

/// Writes a row for each image as it is scored.
class RowSink : public ScoreSink {
 public:
  RowSink(const ImageList& images, const RowWriter& writer, Output& output, Failures& failures)
      : images_(images),
        writer_(writer),
        output_(output),
        failures_(failures),
        progress_(images.size(), "images") {}

  void scored(std::int64_t item, std::span<const float> scores) override {
    row_.clear();
    writer_.append(images_.item(item), scores, row_);
    output_.append(row_);
    ++scored_;
  }

  void failed(std::int64_t item, const std::string& reason) override {
    progress_.clear();
    failures_.add(images_.item(item), reason);
  }

  void batch_done(std::int64_t items_done) override {
    output_.flush();
    failures_.flush();
    progress_.update(items_done);
  }

  /// Ends the progress line; what there is to say in the end.
  std::string summary() {
    progress_.clear();
    return scoring_summary(scored_, failures_.count(), images_.size(), progress_.elapsed_s());
  }

 private:
  const ImageList& images_;
  const RowWriter& writer_;
  Output& output_;
  Failures& failures_;
  Progress progress_;
  std::int64_t scored_ = 0;
  std::string row_;
};

int score(const ScoreOptions& options) {
  if (options.all_scores && options.format == OutputFormat::kText) {
    throw UsageError("--scores needs --format csv or --format jsonl");
  }
  if (!options.output.empty() && !options.failures.empty() &&
      write_the_same(options.output, options.failures)) {
    fail_usage("--output {} and --failures {} would write the same file", options.output.string(),
               options.failures.string());
  }
  const ImageList images = find_images(options.scoring.images);
  const Scorer scorer = load_scorer(options.scoring, images);
  Output output = options.output.empty() ? Output::standard_output()
                                         : Output::create(options.output, options.overwrite);
  Failures failures(options.failures, options.overwrite);
  const RowWriter writer(scorer, options.format, options.top_k, options.all_scores);
  output.append(writer.header());

  const InterruptGuard guard;
  RowSink sink(images, writer, output, failures);
  const bool completed =
      score_images(scorer.engine, images, pipeline_options(options.scoring, scorer), sink);
  if (completed) {
    output.commit();
    failures.commit();
  } else {
    output.flush();
    failures.flush();
  }
  const std::string summary = sink.summary();
  if (spdlog::should_log(spdlog::level::info)) {
    fmt::print(stderr, "{}\n{}", summary, failures.summary());
  }
  if (!completed) {
    fmt::print(stderr, "prs-gpu: interrupted; finished rows are in {}\n", output.name());
    return kExitInterrupted;
  }
  return failures.count() == 0 ? kExitDone : kExitSomeFailed;
}

}  // namespace

void add_score(CLI::App& app, Command& chosen) {
  CLI::App& command = *app.add_subcommand("score", "Classify images with a model");
  const auto options = std::make_shared<ScoreOptions>();
  add_model_options(command, options->scoring);
  add_image_options(command, options->scoring, "--labels,--class-names");
  add_choice<OutputFormat>(command, "--format", options->format,
                           {{"text", OutputFormat::kText},
                            {"csv", OutputFormat::kCsv},
                            {"jsonl", OutputFormat::kJsonLines}},
                           "text (name: class), csv or jsonl");
  command.add_option("--top-k", options->top_k, "Best classes of each image")
      ->type_name("K")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 31).description(""))
      ->capture_default_str();
  command.add_flag("--scores", options->all_scores, "All scores of each image (csv, jsonl)");
  command.add_option("--output", options->output, "Write to FILE, which appears when complete")
      ->type_name("FILE");
  command.add_option("--failures", options->failures, "List all images that failed, with reasons")
      ->type_name("FILE");
  command.add_flag("--overwrite", options->overwrite, "Replace files that exist");
  add_preprocess_options(command, options->scoring);
  command.footer(kScoreExamples);
  command.callback([options, &chosen] { chosen = [options] { return score(*options); }; });
}

}  // namespace prs::cli
