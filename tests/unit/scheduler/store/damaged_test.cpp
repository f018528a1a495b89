// Files that are no database, another program's, or damaged: an error that names them, no crash.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "output/files.hpp"
#include "store/history.hpp"
#include "store/journal.hpp"
#include "store/sqlite.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::store {
namespace {

using test::expect_error;
using test::read_file;
using test::TempDir;
using test::write_file;

std::string random_bytes(std::size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(DamagedDatabase, RandomBytesAreAnErrorThatNamesTheFile) {
  for (const std::size_t size : {99, 100, 512, 4096, 100'000}) {
    const TempDir dir;
    const auto journal = dir.path() / "job.sqlite";
    const auto history = dir.path() / "runs.sqlite";
    write_file(journal, random_bytes(size));
    write_file(history, random_bytes(size));
    for (const bool read_only : {false, true}) {
      expect_error(ErrorCode::kIo, journal.string() + ": file is not a database",
                   [&] { Journal(dir.path(), read_only); });
    }
    expect_error(ErrorCode::kIo, "start the job again with --overwrite",
                 [&] { Journal again(dir.path()); });
    expect_error(ErrorCode::kIo, history.string() + ": file is not a database",
                 [&] { History again(dir.path()); });
    expect_error(ErrorCode::kIo, "move it away", [&] { History again(dir.path()); });
  }
}

TEST(DamagedDatabase, OfAnotherProgramIsRefusedAndKept) {
  const TempDir dir;
  Database(dir.path() / "job.sqlite", Database::Mode::kWrite, {})
      .execute("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
  expect_error(ErrorCode::kIo, "job.sqlite: belongs to another program",
               [&] { Journal journal(dir.path()); });
  Database theirs(dir.path() / "job.sqlite", Database::Mode::kRead, {});
  EXPECT_TRUE(Statement(theirs, "SELECT a FROM theirs").step());
  // Ours too can be in the wrong place.
  History(dir.path() / "home");
  std::filesystem::rename(dir.path() / "home/runs.sqlite", dir.path() / "job.sqlite");
  expect_error(ErrorCode::kIo, "belongs to another program", [&] { Journal(dir.path(), true); });
}

/// Uses everything; whatever goes wrong must be a prs::Error. Returns whether all went well.
bool use(const std::filesystem::path& folder) {
  try {
    Journal journal(folder);
    journal.job();
    journal.for_each_accepted([](const AcceptedMiniBatch&) {});
    journal.last_output_length();
    journal.accept({1'000'000, 1, 1, 1, 0});
    journal.set_job({"run", "{}", "failed", "", 1, 0, 0});
    return true;
  } catch (const Error& error) {
    EXPECT_NE(error.message().find((folder / "job.sqlite").string()), std::string::npos)
        << error.message();
    return false;
  }
}

TEST(DamagedDatabase, DamageAnywhereNeverCrashes) {
  const TempDir dir;
  {
    Journal journal(dir.path() / "good");
    journal.set_job({"run", std::string(10'000, 's'), "running", "", 1, 0, 0});
    for (std::int64_t id = 0; id < 3000; ++id) journal.accept({id, 10, 10, id * 100, id * 90});
    journal.flush();
  }
  const std::string good = read_file(dir.path() / "good/job.sqlite");
  std::mt19937_64 random(1);
  int refused = 0;
  for (int round = 0; round < 150; ++round) {
    std::string bytes = good;
    if (round % 3 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      const std::size_t page = random() % (bytes.size() / 4096) * 4096;
      for (int i = 0; i < 20; ++i) {
        // Page headers and cell pointers, or anywhere.
        const std::size_t at = round % 3 == 1 ? page + random() % 64 : random() % bytes.size();
        bytes[at] = static_cast<char>(random());
      }
    }
    const auto folder = dir.path() / fmt::format("damaged{}", round);
    std::filesystem::create_directories(folder);
    write_file(folder / "job.sqlite", bytes);
    if (!use(folder)) ++refused;
    std::filesystem::remove_all(folder);
  }
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace prs::store
