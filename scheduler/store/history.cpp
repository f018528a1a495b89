#include "store/history.hpp"

#include <fmt/core.h>

#include <cstdlib>
#include <system_error>

#include <prs/error.hpp>

#include "store/sqlite.hpp"

namespace prs::store {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kHistoryId = 0x50525348;  // "PRSH"
constexpr std::int64_t kHistoryVersion = 1;
constexpr const char* kHistorySchema = R"(
  CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    output TEXT NOT NULL,
    identity TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    finished_us INTEGER NOT NULL,
    mini_batches INTEGER NOT NULL,
    items INTEGER NOT NULL,
    failed_items INTEGER NOT NULL
  );
  CREATE INDEX runs_by_identity ON runs (identity, finished_us);
  CREATE INDEX runs_by_creation ON runs (created_us);
)";

constexpr const char* kUnusable = "set PRS_HOME to a folder that you may write to";

const fs::path& prepare(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot create the folder: {}; {}", folder.string(),
                                            error.message(), kUnusable));
  }
  return folder;
}

RunRecord record_of(const Statement& row) {
  return {row.text(0),   row.text(1),   row.text(2),   row.text(3),   row.text(4),   row.text(5),
          row.number(6), row.number(7), row.number(8), row.number(9), row.number(10)};
}

}  // namespace

struct History::State {
  // A rollback journal, not WAL: home folders may lie on a network, where WAL does not work.
  Database database;

  explicit State(const fs::path& folder)
      : database(prepare(folder) / "runs.sqlite", Database::Mode::kWrite,
                 {"move it away (the list of runs is lost, their outputs are not), or set PRS_HOME "
                  "to another folder",
                  kUnusable}) {
    // Fewer syncs than by default: jobs wait for them at their beginning and end.
    database.execute("PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL");
    database.require_schema(kHistoryId, kHistoryVersion, kHistorySchema);
  }
};

History::History(const fs::path& folder) : state_(std::make_unique<State>(folder)) {}

History::~History() = default;

fs::path History::default_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value != nullptr ? value : "");
  };
  if (const fs::path home = variable("PRS_HOME"); !home.empty()) return home;
  // The XDG specification wants relative paths ignored.
  if (const fs::path state = variable("XDG_STATE_HOME"); state.is_absolute()) {
    return state / "prs-gpu";
  }
  if (const fs::path home = variable("HOME"); !home.empty()) {
    return home / ".local" / "state" / "prs-gpu";
  }
  throw Error(ErrorCode::kIo, fmt::format("no place for the list of runs: none of PRS_HOME, "
                                          "XDG_STATE_HOME and HOME is set; {}",
                                          kUnusable));
}

void History::put(const RunRecord& run) {
  Transaction transaction(state_->database);
  Statement(state_->database,
            "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
      .bind(1, run.run_id)
      .bind(2, run.name)
      .bind(3, run.status)
      .bind(4, run.reason)
      .bind(5, run.output)
      .bind(6, run.identity)
      .bind(7, run.created_us)
      .bind(8, run.finished_us)
      .bind(9, run.mini_batches)
      .bind(10, run.items)
      .bind(11, run.failed_items)
      .run();
  transaction.commit();
}

std::optional<RunRecord> History::find_completed(const std::string& identity) const {
  if (identity.empty()) return std::nullopt;
  Statement select(state_->database,
                   "SELECT * FROM runs WHERE identity = ?1 AND status = 'completed' "
                   "ORDER BY finished_us DESC, rowid DESC LIMIT 1");
  select.bind(1, identity);
  if (!select.step()) return std::nullopt;
  return record_of(select);
}

bool History::any_completed(const std::string& beginning) const {
  // A range of the index, where LIKE would read all of it.
  Statement select(state_->database,
                   "SELECT 1 FROM runs WHERE identity >= ?1 AND identity < ?2 AND "
                   "status = 'completed' LIMIT 1");
  select.bind(1, beginning).bind(2, beginning + '\x7F');
  return select.step();
}

std::optional<RunRecord> History::find(const std::string& run_id) const {
  Statement select(state_->database, "SELECT * FROM runs WHERE run_id = ?1");
  select.bind(1, run_id);
  if (!select.step()) return std::nullopt;
  return record_of(select);
}

std::vector<RunRecord> History::recent(std::int64_t limit) const {
  Statement select(state_->database,
                   "SELECT * FROM runs ORDER BY created_us DESC, rowid DESC LIMIT ?1");
  select.bind(1, limit);
  std::vector<RunRecord> runs;
  while (select.step()) runs.push_back(record_of(select));
  return runs;
}

}  // namespace prs::store
