// The built-in entry: an ONNX model that classifies images or rows of tables, one row each. An
// image that cannot be read fails alone (D10): it yields no row and is told with its reason.

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
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
#include "entry/read_ahead.hpp"
#include "entry/row_collector.hpp"
#include "entry/row_writer.hpp"
#include "entry/scorer.hpp"
#include "entry/table_features.hpp"

namespace prs::entry {
namespace {

using Clock = std::chrono::steady_clock;
using profile::Stage;
using Group = std::span<const dataset::MiniBatch>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Items that are in one mini-batch, or in several that are run together.
std::int64_t items_of(Group group) {
  std::int64_t items = 0;
  for (const dataset::MiniBatch& mini_batch : group) items += mini_batch.items();
  return items;
}

/// An item of a group.
struct Place {
  std::size_t mini_batch = 0;
  std::int64_t item = 0;
};

/// The image files of a group on their way through the reader, batch after batch.
struct FileRun {
  Group group;
  std::vector<Place> places;  ///< All files.
  std::size_t begun = 0;      ///< So many of them have been given to the reader.
  /// By turns: one is read while the other is computed.
  std::array<ImageBatch, 2> batches;
};

/// A model that is loaded, with buffers that every mini-batch uses again.
/// Threads that read while files have to be waited for. A disk serves about 16 requests at once;
/// more threads of all workers read no faster. Each takes address space, which a limit counts.
int slow_threads(const config::Step& step, int workers) {
  if (step.worker_memory_limit_bytes > 0) return 0;
  return std::max(2, 16 / std::max(1, workers));
}

class ModelRunner {
 public:
  ModelRunner(const config::Step& step, const ScorerOptions& options, int workers,
              profile::Recorder* profile)
      : scorer_(load_scorer(options)),
        reader_(scorer_.engine.input(), options.resize, options.max_pixels),
        loader_(reader_.loader()),
        writer_(scorer_, step.output_format, step.top_k, false),
        step_(step),
        classes_(static_cast<std::size_t>(scorer_.engine.classes())),
        columns_(options.columns),
        batch_size_(reader_.batch_size(scorer_.engine.max_batch())),
        together_(batch_size_ * scorer_.engine.threads()),
        profile_(profile),
        read_ahead_(reader_, scorer_.engine.threads() - 1, slow_threads(step, workers), profile) {}
  ModelRunner(const ModelRunner&) = delete;  // writer_ points to scorer_.
  ModelRunner& operator=(const ModelRunner&) = delete;

  bool joins(Group group, const dataset::MiniBatch& next) const {
    const dataset::MiniBatch& last = group.back();
    if (last.is_table() || next.is_table() || last.items() == 0 || next.items() == 0) return false;
    if (items_of(group) + next.items() > together_) return false;
    if (!last.is_records()) return !next.is_records();
    return last.record_file == next.record_file &&
           last.first_record + last.record_count == next.first_record;
  }

  std::vector<SharedResult> run(Group group) {
    rows_.assign(group.size(), RowCollector(step_));
    work_s_.assign(group.size(), 0);
    if (group.front().is_table()) {
      for (const dataset::MiniBatch& mini_batch : group) run_table(mini_batch);
    } else if (group.front().is_records()) {
      run_records(group);
    } else {
      run_files(group);
    }
    std::vector<SharedResult> results(group.size());
    for (std::size_t i = 0; i < group.size(); ++i) {
      results[i] = {rows_[i].take(), work_s_[i]};
      results[i].rows.header = writer_.header();
    }
    return results;
  }

  /// Without threads to do it there is nothing to be gained.
  bool reads_ahead() const { return read_ahead_.has_threads(); }
  bool read_ahead(Group group) {
    if (group.front().is_table() || group.front().is_records()) return false;
    ahead_.push_back(begin_files(group));
    return true;
  }

  void forget() {
    for (const std::unique_ptr<FileRun>& run : ahead_) cancel(*run);
    ahead_.clear();
  }

