#include "store/journal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>

#include <prs/error.hpp>

#include "store/lock_file.hpp"
#include "store/sqlite.hpp"

namespace prs::store {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kJournalId = 0x5052534A;  // "PRSJ"
constexpr std::int64_t kJournalVersion = 2;
constexpr const char* kJournalSchema = R"(
  CREATE TABLE job (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    run_id TEXT NOT NULL,
    step_json TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    finished_us INTEGER NOT NULL,
    restarts INTEGER NOT NULL
  );
  CREATE TABLE accepted (
    id INTEGER PRIMARY KEY,
    items INTEGER NOT NULL,
    succeeded INTEGER NOT NULL,
    output_length INTEGER NOT NULL,
    partial_offset INTEGER NOT NULL,
    node INTEGER NOT NULL,
    process TEXT NOT NULL,
    attempt INTEGER NOT NULL
  );
  CREATE TABLE metric (
    time_us INTEGER NOT NULL,
    node INTEGER NOT NULL,
    process TEXT NOT NULL,
    mini_batch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL
  );
  CREATE TABLE metric_file (
    file TEXT PRIMARY KEY,
    taken INTEGER NOT NULL
  );
)";

/// The folder itself, made when the journal is to be written.
const fs::path& prepare(const fs::path& folder, bool read_only) {
  std::error_code error;
  if (!read_only) fs::create_directories(folder, error);
  if (error) {
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot create the folder: {}; choose an output "
                                            "folder that you may write to",
                                            folder.string(), error.message()));
  }
  return folder;
}

/// The step is stored whole, with environment variables that may be secrets: nobody but the owner
/// reads it. SQLite gives the files beside the database its mode.
fs::path make_private(const fs::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool good = descriptor >= 0 && ::fchmod(descriptor, 0600) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!good) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot be made private to its owner: {}; check that the output "
                            "folder is yours",
                            file.string(), std::generic_category().message(error)));
  }
  return file;
}

std::unique_ptr<LockFile> lock(const fs::path& folder, bool read_only) {
  if (read_only) return nullptr;
  return std::make_unique<LockFile>(folder / "job.lock");
}

fs::path database_file(const fs::path& folder, bool read_only) {
  return read_only ? folder / "job.sqlite" : make_private(folder / "job.sqlite");
}

}  // namespace

struct Journal::State {
  std::unique_ptr<LockFile> lock_file;  // First: nothing is touched before the lock is held.
  Database database;
  std::vector<AcceptedMiniBatch> buffer;
  std::vector<Metric> metrics;
  std::map<std::string, std::int64_t> taken;  ///< Of files of metrics, where it is not stored yet.
  std::optional<Statement> insert;            ///< Kept from one transaction to the next.

  State(const fs::path& folder, bool read_only)
      : lock_file(lock(prepare(folder, read_only), read_only)),
        database(database_file(folder, read_only),
                 read_only ? Database::Mode::kRead : Database::Mode::kWrite,
                 {"start the job again with --overwrite",
                  "check that the output folder can be read and written"}) {
    if (!read_only) {
      // A new one holds nothing that a power failure could take: workers need not wait for a disk.
      if (database.is_empty()) database.execute("PRAGMA synchronous = OFF");
      database.execute("PRAGMA journal_mode = WAL");
    }
    database.require_schema(kJournalId, kJournalVersion, kJournalSchema);
    if (!read_only) {
      // A commit is then a write without a sync: kill -9 takes nothing back, and a power failure
      // whole transactions only.
      database.execute("PRAGMA synchronous = NORMAL");
    }
  }

  ~State() {
    insert.reset();  // Journal modes change only while no statement is open.
    if (lock_file) database.leave_wal();
  }

  /// Stores the buffers with the caller's transaction, which `commit` ends.
  void store(Transaction& transaction) {
    insert_accepted();
    insert_metrics();
    transaction.commit();
    buffer.clear();
    metrics.clear();
    taken.clear();
  }

