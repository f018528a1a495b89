#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include <prs/error.hpp>

#include "dataset/dataset.hpp"
#include "dataset/grouping.hpp"
#include "dataset/inputs.hpp"
#include "dataset/partition_format.hpp"
#include "dataset/refusal.hpp"
#include "dataset/sha256.hpp"
#include "dataset/table_pieces.hpp"
#include "dataset/value_runs.hpp"

namespace prs::dataset {
namespace {

using Unit = config::MiniBatchSize::Unit;

/// D4: for tables nobody's choice is 1 MB.
constexpr config::MiniBatchSize kDefaultTableSize{Unit::kBytes, kDefaultTableBytes, false};
/// Rows are grouped by value in pieces of this size.
constexpr config::MiniBatchSize kGroupingSize = kDefaultTableSize;
constexpr config::MiniBatchSize kWholeFile{Unit::kBytes, std::numeric_limits<std::int64_t>::max()};

void check_size(const config::MiniBatchSize& size, const std::vector<Input>& inputs) {
  if (size.value < 1) {
    fail_argument(fmt::format("mini_batch_size: {}; expected at least 1", size.value));
  }
  if (size.unit == Unit::kItems) return;
  for (const Input& input : inputs) {
    if (input.is_table || (input.folders.empty() && input.files.empty())) continue;
    fail_argument(fmt::format(
        "mini_batch_size: {} {}, but {} is image data, which is counted in files; give a number "
        "such as 10",
        size.value, size.unit == Unit::kBytes ? "bytes" : "rows",
        input.folders.empty() ? input.files.front().string() : input.folders.front().string()));
  }
}

/// What keys can be said of before any data is read (D8).
void check_keys(const InputSpec& spec, const std::vector<Input>& inputs) {
  std::vector<std::string> names;
  if (!spec.partition_format.empty()) names = PartitionFormat(spec.partition_format).names();
  const bool tables =
      std::any_of(inputs.begin(), inputs.end(), [](const Input& input) { return input.is_table; });
  if (tables) return;
  if (spec.partition_keys.empty() && names.empty()) return;
  if (spec.partition_keys.empty()) {
    fail_argument(
        "partition_format: means something for files with partition_keys only; give "
        "them, or leave it out");
  }
  if (names.empty()) {
    fail_argument(
        "partition_keys: files get their values from their paths; give "
        "partition_format, such as 'root/{user}/{season}.png'");
  }
  for (const Input& input : inputs) {
    if (!input.records.empty()) {
      fail_argument(fmt::format("partition_keys: {} holds records, which have no keys",
                                input.records.front().path.string()));
    }
  }
  for (const std::string& key : spec.partition_keys) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    fail_argument(fmt::format("partition_keys: '{}' is no name of partition_format; it has {}", key,
                              fmt::join(names, ", ")));
  }
}

/// A file of an input, or where a range of records begins: half of its SHA-256, which is as good as
/// unique and takes less memory than paths do.
struct ItemKey {
  std::uint64_t halves[2];

  ItemKey(std::int64_t input, const std::string& path, std::int64_t first_record) {
    Sha256 hash;
    hash.update(fmt::format("{} {} ", input, first_record));
    hash.update(path);
    std::memcpy(halves, hash.finish().data(), sizeof halves);
  }
  bool operator==(const ItemKey&) const = default;
};

/// In place of the number of an item's first record.
constexpr std::int64_t kFileKey = -1;
constexpr std::int64_t kGroupKey = -2;

/// The values of a group as one text; no two groups have the same.
std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += fmt::format("{} {} ", value.size(), value);
  return text;
}

struct ItemKeyHash {
  std::size_t operator()(const ItemKey& key) const { return key.halves[0]; }
};

}  // namespace

