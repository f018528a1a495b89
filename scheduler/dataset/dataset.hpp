// Cutting inputs into mini-batches (section D of docs/semantics.md), as a stream: the first
// mini-batch is there before the last file is listed, and never are all paths in memory.
//
// A mini-batch is a description, never bytes: paths, a record file and a range in it, or pieces of
// tables.
//
//   Partitioner partitioner(input_spec(step), size);        // checks that every input exists
//   ListingWriter listing(folder / "listing");              // mini-batch k stays k for ever (D7)
//   while (auto mini_batch = partitioner.next()) listing.append(*mini_batch);
//   listing.finish();
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/step.hpp"
#include "dataset/table_format.hpp"

namespace prs::dataset {

/// One mini-batch: files (an item is a file), records of one file (an item is a record), or pieces
/// of tables (an item is a row; table.hpp reads them).
struct MiniBatch {
  std::int64_t id = 0;     ///< 0, 1, 2, ... within the job.
  std::int64_t input = 0;  ///< Index of the input it comes from; a mini-batch never mixes them.
  /// Texts: std::filesystem::path takes its parts apart, of millions of files for nothing.
  std::vector<std::string> files;
  std::filesystem::path record_file;  ///< Set for records; `files` is empty then.
  std::int64_t first_record = 0;
  std::int64_t record_count = 0;
  /// Set for tables. One piece, or with partition keys the pieces that have the same values.
  std::vector<TablePiece> pieces;
  TableFormat table;          ///< How to read `pieces`.
  PartitionValues partition;  ///< With partition keys (D8): of files and of tables.

  bool is_records() const { return !record_file.empty(); }
  bool is_table() const { return !pieces.empty(); }
  std::int64_t items() const;
  /// "path" of file i, "file.idx#17", or "file.csv#17" (rows count from 0, without the header):
  /// what logs and rows call the item.
  std::string item_name(std::int64_t i) const;
};

/// A compact self-contained form for the listing and the wire. serialize() throws invalid argument
/// for what is no mini-batch (a negative number, an empty path, files and records together);
/// parse() for anything that serialize() cannot have written.
std::string serialize(const MiniBatch& mini_batch);
MiniBatch parse(std::string_view bytes);

/// What the mini-batches are cut from.
struct InputSpec {
  /// Implicit: image files and record files need no more than names.
  InputSpec(std::vector<std::string> names = {}) : inputs(std::move(names)) {}
  InputSpec(std::initializer_list<std::string> names) : inputs(names) {}

  /// Files, folders (recursive), globs, @lists, IDX(.gz) and NPY files, tables (.csv .tsv .jsonl
  /// .ndjson, these also .gz, .parquet), MLTable files or folders with one.
  std::vector<std::string> inputs;
  config::InputKind kind = config::InputKind::kAuto;
  bool all_files = false;   ///< Folders give every file that is not hidden, not image files only.
  bool cut_records = true;  ///< IDX and NPY files are their records; else files like any other.
  std::vector<std::string> partition_keys;
  std::string partition_format;
  /// D9: so many mini-batches without input; `inputs` mean nothing then. -1: none.
  std::int64_t rank_count = -1;
  /// Folders of more entries than that are not sorted (D7), and no more names are in memory.
  std::size_t sorted_entries = 100'000;
};

/// That of a step: a script or a plugin gets every file of a folder, a script no records.
InputSpec input_spec(const config::Step& step);

/// Whether the inputs say by name or kind that they are tables. Looks at no data.
bool names_tables(const InputSpec& spec);

/// Gives the mini_batch_size of a step with tables its meaning there, in the settings' table too: a
/// number without a unit is bytes (D3), and 1 MB when nobody chose it (D4).
void settle_mini_batch_size(config::Step& step);

/// Throws cancelled when a stop is asked for.
void check_not_stopped(const std::stop_token& stop);

class Partitioner {
 public:
  /// The inputs are of one kind (D1): files, record files, or tables. Which one (`kind` is kAuto):
  /// an MLTable and files with a table's extension are tables; a folder is one of files.
  ///
  /// Bytes and rows as unit hold for records and rows; at least one is taken, and for tables a
  /// number without a unit is bytes (D3). With partition keys `size` means nothing (D8): each
  /// combination of values is one mini-batch, in the order in which they first appear.
  /// An input without items (an empty folder or list, a table without rows) is none the worse
  /// (D10). The paths given out are absolute. Throws invalid argument or io naming the input.
  Partitioner(InputSpec inputs, config::MiniBatchSize size);
  ~Partitioner();
  Partitioner(const Partitioner&) = delete;
  Partitioner& operator=(const Partitioner&) = delete;

  /// The next mini-batch with the next id, or nothing at the end. Throws io when a folder cannot be
  /// listed or a table not be read, invalid argument for a path that does not have the
  /// partition_format. A file (not a table) that has vanished meanwhile is given out all the same:
  /// whoever reads it fails that item alone (D10). Throws cancelled when `stop` is asked for while
  /// inputs are being grouped.
  std::optional<MiniBatch> next(const std::stop_token& stop = {});
  /// Before the first next(), for a listing that was interrupted: these items are not given out
  /// again, whatever has come to stand before them or the order in which a large folder is listed
  /// now, and the next mini-batch gets the id after this one. Takes about 50 bytes an item.
  void skip(const MiniBatch& listed);
  /// Items given out so far.
  std::int64_t items() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Appends mini-batches to a file and remembers where each lies (8 bytes a mini-batch in memory).
/// The file survives the end of the process at any moment; finish() makes it survive the machine's.
/// One thread at a time. Throws io naming the file; internal for calls that break the order.
class ListingWriter {
 public:
  /// Creates or, with `resume`, reopens the file behind the last whole record (a torn tail is cut;
  /// a missing file is created). Without `resume` a file that is there is replaced. Throws invalid
  /// argument when the file is no listing.
  ListingWriter(const std::filesystem::path& path, bool resume);
  ~ListingWriter();
  ListingWriter(const ListingWriter&) = delete;
  ListingWriter& operator=(const ListingWriter&) = delete;

  /// Their ids follow one another from size() on. One write; after an error the listing is as
  /// before.
  void append(std::span<const MiniBatch> mini_batches);
  void append(const MiniBatch& mini_batch) { append({&mini_batch, 1}); }
  /// Marks the listing as complete.
  void finish();
  bool finished() const;
  std::int64_t size() const;              ///< Mini-batches so far.
  MiniBatch read(std::int64_t id) const;  ///< id in [0, size()).
  /// The same as serialize() gives it: not parsed, only its checksum is looked at.
  std::string read_serialized(std::int64_t id) const;

 private:
  friend MiniBatch read_listed(const std::filesystem::path& path, std::int64_t id);
  struct State;
  std::unique_ptr<State> state_;
};

/// Mini-batch `id` of the listing at `path`, which is not changed: a job may be writing it. Throws
/// io; invalid argument when it holds no such mini-batch, or is no listing.
MiniBatch read_listed(const std::filesystem::path& path, std::int64_t id);

}  // namespace prs::dataset
