#include <fmt/format.h>

#include <algorithm>
#include <prs/error.hpp>
#include <prs/image.hpp>
#include <utility>

#include "dataset/dataset.hpp"
#include "dataset/source.hpp"

namespace prs::dataset {
namespace {

using Unit = config::MiniBatchSize::Unit;

}  // namespace

struct Partitioner::State {
  State(std::vector<std::string> inputs, config::MiniBatchSize the_size)
      : source(std::move(inputs)), size(the_size) {}

  FileSource source;
  config::MiniBatchSize size;
  std::int64_t next_id = 0;
  std::int64_t items = 0;
  std::optional<SourceFile> ahead;  ///< Read, but of the next mini-batch.
  // The record file being cut.
  SourceFile records;
  std::int64_t record_count = 0;
  std::int64_t next_record = 0;
  std::int64_t records_per_batch = 1;
  // D1: all inputs are of one kind.
  bool kind_known = false;
  bool of_records = false;
  std::string first_path;

  std::optional<SourceFile> next_file() {
    if (ahead) return std::exchange(ahead, std::nullopt);
    std::optional<SourceFile> file = source.next();
    if (!file) return file;
    if (!std::exchange(kind_known, true)) {
      of_records = file->is_records;
      first_path = file->path.string();
    }
    if (file->is_records != of_records) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("inputs must be of one kind: {} holds records (IDX, NPY), {} is an "
                              "image",
                              (file->is_records ? file->path.string() : first_path),
                              (file->is_records ? first_path : file->path.string())));
    }
    return file;
  }

  MiniBatch finish(MiniBatch mini_batch) {
    mini_batch.id = next_id++;
    items += mini_batch.items();
    return mini_batch;
  }

  std::optional<MiniBatch> next_of_files() {
    std::optional<SourceFile> file = next_file();
    if (!file) return std::nullopt;
    if (file->is_records) {
      ahead = std::move(file);
      return next_of_records();
    }
    if (size.unit == Unit::kBytes) {
      throw Error(ErrorCode::kInvalidArgument,
                  "mini_batch_size in bytes is for record files; for images it is a number of "
                  "files");
    }
    MiniBatch mini_batch;
    mini_batch.input = file->input;
    while (file && file->input == mini_batch.input) {
      mini_batch.files.push_back(std::move(file->path));
      if (static_cast<std::int64_t>(mini_batch.files.size()) == size.value) {
        return finish(std::move(mini_batch));
      }
      file = next_file();
    }
    ahead = std::move(file);
    return finish(std::move(mini_batch));
  }

  std::optional<MiniBatch> next_of_records() {
    while (next_record == record_count) {
      std::optional<SourceFile> file = next_file();
      if (!file) return std::nullopt;
      open_records(std::move(*file));
    }
    MiniBatch mini_batch;
    mini_batch.input = records.input;
    mini_batch.record_file = records.path;
    mini_batch.first_record = next_record;
    mini_batch.record_count = std::min(records_per_batch, record_count - next_record);
    next_record += mini_batch.record_count;
    return finish(std::move(mini_batch));
  }

  void open_records(SourceFile file) {
    const RecordFile opened = RecordFile::open(file.path);
    records = std::move(file);
    record_count = opened.count();
    next_record = 0;
    records_per_batch = size.value;
    if (size.unit != Unit::kBytes) return;
    // D3, D5: approximately so many bytes, but one record at least.
    const std::int64_t record_bytes = buffer_bytes(opened.dtype(), opened.record_shape());
    records_per_batch =
        std::max<std::int64_t>(1, size.value / std::max<std::int64_t>(1, record_bytes));
  }
};

Partitioner::Partitioner(std::vector<std::string> inputs, config::MiniBatchSize size)
    : state_(std::make_unique<State>(std::move(inputs), size)) {}

Partitioner::~Partitioner() = default;

std::optional<MiniBatch> Partitioner::next() {
  return state_->of_records ? state_->next_of_records() : state_->next_of_files();
}

std::int64_t Partitioner::items() const { return state_->items; }

}  // namespace prs::dataset
