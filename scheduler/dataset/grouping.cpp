#include "dataset/grouping.hpp"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <unordered_map>
#include <utility>

#include "output/file_io.hpp"
#include "store/sqlite.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

/// A folder that is gone with its object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "prs-gpu-groups-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) output::fail_io(name, "create the folder", errno);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Texts of any bytes joined so that different lists never look alike.
std::string place_key(const std::vector<std::string>& values) {
  std::string key;
  for (const std::string& value : values) key += fmt::format("{}:{}", value.size(), value);
  return key;
}

constexpr const char* kTables =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
    "CREATE TABLE item (grouped INTEGER, number INTEGER, file TEXT, offset INTEGER, size INTEGER,"
    " first INTEGER, count INTEGER, PRIMARY KEY (grouped, number)) WITHOUT ROWID; BEGIN";

}  // namespace

struct Grouping::State {
  TemporaryFolder folder;
  store::Database database{folder.path() / "items",
                           store::Database::Mode::kWrite,
                           {"it is temporary: run the step again",
                            "it is temporary: TMPDIR names a folder with room for it"}};
  std::unordered_map<std::string, std::size_t> places;
  std::vector<std::vector<std::string>> values;
  std::int64_t items = 0;
  std::size_t next = 0;
  std::unique_ptr<store::Statement> insert;
  std::unique_ptr<store::Statement> select;
};

Grouping::Grouping() : state_(std::make_unique<State>()) {
  state_->database.execute(kTables);
  state_->insert = std::make_unique<store::Statement>(
      state_->database, "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
  state_->select = std::make_unique<store::Statement>(
      state_->database,
      "SELECT file, offset, size, first, count FROM item WHERE grouped = ?1 ORDER BY number");
}

Grouping::~Grouping() = default;

void Grouping::add(const std::vector<std::string>& values, const TablePiece& item) {
  State& state = *state_;
  const auto [place, is_new] = state.places.emplace(place_key(values), state.values.size());
  if (is_new) state.values.push_back(values);
  state.insert->bind(1, static_cast<std::int64_t>(place->second))
      .bind(2, state.items++)
      .bind(3, item.file.native())
      .bind(4, item.byte_offset)
      .bind(5, item.byte_size)
      .bind(6, item.first_record)
      .bind(7, item.record_count)
      .run();
}

std::optional<Grouping::Group> Grouping::next() {
  State& state = *state_;
  if (state.next == state.values.size()) return std::nullopt;
  Group group{std::move(state.values[state.next]), {}};
  state.select->bind(1, static_cast<std::int64_t>(state.next++));
  while (state.select->step()) {
    group.items.push_back({state.select->text(0), state.select->number(1), state.select->number(2),
                           state.select->number(3), state.select->number(4)});
  }
  state.select->run();
  return group;
}

}  // namespace prs::dataset
