// kill -9 of a job at random instants: what the journal holds is in the output once and whole, and
// the resumed job's output equals the undisturbed one's.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "child.hpp"
#include "files.hpp"
#include "output/assembly.hpp"
#include "store/journal.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

namespace fs = std::filesystem;
using test::Child;
using test::read_file;

constexpr std::int64_t kMiniBatches = 600;
constexpr const char* kHeader = "mini_batch row\n";

std::string rows_of(std::int64_t mini_batch) {
  const std::int64_t count = mini_batch % 41 == 0 ? 20'000 : mini_batch % 5;
  std::string rows;
  for (std::int64_t i = 0; i < count; ++i) rows += fmt::format("{} {}\n", mini_batch, i);
  return rows;
}

struct JobPlan {
  fs::path folder;
  bool ordered = false;
  std::int64_t mini_batches = kMiniBatches;

  output::AssemblyOptions options() const {
    return {folder / "rows.txt", folder / ".prs/segments", kHeader, ordered};
  }
  /// The order in which mini-batches are done.
  std::vector<std::int64_t> order() const {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(mini_batches));
    std::iota(ids.begin(), ids.end(), 0);
    if (ordered) std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
    return ids;
  }
  std::string expected() const {
    std::string content = kHeader;
    for (std::int64_t id = 0; id < mini_batches; ++id) content += rows_of(id);
    return content;
  }
};

/// Starts the job or resumes it, up to its end. Tells of each step by a message as long as fits
/// into a pipe some 16 times, so that it cannot run far ahead of its listener.
void run_job(const JobPlan& plan, const Child::Line& line) {
  store::Journal journal(plan.folder / ".prs");
  store::JobRecord record = journal.job().value_or(store::JobRecord{"run", "{}", "", "", 1, 0, -1});
  if (record.status == "completed") return;
  record.status = "running";
  ++record.restarts;
  journal.set_job(record);
  if (record.restarts > 0) {
    journal.forget_beyond(output::Assembly::kept_length(plan.options().final_path));
  }

  output::Assembly assembly(plan.options(), journal.last_output_length());
  std::set<std::int64_t> done;
  journal.for_each_accepted([&](const store::AcceptedMiniBatch& accepted) {
    done.insert(accepted.id);
    assembly.restore(accepted.id, accepted.partial_offset,
                     accepted.output_length - accepted.partial_offset);
  });
  const std::string segment = fmt::format("process{:03}", record.restarts);
  output::SegmentWriter writer(plan.options().segment_folder / segment);
  for (const std::int64_t id : plan.order()) {
    if (done.contains(id)) continue;
    if (id % 3 == 0) writer.append("rows of a try that is not accepted\n");
    const std::string rows = rows_of(id);
    const output::Range range = writer.append(rows);
    line.say(std::string(4096, 's'));
    const output::Placement placed = assembly.accept(id, range);
    line.say(std::string(4096, 'a'));
    journal.accept({id, 10, 10, placed.length, placed.offset});
    if (id % 4 == 0) journal.flush();
    line.say(std::string(4096, 'f'));
  }
  line.say(std::string(4096, 'p'));
  journal.flush();
  assembly.publish();
  record.status = "completed";
  journal.set_job(record);
}