  std::string describe(const std::string& path) const {
    const Engine& engine = scorer_.engine;
    const std::string problem = engine.device_problem();
    return fmt::format("{}: {} classes, on {}{} in {}, {} thread{}; images: {}", path,
                       engine.classes(), engine.device(),
                       problem.empty() ? "" : fmt::format(" ({})", problem),
                       precision_name(engine.precision()), engine.threads(),
                       engine.threads() == 1 ? "" : "s", describe_input(engine.input()));
  }

 private:
  static RowItem item(const dataset::MiniBatch& mini_batch, std::int64_t i) {
    if (mini_batch.is_records())
      return {mini_batch.record_file.native(), mini_batch.first_record + i};
    return {mini_batch.files[static_cast<std::size_t>(i)], -1};
  }

  /// `reason` begins with the item's name, as all messages about images do.
  void fail(std::size_t mini_batch, std::string reason) {
    rows_[mini_batch].rows().item_errors.push_back(std::move(reason));
  }

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
        add_row(0, {of.file.native(), of.first_record + in_piece++}, i);
      }
    }
  }

  void run_records(Group group) {
    // As one stretch, if nothing is wrong with any of them.
    const bool direct =
        std::all_of(group.begin(), group.end(), [&](const dataset::MiniBatch& mini_batch) {
          return open_records(mini_batch).empty() && records_->use == RecordUse::kDirect;
        });
    if (direct) return run_neighbours(group, 0, group.size());
    for (std::size_t k = 0; k < group.size(); ++k) {
      const std::string problem = open_records(group[k]);
      if (!problem.empty()) {
        for (std::int64_t i = 0; i < group[k].items(); ++i) {
          fail(k, fmt::format("{}: {}", group[k].item_name(i), problem));
        }
      } else if (records_->use == RecordUse::kDirect) {
        run_neighbours(group, k, k + 1);
      } else {
        run_decoded(group, k);
      }
    }
  }

  /// The records of mini-batches [first, end), which follow one another in the file.
  void run_neighbours(Group group, std::size_t first, std::size_t end) {
    const std::int64_t items = items_of(group.subspan(first, end - first));
    Place place{first, 0};
    for (std::int64_t done = 0; done < items; done += together_) {
      const std::int64_t count = std::min(together_, items - done);
      score(records_->file->records(group[first].first_record + done, count));
      const profile::Scope scope(profile_, Stage::kRows);
      for (std::int64_t i = 0; i < count; ++i) {
        while (place.item == group[place.mini_batch].items()) place = {place.mini_batch + 1, 0};
        add_row(place.mini_batch, item(group[place.mini_batch], place.item++), i);
      }
    }
    // Records cost the same, whichever they are.
    for (std::size_t k = first; k < end; ++k) work_s_[k] = static_cast<double>(group[k].items());
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

  /// Records that are to be made images of.
  void run_decoded(Group group, std::size_t k) {
    const Clock::time_point start = Clock::now();
    const std::int64_t items = group[k].items();
    const std::int64_t image_bytes = reader_.image_bytes();
    pixels_.resize(static_cast<std::size_t>(std::min(batch_size_, items) * image_bytes));
    for (std::int64_t next = 0; next < items;) {
      places_.clear();
      for (; next < items && static_cast<std::int64_t>(places_.size()) < batch_size_; ++next) {
        std::uint8_t* const destination =
            pixels_.data() + static_cast<std::int64_t>(places_.size()) * image_bytes;
        try {
          load_record(*records_, group[k].first_record + next, group[k].item_name(next), loader_,
                      destination);
          places_.push_back({k, next});
        } catch (const Error& error) {
          if (!is_of_item(error)) throw;
          fail(k, error.message());
        }
      }
      score_places(group, pixels_.data());
    }
    work_s_[k] = seconds_since(start);
  }

  std::unique_ptr<FileRun> begin_files(Group group) {
    auto run = std::make_unique<FileRun>();
    run->group = group;
    run->places.reserve(static_cast<std::size_t>(items_of(group)));
    for (std::size_t k = 0; k < group.size(); ++k) {
      for (std::int64_t i = 0; i < group[k].items(); ++i) run->places.push_back({k, i});
    }
    begin_batch(*run, run->batches[0]);
    return run;
  }

  /// Of the files that the reader has not been given; an empty batch when there are none.
  void begin_batch(FileRun& run, ImageBatch& batch) {
    const std::size_t end =
        std::min(run.begun + static_cast<std::size_t>(together_), run.places.size());
    batch.files.clear();
    for (; run.begun < end; ++run.begun) {
      const Place& place = run.places[run.begun];
      batch.files.push_back(
          &run.group[place.mini_batch].files[static_cast<std::size_t>(place.item)]);
    }
    if (!batch.files.empty()) read_ahead_.begin(batch);
  }

  void run_files(Group group) {
    std::unique_ptr<FileRun> run;
    const auto found = std::find_if(ahead_.begin(), ahead_.end(), [&](const auto& one) {
      return one->group.data() == group.data() && one->group.size() == group.size();
    });
    if (found == ahead_.end()) {
      run = begin_files(group);
    } else {
      run = std::move(*found);
      ahead_.erase(found);
    }
    try {
      std::size_t first = 0;
      for (std::size_t turn = 0; !run->batches[turn].files.empty(); turn = 1 - turn) {
        ImageBatch& batch = run->batches[turn];
        begin_batch(*run, run->batches[1 - turn]);
        read_ahead_.wait(batch);
        score_files(*run, first, batch);
        first += batch.files.size();
      }
    } catch (...) {
      cancel(*run);
      throw;
    }
  }

  /// The reader's threads leave its batches alone.
  void cancel(FileRun& run) {
    for (ImageBatch& batch : run.batches) read_ahead_.cancel(batch);
  }

  /// The files of `batch` are those from `first` on.
  void score_files(const FileRun& run, std::size_t first, ImageBatch& batch) {
    const Clock::time_point start = Clock::now();
    const auto image_bytes = static_cast<std::size_t>(reader_.image_bytes());
    std::optional<profile::Scope> assemble(std::in_place, profile_, Stage::kAssemble);
    places_.clear();
    for (std::size_t i = 0; i < batch.files.size(); ++i) {
      const Place& place = run.places[first + i];
      work_s_[place.mini_batch] += static_cast<double>(batch.seconds[i]);
      if (!batch.errors[i].empty()) {
        fail(place.mini_batch, std::move(batch.errors[i]));
        continue;
      }
      if (places_.size() != i) {
        std::memcpy(batch.pixels.data() + places_.size() * image_bytes,
                    batch.pixels.data() + i * image_bytes, image_bytes);
      }
      places_.push_back(place);
    }
    assemble.reset();
    score_places(run.group, batch.pixels.data());
    const double share = seconds_since(start) / static_cast<double>(batch.files.size());
    for (std::size_t i = 0; i < batch.files.size(); ++i) {
      work_s_[run.places[first + i].mini_batch] += share;
    }
  }

  /// The images of `places_`, one after the other from `pixels` on.
  void score_places(Group group, const std::uint8_t* pixels) {
    const auto count = static_cast<std::int64_t>(places_.size());
    if (count == 0) return;
    score({DType::kUint8, reader_.batch_shape(count), pixels});
    const profile::Scope scope(profile_, Stage::kRows);
    for (std::int64_t i = 0; i < count; ++i) {
      const Place& place = places_[static_cast<std::size_t>(i)];
      add_row(place.mini_batch, item(group[place.mini_batch], place.item), i);
    }
  }

  void score(const TensorView& images) {
    const profile::Scope scope(profile_, Stage::kCompute);
    scores_.resize(static_cast<std::size_t>(images.shape[0]) * classes_);
    scorer_.engine.run(images, scores_);
  }

  /// The row of the image that stands at `position` of the batch scored last.
  void add_row(std::size_t mini_batch, const RowItem& image, std::int64_t position) {
    row_.clear();
    const std::span<const float> scores(scores_);
    writer_.append(image, scores.subspan(static_cast<std::size_t>(position) * classes_, classes_),
                   row_);
    rows_[mini_batch].add(std::string_view(row_).substr(0, row_.size() - 1));
  }

  const Scorer scorer_;
  const ImageReader reader_;
  ImageLoader loader_;
  const RowWriter writer_;
  const config::Step& step_;
  std::vector<RowCollector> rows_;  ///< Of each mini-batch that is run together.
  std::vector<double> work_s_;      ///< The same.
  const std::size_t classes_;
  const std::vector<std::string> columns_;  ///< Of a table; empty: all numbers.
  const std::int64_t batch_size_;
  const std::int64_t together_;  ///< Images in one call of the engine: a batch for each thread.
  std::vector<std::unique_ptr<FileRun>> ahead_;  ///< Groups that are read and not run.
  profile::Recorder* const profile_;
  ReadAhead read_ahead_;  ///< Ends before what it may be reading.
  std::filesystem::path records_path_;
  std::optional<RecordSource> records_;  ///< The file of the last record mini-batch.
  std::vector<std::uint8_t> pixels_;     // [batch_size_, image_bytes]
  std::vector<Place> places_;            ///< What the pixels that are scored next are of.
  dataset::TableReader tables_;
  std::vector<float> features_;  // [batch_size_, reader_.image_bytes()]
  std::vector<float> scores_;    // [batch, classes_]
  std::string row_;
};