 private:
  void insert_accepted() {
    if (buffer.empty()) return;
    if (!insert) {
      insert.emplace(database, "INSERT INTO accepted VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    }
    try {
      for (const AcceptedMiniBatch& accepted : buffer) {
        insert->bind(1, accepted.id)
            .bind(2, accepted.items)
            .bind(3, accepted.succeeded)
            .bind(4, accepted.output_length)
            .bind(5, accepted.partial_offset)
            .bind(6, accepted.node)
            .bind(7, accepted.process)
            .bind(8, accepted.attempt)
            .run();
      }
    } catch (...) {
      insert.reset();  // After an error it cannot be bound again.
      throw;
    }
  }

  void insert_metrics() {
    if (taken.empty()) return;
    Statement one(database, "INSERT INTO metric VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    for (const Metric& metric : metrics) {
      one.bind(1, metric.time_us)
          .bind(2, metric.node)
          .bind(3, metric.process)
          .bind(4, metric.mini_batch)
          .bind(5, metric.attempt)
          .bind(6, metric.kind)
          .bind(7, metric.name)
          .bind(8, metric.value)
          .run();
    }
    Statement file(database, "INSERT OR REPLACE INTO metric_file VALUES (?1, ?2)");
    for (const auto& [name, length] : taken) file.bind(1, name).bind(2, length).run();
  }
};

Journal::Journal(const fs::path& folder, bool read_only)
    : state_(std::make_unique<State>(folder, read_only)) {}

Journal::~Journal() = default;

bool Journal::in_use(const fs::path& folder) { return LockFile::is_held(folder / "job.lock"); }

std::optional<JobRecord> Journal::job() const {
  Statement select(state_->database,
                   "SELECT run_id, step_json, status, reason, created_us, finished_us, restarts "
                   "FROM job");
  if (!select.step()) return std::nullopt;
  return JobRecord{select.text(0),   select.text(1),   select.text(2),  select.text(3),
                   select.number(4), select.number(5), select.number(6)};
}

void Journal::set_job(const JobRecord& job) {
  Transaction transaction(state_->database);
  Statement(state_->database, "INSERT OR REPLACE INTO job VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)")
      .bind(1, job.run_id)
      .bind(2, job.step_json)
      .bind(3, job.status)
      .bind(4, job.reason)
      .bind(5, job.created_us)
      .bind(6, job.finished_us)
      .bind(7, job.restarts)
      .run();
  state_->store(transaction);
}

void Journal::accept(const AcceptedMiniBatch& mini_batch) { state_->buffer.push_back(mini_batch); }

void Journal::flush() {
  if (state_->buffer.empty() && state_->taken.empty()) return;
  Transaction transaction(state_->database);
  state_->store(transaction);
}

void Journal::add_metrics(const std::string& file, std::int64_t taken,
                          std::vector<Metric> metrics) {
  state_->metrics.insert(state_->metrics.end(), std::make_move_iterator(metrics.begin()),
                         std::make_move_iterator(metrics.end()));
  state_->taken[file] = taken;
}

std::int64_t Journal::metrics_taken(const std::string& file) const {
  const auto found = state_->taken.find(file);
  if (found != state_->taken.end()) return found->second;
  Statement select(state_->database, "SELECT taken FROM metric_file WHERE file = ?1");
  select.bind(1, file);
  return select.step() ? select.number(0) : 0;
}

void Journal::for_each_metric(bool all_tries,
                              const std::function<void(const Metric&)>& visit) const {
  Statement select(state_->database,
                   "SELECT m.time_us, m.node, m.process, m.mini_batch, m.attempt, m.kind, m.name, "
                   "m.value, m.mini_batch < 0 OR a.id IS NOT NULL AS is_accepted "
                   "FROM metric m LEFT JOIN accepted a ON a.id = m.mini_batch AND a.node = m.node "
                   "AND a.process = m.process AND a.attempt = m.attempt "
                   "WHERE is_accepted OR ?1 ORDER BY m.time_us, m.rowid");
  select.bind(1, static_cast<std::int64_t>(all_tries));
  while (select.step()) {
    visit({.time_us = select.number(0),
           .node = static_cast<int>(select.number(1)),
           .process = select.text(2),
           .mini_batch = select.number(3),
           .attempt = static_cast<int>(select.number(4)),
           .accepted = select.number(8) != 0,
           .kind = select.text(5),
           .name = select.text(6),
           .value = select.text(7)});
  }
}

void Journal::for_each_accepted(const std::function<void(const AcceptedMiniBatch&)>& visit) const {
  Statement select(state_->database,
                   "SELECT id, items, succeeded, output_length, partial_offset, node, process, "
                   "attempt FROM accepted ORDER BY id");
  while (select.step()) {
    visit({select.number(0), select.number(1), select.number(2), select.number(3), select.number(4),
           static_cast<int>(select.number(5)), select.text(6), static_cast<int>(select.number(7))});
  }
}

std::int64_t Journal::last_output_length() const {
  Statement select(state_->database, "SELECT coalesce(max(output_length), -1) FROM accepted");
  select.step();
  return select.number(0);
}

std::int64_t Journal::forget_beyond(std::int64_t output_length) {
  Transaction transaction(state_->database);
  Statement(state_->database, "DELETE FROM accepted WHERE output_length > ?1")
      .bind(1, output_length)
      .run();
  Statement changes(state_->database, "SELECT changes()");
  changes.step();
  const std::int64_t forgotten = changes.number(0);
  transaction.commit();
  return forgotten;
}

}  // namespace prs::store
