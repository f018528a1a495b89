// The built-in entry: an ONNX model over image files or the records of IDX and NPY files.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <prs/error.hpp>
#include <prs/image.hpp>
#include <utility>
#include <vector>

#include "entry/kinds.hpp"
#include "entry/row_writer.hpp"
#include "entry/scorer.hpp"

namespace prs::entry {
namespace {

/// Pixels that are decoded before the engine gets them.
constexpr std::int64_t kMaxBatchBytes = std::int64_t{64} << 20;

[[noreturn]] void fail_option(const std::string& key, const std::string& value,
                              std::string_view expected) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} {}: expected {}", key, value, expected));
}

std::int64_t whole_number(const std::string& key, const std::string& value, std::int64_t low,
                          std::int64_t high) {
  std::int64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [last, error] = std::from_chars(value.data(), end, number);
  if (error != std::errc() || last != end || number < low || number > high) {
    fail_option(key, value, fmt::format("a whole number from {} to {}", low, high));
  }
  return number;
}

bool truth(const std::string& key, const std::string& value) {
  if (value == "true" || value == "True" || value == "1") return true;
  if (value == "false" || value == "False" || value == "0") return false;
  fail_option(key, value, "true or false");
}

std::vector<double> numbers(const std::string& key, const std::string& value) {
  const std::optional<std::vector<double>> parsed = parse_numbers(value);
  if (!parsed) fail_option(key, value, "a number, or numbers with commas between");
  return *parsed;
}

/// model_options as they reach the engine.
struct ModelOptions {
  EngineOptions engine;
  std::filesystem::path class_names;
  bool resize = false;
};

/// "true", "false", or "WxH" for a model that leaves its size open.
void set_resize(const std::string& value, ModelOptions& options) {
  const std::size_t cross = value.find_first_of("xX");
  options.resize = cross != std::string::npos || truth("resize", value);
  if (cross == std::string::npos) return;
  constexpr std::int64_t kMost = 1 << 20;
  PreprocessOverrides& overrides = options.engine.preprocess;
  overrides.width = whole_number("resize", value.substr(0, cross), 1, kMost);
  overrides.height = whole_number("resize", value.substr(cross + 1), 1, kMost);
}

ModelOptions model_options(const config::Step& step) {
  ModelOptions options;
  options.engine.device = step.device;
  // Several workers share the machine: each computes with one thread unless told otherwise.
  options.engine.threads = 1;
  PreprocessOverrides& overrides = options.engine.preprocess;
  for (const auto& [key, value] : step.model_options) {
    if (key == "scale") {
      overrides.scale = numbers(key, value).front();
    } else if (key == "mean") {
      overrides.mean = numbers(key, value);
    } else if (key == "std") {
      overrides.std = numbers(key, value);
    } else if (key == "layout") {
      overrides.layout = parse_layout(value);
    } else if (key == "channels") {
      overrides.channels = whole_number(key, value, 1, 3);
    } else if (key == "invert") {
      overrides.invert = truth(key, value);
    } else if (key == "resize") {
      set_resize(value, options);
    } else if (key == "output") {
      options.engine.output = value;
    } else if (key == "class_names") {
      options.class_names = value;
    } else if (key == "batch") {
      options.engine.max_batch = whole_number(key, value, 1, 1 << 24);
    } else if (key == "threads") {
      options.engine.threads = static_cast<int>(whole_number(key, value, 0, 4096));
    } else {
      fail_option("model_options." + key, value,
                  "one of scale, mean, std, layout, channels, invert, resize, output, class_names, "
                  "batch, threads");
    }
  }
  return options;
}

RowFormat row_format(config::OutputFormat format) {
  switch (format) {
    case config::OutputFormat::kText:
      return RowFormat::kText;
    case config::OutputFormat::kCsv:
      return RowFormat::kCsv;
    case config::OutputFormat::kJsonLines:
      return RowFormat::kJsonLines;
  }
  return RowFormat::kText;
}

class ModelEntry final : public Entry {
 public:
  explicit ModelEntry(const config::Step& step) : step_(step), options_(model_options(step)) {}

  void init() override {
    scorer_.emplace(load_scorer(step_.entry.path, options_.engine, options_.class_names));
    writer_.emplace(*scorer_, row_format(step_.output_format), step_.top_k, false);
    const ImageInput& input = scorer_->engine.input();
    decode_ = {.channels = input.channels,
               .height = input.height,
               .width = input.width,
               .resize = options_.resize};
    image_bytes_ = std::max<std::int64_t>(1, input.height * input.width * input.channels);
    batch_ = std::clamp<std::int64_t>(kMaxBatchBytes / image_bytes_, 1, options_.engine.max_batch);
  }