class ModelEntry : public Entry {
 public:
  ModelEntry(const config::Step& step, const Context& context)
      : step_(step),
        options_(scorer_options(step, context)),
        workers_(context.process_count),
        profile_(context.profile) {}

  void init() override {
    runner_.emplace(step_, options_, workers_, profile_);
    // What the weights were read and packed in: they lie in memory that workers share.
    ::malloc_trim(0);
  }
  Rows run(const dataset::MiniBatch& mini_batch) override {
    return std::move(run_together({&mini_batch, 1}).front().rows);
  }
  bool joins(Group group, const dataset::MiniBatch& next) const override {
    return runner_.value().joins(group, next);
  }
  std::vector<SharedResult> run_together(Group group) override {
    return runner_.value().run(group);
  }
  bool reads_ahead() const override { return runner_.value().reads_ahead(); }
  bool read_ahead(Group group) override { return runner_.value().read_ahead(group); }
  void forget() override { runner_.value().forget(); }
  void shutdown() override { runner_.reset(); }
  std::string describe() const override {
    return runner_.value().describe(step_.entry.path.string());
  }

 private:
  static ScorerOptions scorer_options(const config::Step& step, const Context& context) {
    ScorerOptions options = entry::scorer_options(step, context.process_count);
    options.engine.shared_weights = context.shared_weights;
    return options;
  }

