// The built-in entry: an ONNX model that classifies images or rows of tables, one row each. An
// image that cannot be read fails alone (D10): it yields no row and is told with its reason.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prs/engine.hpp>
#include <prs/error.hpp>
#include <prs/image.hpp>

#include "entry/image_reader.hpp"
#include "entry/kinds.hpp"
#include "entry/model_options.hpp"
#include "entry/row_collector.hpp"
#include "entry/row_writer.hpp"
#include "entry/scorer.hpp"
#include "entry/table_features.hpp"

namespace prs::entry {
namespace {

/// Whether the item is to blame. Other errors (out of memory, a lost device) fail the try.
bool is_of_item(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kIo ||
         error.code() == ErrorCode::kUnsupported;
}

/// A model that is loaded, with buffers that every mini-batch uses again.
class ModelRunner {
 public:
  ModelRunner(const config::Step& step, const ScorerOptions& options)
      : scorer_(load_scorer(options)),
        reader_(scorer_.engine.input(), options.resize, options.max_pixels),
        writer_(scorer_, step.output_format, step.top_k, false),
        rows_(step),
        classes_(static_cast<std::size_t>(scorer_.engine.classes())),
        columns_(options.columns),
        batch_size_(reader_.batch_size(options.engine.max_batch)) {}
  ModelRunner(const ModelRunner&) = delete;  // writer_ points to scorer_.
  ModelRunner& operator=(const ModelRunner&) = delete;

  Rows run(const dataset::MiniBatch& mini_batch) {
    rows_.take();  // Of a mini-batch that failed.
    if (mini_batch.is_table()) {
      run_table(mini_batch);
    } else if (mini_batch.is_records()) {
      run_records(mini_batch);
    } else {
      run_decoded(mini_batch, nullptr);
    }
    Rows rows = rows_.take();
    rows.header = writer_.header();
    return rows;
  }

  std::string describe(const std::string& path) const {
    const Engine& engine = scorer_.engine;
    return fmt::format("{}: {} classes, on {} in {}, {} thread{}; images: {}", path,
                       engine.classes(), engine.device(), precision_name(engine.precision()),
                       engine.threads(), engine.threads() == 1 ? "" : "s",
                       describe_input(engine.input()));
  }

 private:
  static ImageItem item(const dataset::MiniBatch& mini_batch, std::int64_t i) {
    if (mini_batch.is_records()) return {mini_batch.record_file, mini_batch.first_record + i};
    return {mini_batch.files[static_cast<std::size_t>(i)], -1};
  }

  /// `reason` begins with the item's name, as all messages about images do.
  void fail(std::string reason) { rows_.rows().item_errors.push_back(std::move(reason)); }

  void run_table(const dataset::MiniBatch& mini_batch) {
    const dataset::Table table = tables_.read(mini_batch);
    const std::int64_t features = reader_.image_bytes();
    const auto columns = feature_columns(table, columns_, features);
    features_.resize(static_cast<std::size_t>(std::min(batch_size_, table.rows) * features));
    std::size_t piece = 0;
    std::int64_t in_piece = 0;
    for (std::int64_t first = 0; first < table.rows; first += batch_size_) {
      const std::int64_t count = std::min(batch_size_, table.rows - first);
      copy_features(columns, first, count, features_.data());
      score({DType::kFloat32, reader_.batch_shape(count), features_.data()});
      for (std::int64_t i = 0; i < count; ++i) {
        if (in_piece == mini_batch.pieces[piece].record_count) {
          ++piece;
          in_piece = 0;
        }
        const dataset::TablePiece& of = mini_batch.pieces[piece];
        add_row({of.file, of.first_record + in_piece++}, i);
      }
    }
  }

  void run_records(const dataset::MiniBatch& mini_batch) {
    const std::string problem = open_records(mini_batch);
    if (!problem.empty()) {
      for (std::int64_t i = 0; i < mini_batch.items(); ++i) {
        fail(fmt::format("{}: {}", mini_batch.item_name(i), problem));
      }
    } else if (records_->use == RecordUse::kDecode) {
      run_decoded(mini_batch, &*records_);
    } else {
      for (std::int64_t first = 0; first < mini_batch.items(); first += batch_size_) {
        const std::int64_t count = std::min(batch_size_, mini_batch.items() - first);
        score(records_->file->records(mini_batch.first_record + first, count));
        for (std::int64_t i = 0; i < count; ++i) add_row(item(mini_batch, first + i), i);
      }
    }
  }