struct Partitioner::State {
  InputSpec spec;
  std::vector<Input> inputs;
  config::MiniBatchSize size;
  std::size_t input = 0;              ///< The current one, with:
  std::optional<FileStream> stream;   ///< where its files come from,
  std::size_t record_source = 0;      ///< its current record file,
  std::int64_t next_record = 0;       ///< the next record of that,
  std::optional<TablePieces> table;   ///< its current table,
  std::optional<TableFormat> format;  ///< the format of its tables, once one is known,
  std::unique_ptr<Grouping> groups;   ///< its groups, with partition keys.
  std::int64_t next_id = 0;
  std::int64_t items = 0;
  /// What skip() was told, and how often: a list may name a file twice.
  std::unordered_map<ItemKey, std::int64_t, ItemKeyHash> skipped;

  /// Whether this was skipped; once for each time it was.
  bool take_skipped(const std::string& path, std::int64_t first_record) {
    if (skipped.empty()) return false;
    const auto found = skipped.find({static_cast<std::int64_t>(input), path, first_record});
    if (found == skipped.end()) return false;
    if (--found->second == 0) skipped.erase(found);
    return true;
  }

  /// Takes the next files, records or rows of the current input; false at its end.
  bool fill(MiniBatch& batch, const std::stop_token& stop) {
    if (!inputs[input].records.empty()) return take_records(batch);
    if (!stream) stream.emplace(inputs[input], spec.sorted_entries);
    if (!spec.partition_keys.empty()) return take_group(batch, stop);
    return inputs[input].is_table ? take_rows(batch) : take_files(batch);
  }

  bool take_files(MiniBatch& batch) {
    while (static_cast<std::int64_t>(batch.files.size()) < size.value) {
      std::optional<std::string> file = stream->next();
      if (!file) break;
      if (take_skipped(*file, kFileKey)) continue;
      batch.files.push_back(std::move(*file));
    }
    return !batch.files.empty();
  }

  bool take_rows(MiniBatch& batch) {
    for (;;) {
      if (!table) {
        const std::optional<std::string> file = stream->next();
        if (!file) return false;
        table.emplace(*file, format_of(*file), size);
      }
      if (std::optional<TablePiece> piece = table->next()) {
        if (take_skipped(piece->file, piece->first_record)) continue;
        batch.table = *format;
        batch.pieces.push_back(std::move(*piece));
        return true;
      }
      table.reset();
    }
  }

  /// How `file` is read: as all tables of the input are (D1).
  const TableFormat& format_of(const std::filesystem::path& file) {
    const Input& from = inputs[input];
    TableFormat wanted = from.table;
    if (!from.has_table_format) {
      const TableFormat by_name = *table_format_of(file);
      wanted.kind = by_name.kind;
      wanted.delimiter = by_name.delimiter;
    }
    if (!format) format = wanted;
    if (*format == wanted) return *format;
    fail_argument(
        fmt::format("{}: a table of another kind than those before it; the files of an "
                    "input are of one kind",
                    file.string()));
  }

  bool take_group(MiniBatch& batch, const std::stop_token& stop) {
    if (!groups) {
      groups = std::make_unique<Grouping>();
      while (const std::optional<std::string> file = stream->next()) {
        check_not_stopped(stop);
        inputs[input].is_table ? group_rows(*file, stop) : group_file(*file);
      }
    }
    std::optional<Grouping::Group> group;
    do {
      group = groups->next();
      if (!group) return false;
    } while (take_skipped(joined(group->values), kGroupKey));
    for (std::size_t i = 0; i < group->values.size(); ++i) {
      batch.partition.emplace_back(spec.partition_keys[i], std::move(group->values[i]));
    }
    if (inputs[input].is_table) {
      batch.table = *format;
      batch.pieces = std::move(group->items);
    } else {
      for (TablePiece& item : group->items) batch.files.push_back(item.file.string());
    }
    return true;
  }

  void group_file(const std::filesystem::path& file) {
    TablePiece item;
    item.file = file;
    groups->add(key_values(spec.partition_format, file).values, item);
  }

  struct KeyValues {
    std::vector<std::string> values;     ///< In the order of the keys; "" for those of the data.
    std::vector<std::size_t> from_data;  ///< Which keys are not in the path.
  };

