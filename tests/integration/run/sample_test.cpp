// The shape of PRS's own sample: thousands of small images, mini-batches of ten, two workers, some
// images damaged. Every count is exact, in the output, in the logs and in the exit code.

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "job_test.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

#ifdef PRS_SANITIZED
constexpr int kImages = 2'000;
#else
constexpr int kImages = 10'000;
#endif
constexpr int kMiniBatch = 10;
/// One image in a hundred is damaged, in one of three ways.
constexpr int kDamaged = kImages / 100;

bool is_damaged(int image) { return image % 100 == 37; }
std::string name_of(int image) { return fmt::format("{:05}.png", image); }

/// The sum of a column, by its name.
std::int64_t sum_of(const std::vector<std::vector<std::string>>& rows, const std::string& column) {
  const auto found = std::find(rows[0].begin(), rows[0].end(), column);
  if (found == rows[0].end()) {
    ADD_FAILURE() << "no column " << column;
    return -1;
  }
  const auto index = static_cast<std::size_t>(found - rows[0].begin());
  std::int64_t sum = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) sum += std::stoll(rows[i].at(index));
  return sum;
}

class Sample : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    std::vector<std::string> pngs;
    for (int variant = 0; variant < 32; ++variant) {
      write_png(dir() / "one.png", variant);
      pngs.push_back(read_text(dir() / "one.png"));
    }
    fs::create_directories(dir() / "images");
    for (int i = 0; i < kImages; ++i) {
      const std::string& whole = pngs[static_cast<std::size_t>(i) % pngs.size()];
      std::string bytes = whole;
      if (is_damaged(i)) {
        const std::string kinds[] = {whole.substr(0, whole.size() / 2), "", "this is no image\n"};
        bytes = kinds[i / 100 % 3];
      }
      std::ofstream(dir() / "images" / name_of(i), std::ios::binary) << bytes;
    }
  }

  ProcessResult score(int error_threshold) const {
    return prs_gpu({"run", "--model", model_path("mlp.onnx"), "--input", file("images"), "--output",
                    file("out"), "--mini-batch-size", std::to_string(kMiniBatch), "--workers", "2",
                    "--error-threshold", std::to_string(error_threshold), "--set",
                    "allow_reuse=false"});
  }

  /// The names in the rows of a file, each once.
  std::set<std::string> names_in(const std::string& output) const {
    std::set<std::string> names;
    for (const std::string& line : lines_of(read_text(out(output)))) {
      EXPECT_TRUE(names.insert(line.substr(0, line.find(':'))).second) << "twice: " << line;
    }
    return names;
  }
  static void expect_all_good(const std::set<std::string>& names) {
    EXPECT_EQ(names.size(), static_cast<std::size_t>(kImages - kDamaged));
    for (int i = 0; i < kImages; ++i) {
      EXPECT_EQ(names.count(name_of(i)), is_damaged(i) ? 0U : 1U) << name_of(i);
    }
  }
};

TEST_F(Sample, T1_AsManyFailedItemsAsTheThresholdAreTolerated) {
  const ProcessResult result = score(kDamaged);
  ASSERT_EQ(result.exit_code, 3) << result.err;
  expect_all_good(names_in("parallel_run_step.txt"));
  EXPECT_FALSE(fs::exists(out("parallel_run_step.txt.partial")));

  const auto tries = csv_rows(out("logs/sys/job_report/processed_mini-batches.csv"));
  EXPECT_EQ(tries.size(), 1U + kImages / kMiniBatch);
  EXPECT_EQ(statuses()["RUN_DONE"], kImages / kMiniBatch);
  EXPECT_EQ(sum_of(tries, "Total"), kImages);
  EXPECT_EQ(sum_of(tries, "Succeeded"), kImages - kDamaged);
  EXPECT_EQ(sum_of(tries, "Failed"), kDamaged);

  const auto workers = csv_rows(out("logs/sys/job_report/process_summary.csv"));
  EXPECT_EQ(workers.size(), 3U);
  EXPECT_EQ(sum_of(workers, "Processed Mini-batches"), kImages / kMiniBatch);
  EXPECT_EQ(sum_of(workers, "Succeeded Items"), kImages - kDamaged);
  EXPECT_EQ(sum_of(workers, "Failed Items"), kDamaged);
  // The workers' own logs say the same: a line for each mini-batch.
  std::int64_t done = 0;
  for (const char* worker : {"process000", "process001"}) {
    const std::string log = read_text(out(fmt::format("logs/sys/node/0/{}.txt", worker)));
    for (const std::string& line : lines_of(log)) done += line.find("RUN_DONE") != line.npos;
  }
  EXPECT_EQ(done, kImages / kMiniBatch);

  const std::vector<std::string> errors = lines_of(read_text(out("logs/user/error.txt")));
  EXPECT_EQ(errors.size(), static_cast<std::size_t>(kDamaged));
  for (int i = 0; i < kImages; ++i) {
    if (!is_damaged(i)) continue;
    EXPECT_EQ(std::count_if(errors.begin(), errors.end(),
                            [&](const std::string& line) {
                              return line.find("/" + name_of(i)) != line.npos;
                            }),
              1)
        << name_of(i);
  }
  const std::string job_result = read_text(out("logs/job_result.txt"));
  EXPECT_NE(job_result.find(fmt::format("Items:        {}: {} succeeded, {} failed", kImages,
                                        kImages - kDamaged, kDamaged)),
            std::string::npos)
      << job_result;
  EXPECT_NE(job_result.find("Status:       Completed"), std::string::npos) << job_result;
}

TEST_F(Sample, T1_OneMoreEndsTheJobAndAHigherThresholdResumesIt) {
  const ProcessResult result = score(kDamaged - 1);
  ASSERT_EQ(result.exit_code, 4) << result.err;
  EXPECT_NE(result.err.find("error_threshold"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(out("parallel_run_step.txt")));
  const auto tries = csv_rows(out("logs/sys/job_report/processed_mini-batches.csv"));
  EXPECT_EQ(sum_of(tries, "Failed"), kDamaged);
  // What was accepted is kept, and nothing else.
  EXPECT_EQ(names_in("parallel_run_step.txt.partial").size(),
            static_cast<std::size_t>(sum_of(tries, "Succeeded")));
  const std::string job_result = read_text(out("logs/job_result.txt"));
  EXPECT_NE(job_result.find("Status:       Failed"), std::string::npos) << job_result;
  EXPECT_NE(job_result.find(".partial"), std::string::npos) << job_result;
  expect_no_process_left();

  const ProcessResult resumed = resume({"--set", fmt::format("error_threshold={}", kDamaged)});
  EXPECT_EQ(resumed.exit_code, 3) << resumed.err;
  expect_all_good(names_in("parallel_run_step.txt"));
}

}  // namespace
}  // namespace prs::test