  /// Makes `records_` those of the mini-batch's file: the one before, mostly. Why its records
  /// cannot be scored, or "".
  std::string open_records(const dataset::MiniBatch& mini_batch) {
    if (!records_ || records_path_ != mini_batch.record_file) {
      records_.reset();
      try {
        records_ = record_source(RecordFile::open(mini_batch.record_file), scorer_.engine);
      } catch (const Error& error) {
        if (!is_of_item(error)) throw;
        return error.message();
      }
      records_path_ = mini_batch.record_file;
    }
    if (records_->use == RecordUse::kRefuse) return records_->refusal;
    if (mini_batch.first_record + mini_batch.record_count > records_->file->count()) {
      const std::int64_t count = records_->file->count();
      records_.reset();  // The file may be put right before the next try.
      return fmt::format("{} has {} records now; it was changed after the job began",
                         mini_batch.record_file.string(), count);
    }
    return {};
  }

  /// Decodes files, or records when there is a `source`, and scores them batch by batch.
  void run_decoded(const dataset::MiniBatch& mini_batch, const RecordSource* source) {
    const std::int64_t items = mini_batch.items();
    const std::int64_t image_bytes = reader_.image_bytes();
    pixels_.resize(static_cast<std::size_t>(std::min(batch_size_, items) * image_bytes));
    for (std::int64_t next = 0; next < items;) {
      decoded_.clear();
      for (; next < items && static_cast<std::int64_t>(decoded_.size()) < batch_size_; ++next) {
        std::uint8_t* const destination =
            pixels_.data() + static_cast<std::int64_t>(decoded_.size()) * image_bytes;
        if (decode(mini_batch, next, source, destination)) decoded_.push_back(next);
      }
      const auto count = static_cast<std::int64_t>(decoded_.size());
      if (count == 0) continue;
      score({DType::kUint8, reader_.batch_shape(count), pixels_.data()});
      for (std::int64_t i = 0; i < count; ++i) {
        add_row(item(mini_batch, decoded_[static_cast<std::size_t>(i)]), i);
      }
    }
  }

  /// False when the item failed.
  bool decode(const dataset::MiniBatch& mini_batch, std::int64_t i, const RecordSource* source,
              std::uint8_t* destination) {
    try {
      if (source == nullptr) {
        reader_.read(mini_batch.files[static_cast<std::size_t>(i)], destination);
      } else {
        reader_.read(*source, mini_batch.first_record + i, mini_batch.item_name(i), destination);
      }
      return true;
    } catch (const Error& error) {
      if (!is_of_item(error)) throw;
      fail(error.message());
      return false;
    }
  }

  void score(const TensorView& images) {
    scores_.resize(static_cast<std::size_t>(images.shape[0]) * classes_);
    scorer_.engine.run(images, scores_);
  }

  /// The row of the image that stands at `position` of the batch scored last.
  void add_row(const ImageItem& image, std::int64_t position) {
    row_.clear();
    const std::span<const float> scores(scores_);
    writer_.append(image, scores.subspan(static_cast<std::size_t>(position) * classes_, classes_),
                   row_);
    rows_.add(std::string_view(row_).substr(0, row_.size() - 1));
  }

  const Scorer scorer_;
  const ImageReader reader_;
  const RowWriter writer_;
  RowCollector rows_;
  const std::size_t classes_;
  const std::vector<std::string> columns_;  ///< Of a table; empty: all numbers.
  const std::int64_t batch_size_;
  std::filesystem::path records_path_;
  std::optional<RecordSource> records_;  ///< The file of the last record mini-batch.
  std::vector<std::uint8_t> pixels_;     // [batch_size_, image_bytes]
  std::vector<std::int64_t> decoded_;    ///< Which items `pixels_` holds.
  dataset::TableReader tables_;
  std::vector<float> features_;  // [batch_size_, reader_.image_bytes()]
  std::vector<float> scores_;    // [batch, classes_]
  std::string row_;
};

class ModelEntry : public Entry {
 public:
  explicit ModelEntry(const config::Step& step) : step_(step), options_(scorer_options(step)) {}

  void init() override { runner_.emplace(step_, options_); }
  Rows run(const dataset::MiniBatch& mini_batch) override {
    return runner_.value().run(mini_batch);
  }
  void shutdown() override { runner_.reset(); }
  std::string describe() const override {
    return runner_.value().describe(step_.entry.path.string());
  }

 private:
  const config::Step step_;
  const ScorerOptions options_;
  std::optional<ModelRunner> runner_;
};

}  // namespace

std::unique_ptr<Entry> load_model(const config::Step& step) {
  return std::make_unique<ModelEntry>(step);
}

void check_model(const config::Step& step) {
  ScorerOptions options = scorer_options(step);
  // Devices are the workers': who starts them must not touch a GPU.
  // Nor is it known here which precisions theirs have.
  if (options.engine.device != "cpu") options.engine.precision = Precision::kFp32;
  options.engine.device = "cpu";
  options.engine.threads = 1;
  load_scorer(options);
}

}  // namespace prs::entry
