#include "runtime/lister.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "dataset/identity.hpp"
#include "support.hpp"
#include "support/expect_error.hpp"
#include "support/temp_dir.hpp"

namespace prs::runtime {
namespace {

class ListerTest : public testing::Test {
 protected:
  /// A list of so many files, which need not be there.
  dataset::InputSpec list(int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += fmt::format("{}.png\n", i);
    return {"@" + test::write_file(dir_.path() / "list", lines).string()};
  }
  static std::unique_ptr<dataset::Partitioner> one_by_one(const dataset::InputSpec& spec) {
    return std::make_unique<dataset::Partitioner>(
        spec, config::MiniBatchSize{config::MiniBatchSize::Unit::kItems, 1});
  }
  /// Takes when there is something, as the agent's loop does.
  static Lister::Listed take(Lister& lister) {
    pollfd ready{lister.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 60'000), 1);
    return lister.take();
  }

  test::TempDir dir_;
};

TEST_F(ListerTest, GivesAllInOrderHoweverSlowlyItIsTaken) {
  const dataset::InputSpec spec = list(2000);
  Lister lister(spec, one_by_one(spec), Identify::kByState);
  std::int64_t next = 0;
  Lister::Listed listed;
  do {
    listed = take(lister);
    for (const dataset::MiniBatch& one : listed.mini_batches) EXPECT_EQ(one.id, next++);
  } while (!listed.complete);
  EXPECT_EQ(next, 2000);
  EXPECT_EQ(listed.input_identity, dataset::input_identity(spec, false));
}

TEST_F(ListerTest, EndsInTheMiddle) {
  const dataset::InputSpec spec = list(2000);
  Lister lister(spec, one_by_one(spec), Identify::kNot);
  EXPECT_FALSE(take(lister).mini_batches.empty());
}

TEST_F(ListerTest, AnErrorComesAfterWhatWasListedBeforeIt) {
  const std::string good = test::write_file(dir_.path() / "a.csv", "v\n1\n").string();
  const std::string bad = test::write_file(dir_.path() / "b.csv", "v\n1\n").string();
  const dataset::InputSpec spec{good, bad};
  std::unique_ptr<dataset::Partitioner> partitioner = one_by_one(spec);
  std::filesystem::remove(bad);
  Lister lister(spec, std::move(partitioner), Identify::kNot);
  lister.wait_for(2, std::chrono::minutes(1));
  const Lister::Listed listed = take(lister);
  EXPECT_EQ(listed.mini_batches.size(), 1U);
  EXPECT_FALSE(listed.complete);
  test::expect_error(ErrorCode::kIo, bad, [&] { take(lister); });
}

}  // namespace
}  // namespace prs::runtime
