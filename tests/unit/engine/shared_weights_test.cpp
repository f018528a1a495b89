// EngineOptions::shared_weights: engines that have their weights in common.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <numeric>
#include <string>
#include <vector>

#include <prs/engine.hpp>

namespace prs {
namespace {

std::int64_t size_of(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return status.st_size;
}

class SharedWeights : public testing::TestWithParam<Precision> {};

TEST_P(SharedWeights, EnginesScoreAsTheyWouldAloneAndTheSecondAddsNothing) {
  const std::string model = std::string(PRS_MODELS) + "/cnn.onnx";
  std::vector<std::uint8_t> pixels(std::size_t{17} * 28 * 28);
  std::iota(pixels.begin(), pixels.end(), std::uint8_t{0});
  const TensorView images{DType::kUint8, {17, 28, 28}, pixels.data()};
  EngineOptions options;
  options.device = "cpu";
  options.precision = GetParam();
  options.calibration = images;
  const std::vector<float> alone = Engine::load(model, options).run(images);

  const int file = ::memfd_create("weights", MFD_CLOEXEC);
  ASSERT_GE(file, 0);
  options.shared_weights = file;
  const Engine first = Engine::load(model, options);
  EXPECT_EQ(first.run(images), alone);
  const std::int64_t size = size_of(file);
  EXPECT_GT(size, std::int64_t{1} << 20);
  const Engine second = Engine::load(model, options);
  EXPECT_EQ(second.run(images), alone);
  EXPECT_EQ(size_of(file), size);
  ::close(file);
  EXPECT_EQ(first.run(images), alone);
}

INSTANTIATE_TEST_SUITE_P(All, SharedWeights,
                         testing::Values(Precision::kFp32, Precision::kBf16, Precision::kInt8),
                         [](const auto& one) { return std::string(precision_name(one.param)); });

}  // namespace
}  // namespace prs