  KeyValues key_values(const std::string& partition_format, const std::filesystem::path& file) {
    KeyValues keys;
    std::vector<std::string> names;
    std::vector<std::string> found;
    if (!partition_format.empty()) {
      const PartitionFormat path_format(partition_format);
      names = path_format.names();
      found = path_format.values(file);
    }
    for (std::size_t i = 0; i < spec.partition_keys.size(); ++i) {
      const auto name = std::find(names.begin(), names.end(), spec.partition_keys[i]);
      const bool in_path = name != names.end();
      keys.values.push_back(in_path ? found[static_cast<std::size_t>(name - names.begin())] : "");
      if (!in_path) keys.from_data.push_back(i);
    }
    return keys;
  }

  void group_rows(const std::filesystem::path& file, const std::stop_token& stop) {
    const TableFormat& how = format_of(file);
    KeyValues keys = key_values(how.partition_format, file);
    if (keys.from_data.empty()) {
      TablePieces whole(file, how, kWholeFile);
      while (const std::optional<TablePiece> piece = whole.next()) groups->add(keys.values, *piece);
      return;
    }
    std::vector<std::string> names;
    for (const std::size_t i : keys.from_data) names.push_back(spec.partition_keys[i]);
    for_each_run(file, how, kGroupingSize, names,
                 [&](const std::vector<std::string>& values, const TablePiece& run) {
                   check_not_stopped(stop);
                   for (std::size_t i = 0; i < values.size(); ++i) {
                     keys.values[keys.from_data[i]] = values[i];
                   }
                   groups->add(keys.values, run);
                 });
  }

  bool take_records(MiniBatch& batch) {
    do {
      if (!take_range(batch)) return false;
    } while (take_skipped(batch.record_file, batch.first_record));
    return true;
  }

  bool take_range(MiniBatch& batch) {
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
    table.reset();
    format.reset();
    groups.reset();
    inputs[input] = {};  // A list may be long.
    record_source = 0;
    next_record = 0;
    ++input;
  }
};

void check_not_stopped(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped while listing the inputs");
}

Partitioner::Partitioner(InputSpec inputs, config::MiniBatchSize size)
    : state_(std::make_unique<State>()) {
  if (inputs.rank_count < 0) {
    state_->inputs = resolve_inputs(inputs);
    check_size(size, state_->inputs);
    check_keys(inputs, state_->inputs);
  }
  const bool tables = std::any_of(state_->inputs.begin(), state_->inputs.end(),
                                  [](const Input& input) { return input.is_table; });
  state_->size = tables && !size.given ? kDefaultTableSize : size;
  state_->spec = std::move(inputs);
}

Partitioner::~Partitioner() = default;

std::optional<MiniBatch> Partitioner::next(const std::stop_token& stop) {
  State& state = *state_;
  if (state.next_id < state.spec.rank_count) {
    MiniBatch batch;
    batch.id = state.next_id++;
    return batch;
  }
  for (; state.input < state.inputs.size(); state.next_input()) {
    MiniBatch batch;
    if (!state.fill(batch, stop)) continue;
    batch.id = state.next_id++;
    batch.input = static_cast<std::int64_t>(state.input);
    state.items += batch.items();
    return batch;
  }
  return std::nullopt;
}

void Partitioner::skip(const MiniBatch& listed) {
  State& state = *state_;
  state.next_id = listed.id + 1;
  state.items += listed.items();
  if (!listed.partition.empty()) {
    std::vector<std::string> values;
    for (const auto& [name, value] : listed.partition) values.push_back(value);
    ++state.skipped[{listed.input, joined(values), kGroupKey}];
    return;
  }
  for (const TablePiece& piece : listed.pieces) {
    ++state.skipped[{listed.input, piece.file, piece.first_record}];
  }
  if (listed.is_records()) ++state.skipped[{listed.input, listed.record_file, listed.first_record}];
  for (const std::string& file : listed.files) {
    ++state.skipped[{listed.input, file, kFileKey}];
  }
}

std::int64_t Partitioner::items() const { return state_->items; }

}  // namespace prs::dataset