  Rows run(const dataset::MiniBatch& mini_batch) override {
    Rows rows;
    rows.header = writer_->header();
    if (mini_batch.is_records()) {
      run_records(mini_batch, rows);
    } else {
      run_files(mini_batch, rows);
    }
    return rows;
  }

  void shutdown() override {}

  std::string describe() const override {
    const Engine& engine = scorer_->engine;
    return fmt::format("{}: {} classes, on {}, images: {}", step_.entry.path.string(),
                       engine.classes(), engine.device(), describe_input(engine.input()));
  }

 private:
  void run_files(const dataset::MiniBatch& mini_batch, Rows& rows) {
    items_.clear();
    for (const std::filesystem::path& file : mini_batch.files) {
      const std::size_t at = items_.size() * static_cast<std::size_t>(image_bytes_);
      pixels_.resize(at + static_cast<std::size_t>(image_bytes_));
      try {
        arrange_pixels(read_image(file, decode_), scorer_->engine.input().layout,
                       pixels_.data() + at);
      } catch (const Error& error) {
        // A corrupt or vanished file fails alone (D10).
        if (error.code() == ErrorCode::kOutOfMemory) throw;
        rows.item_errors.push_back(error.message());
        continue;
      }
      items_.push_back({.path = file, .record = -1});
      if (static_cast<std::int64_t>(items_.size()) == batch_) score_items(rows);
    }
    score_items(rows);
  }

  void score_items(Rows& rows) {
    if (items_.empty()) return;
    const TensorView images{DType::kUint8, batch_shape(static_cast<std::int64_t>(items_.size())),
                            pixels_.data()};
    append_rows(images, rows);
    items_.clear();
  }

  void run_records(const dataset::MiniBatch& mini_batch, Rows& rows) {
    if (!records_ || records_path_ != mini_batch.record_file) {
      records_.emplace(RecordFile::open(mini_batch.record_file));
      records_path_ = mini_batch.record_file;
    }
    for (std::int64_t done = 0; done < mini_batch.record_count;) {
      const std::int64_t count = std::min(batch_, mini_batch.record_count - done);
      const std::int64_t first = mini_batch.first_record + done;
      items_.clear();
      for (std::int64_t i = 0; i < count; ++i) {
        items_.push_back({.path = mini_batch.record_file, .record = first + i});
      }
      append_rows(records_->records(first, count), rows);
      done += count;
    }
  }

  /// Scores images that belong to items_ one by one.
  void append_rows(const TensorView& images, Rows& rows) {
    const auto classes = static_cast<std::size_t>(scorer_->engine.classes());
    scores_.resize(items_.size() * classes);
    scorer_->engine.run(images, scores_);
    for (std::size_t i = 0; i < items_.size(); ++i) {
      writer_->append(items_[i], std::span(scores_).subspan(i * classes, classes), rows.text);
    }
    rows.count += static_cast<std::int64_t>(items_.size());
  }

  Shape batch_shape(std::int64_t count) const {
    const ImageInput& input = scorer_->engine.input();
    switch (input.layout) {
      case Layout::kChw:
        return {count, input.channels, input.height, input.width};
      case Layout::kHwc:
        return {count, input.height, input.width, input.channels};
      case Layout::kHw:
        return {count, input.height, input.width};
      case Layout::kFlat:
        break;
    }
    return {count, image_bytes_};
  }

  config::Step step_;
  ModelOptions options_;
  std::optional<Scorer> scorer_;
  std::optional<RowWriter> writer_;
  DecodeOptions decode_;
  std::int64_t image_bytes_ = 1;
  std::int64_t batch_ = 1;  ///< Images that the engine gets at once.
  // Reused from mini-batch to mini-batch.
  std::vector<ImageItem> items_;
  std::vector<std::uint8_t> pixels_;
  std::vector<float> scores_;
  std::optional<RecordFile> records_;
  std::filesystem::path records_path_;
};

}  // namespace

std::unique_ptr<Entry> make_model_entry(const config::Step& step) {
  return std::make_unique<ModelEntry>(step);
}

void check_model_entry(const config::Step& step) {
  const ModelOptions options = model_options(step);
  load_scorer(step.entry.path, options.engine, options.class_names);
}

}  // namespace prs::entry