/// Returns how many mini-batches the journal holds.
std::int64_t check_journal_against_partial(const JobPlan& plan) {
  const std::int64_t length = output::Assembly::partial_length(plan.options().final_path);
  if (length < 0) return 0;  // Killed before the job had begun.
  const store::Journal journal(plan.folder / ".prs", true);
  EXPECT_EQ(journal.job()->status, "running");
  const std::string partial = read_file(plan.folder / "rows.txt.partial");
  std::vector<store::AcceptedMiniBatch> accepted;
  journal.for_each_accepted(
      [&](const store::AcceptedMiniBatch& mini_batch) { accepted.push_back(mini_batch); });
  std::sort(accepted.begin(), accepted.end(), [](const auto& a, const auto& b) {
    return std::pair(a.output_length, a.partial_offset) <
           std::pair(b.output_length, b.partial_offset);
  });
  // End to end, so that none is in it twice.
  auto end = static_cast<std::int64_t>(std::string_view(kHeader).size());
  for (const store::AcceptedMiniBatch& mini_batch : accepted) {
    EXPECT_EQ(mini_batch.partial_offset, end);
    end = mini_batch.output_length;
    const std::string rows = rows_of(mini_batch.id);
    EXPECT_TRUE(end <= length &&
                partial.compare(static_cast<std::size_t>(mini_batch.partial_offset), rows.size(),
                                rows) == 0)
        << "mini-batch " << mini_batch.id;
    EXPECT_EQ(static_cast<std::int64_t>(rows.size()), end - mini_batch.partial_offset);
  }
  return static_cast<std::int64_t>(accepted.size());
}

void spin(std::chrono::nanoseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < end) {
  }
}

void expect_end(const JobPlan& plan) {
  Child last([&](const Child::Line& line) { run_job(plan, line); });
  last.hear_all();
  ASSERT_EQ(last.wait(), 0);
  EXPECT_TRUE(read_file(plan.folder / "rows.txt") == plan.expected());
  EXPECT_FALSE(fs::exists(plan.folder / "rows.txt.partial"));
  EXPECT_EQ(store::Journal(plan.folder / ".prs", true).job()->status, "completed");
}

void kill_thirty_times(bool ordered) {
  const test::TempDir dir;
  const JobPlan plan{dir.path(), ordered};
  std::mt19937_64 random(ordered ? 2 : 1);
  std::int64_t accepted = 0;
  for (int round = 0; round < 30; ++round) {
    Child child([&](const Child::Line& line) { run_job(plan, line); });
    child.hear(4096 * (random() % 40));
    spin(std::chrono::nanoseconds(random() % 500'000));
    child.kill();
    ASSERT_EQ(child.wait(), -SIGKILL);
    SCOPED_TRACE(fmt::format("round {}", round));
    const std::int64_t now = check_journal_against_partial(plan);
    EXPECT_GE(now, accepted);
    accepted = now;
  }
  EXPECT_GT(accepted, 30);
  expect_end(plan);
}

TEST(KilledJob, O4_EveryJournaledRangeIsInPartialOnceAndWhole) { kill_thirty_times(false); }

TEST(KilledJob, O3_OrderedOutputsToo) { kill_thirty_times(true); }

TEST(KilledJob, X1_APublishKilledAtAnyInstantIsFinished) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 30; ++round) {
    const test::TempDir dir;
    const JobPlan plan{dir.path(), round % 2 == 0, 50};
    Child child([&](const Child::Line& line) { run_job(plan, line); });
    child.hear(4096 * 3 * 50);
    spin(std::chrono::nanoseconds(random() % 8'000'000));
    child.kill();
    child.wait();  // It may have come to its end.
    SCOPED_TRACE(fmt::format("round {}", round));
    expect_end(plan);
  }
}

TEST(KilledJob, X1_WhatAPowerFailureTookFromPartialIsDoneAgain) {
  const test::TempDir dir;
  const JobPlan plan{dir.path(), true};
  Child child([&](const Child::Line& line) { run_job(plan, line); });
  child.hear(4096 * 600);
  child.kill();
  child.wait();
  const fs::path partial = plan.folder / "rows.txt.partial";
  const std::int64_t length = output::Assembly::partial_length(plan.options().final_path) / 2;
  fs::resize_file(partial, static_cast<std::uintmax_t>(length));
  {
    store::Journal journal(plan.folder / ".prs");
    EXPECT_GT(journal.last_output_length(), length);
    EXPECT_GT(journal.forget_beyond(length), 0);
    EXPECT_LE(journal.last_output_length(), length);
    EXPECT_EQ(journal.forget_beyond(length), 0);
  }
  EXPECT_GT(check_journal_against_partial(plan), 0);
  expect_end(plan);
}

}  // namespace
}  // namespace prs
