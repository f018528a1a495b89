#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include <prs/error.hpp>

#include "dataset/dataset.hpp"
#include "dataset/inputs.hpp"

namespace prs::dataset {
namespace {

using Unit = config::MiniBatchSize::Unit;

void check_size(const config::MiniBatchSize& size, const std::vector<Input>& inputs) {
  if (size.value < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("mini_batch_size: {}; expected at least 1", size.value));
  }
  if (size.unit == Unit::kItems) return;
  for (const Input& input : inputs) {
    if (input.folder.empty() && input.files.empty()) continue;
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("mini_batch_size: {} {}, but {} is counted in "
                    "files; give a number such as 10",
                    size.value, size.unit == Unit::kBytes ? "bytes" : "rows",
                    input.folder.empty() ? input.files.front().string() : input.folder.string()));
  }
}

}  // namespace

struct Partitioner::State {
  std::vector<Input> inputs;
  config::MiniBatchSize size;
  std::size_t input = 0;             ///< The current one, with:
  std::optional<FileStream> stream;  ///< where its files come from,
  std::size_t record_source = 0;     ///< its current record file,
  std::int64_t next_record = 0;      ///< the next record of that.
  std::int64_t next_id = 0;
  std::int64_t items = 0;

  /// Takes the next files or records of the current input; false at its end.
  bool fill(MiniBatch& batch) {
    return inputs[input].records.empty() ? take_files(batch) : take_records(batch);
  }

  bool take_files(MiniBatch& batch) {
    if (!stream) stream.emplace(inputs[input]);
    while (static_cast<std::int64_t>(batch.files.size()) < size.value) {
      std::optional<std::filesystem::path> file = stream->next();
      if (!file) break;
      batch.files.push_back(std::move(*file));
    }
    return !batch.files.empty();
  }

  bool take_records(MiniBatch& batch) {
    const std::vector<RecordInput>& sources = inputs[input].records;
    while (record_source < sources.size() && next_record == sources[record_source].count) {
      ++record_source;
      next_record = 0;
    }
    if (record_source == sources.size()) return false;
    const RecordInput& source = sources[record_source];
    const std::int64_t wanted = size.unit == Unit::kBytes
                                    ? std::max<std::int64_t>(1, size.value / source.record_bytes)
                                    : size.value;
    batch.record_file = source.path;
    batch.first_record = next_record;
    batch.record_count = std::min(wanted, source.count - next_record);
    next_record += batch.record_count;
    return true;
  }

  void next_input() {
    stream.reset();
    inputs[input] = {};  // A list may be long.
    record_source = 0;
    next_record = 0;
    ++input;
  }
};

Items items_of(const config::EntrySpec& entry) {
  return entry.kind == config::EntrySpec::Kind::kScript ? Items::kFiles : Items::kImages;
}

Partitioner::Partitioner(std::vector<std::string> inputs, config::MiniBatchSize size, Items items)
    : state_(std::make_unique<State>()) {
  state_->inputs = resolve_inputs(inputs, items);
  state_->size = size;
  check_size(size, state_->inputs);
}

Partitioner::~Partitioner() = default;

std::optional<MiniBatch> Partitioner::next() {
  State& state = *state_;
  for (; state.input < state.inputs.size(); state.next_input()) {
    MiniBatch batch;
    if (!state.fill(batch)) continue;
    batch.id = state.next_id++;
    batch.input = static_cast<std::int64_t>(state.input);
    state.items += batch.items();
    return batch;
  }
  return std::nullopt;
}

std::int64_t Partitioner::items() const { return state_->items; }

}  // namespace prs::dataset