  const config::Step step_;
  const ScorerOptions options_;
  const int workers_;
  profile::Recorder* const profile_;
  std::optional<ModelRunner> runner_;
};

}  // namespace

std::unique_ptr<Entry> load_model(const config::Step& step, const Context& context) {
  return std::make_unique<ModelEntry>(step, context);
}

void check_model(const config::Step& step, const std::optional<std::string>& gpuless) {
  ScorerOptions options = scorer_options(step, 1);
  if (gpuless && options.engine.device.starts_with("cuda")) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("device: {}: {}; leave device out, or give cpu, to compute on the CPU",
                            options.engine.device, *gpuless));
  }
  // Devices are the workers': who starts them must not touch a GPU.
  // Nor is it known here which precisions theirs have, but that int8 is computed by the CPU.
  const bool on_cpu =
      options.engine.device == "cpu" || (options.engine.device == "auto" &&
                                         (gpuless || options.engine.precision == Precision::kInt8));
  if (!on_cpu) options.engine.precision = Precision::kFp32;
  options.engine.device = "cpu";
  options.engine.threads = 1;
  // Whatever can be wrong shows with one image; the workers compile for more.
  options.engine.max_batch = 1;
  try {
    load_scorer(options);
  } catch (const Error& error) {
    if (!gpuless || error.code() != ErrorCode::kUnsupported) throw;
    throw Error(error.code(), fmt::format("{}; {}", error.message(), *gpuless));
  }
}

}  // namespace prs::entry
