// Every operator from the file to the result: import, passes, plan and kernels together against the
// references.
#include <gtest/gtest.h>

#include <fstream>
#include <ostream>
#include <random>

#include "onnx/importer.hpp"
#include "prs/error.hpp"
#include "prs/model.hpp"
#include "support/interpret.hpp"
#include "support/op_test.hpp"
#include "support/sample_models.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

/// A sample that a failing test names by its name, not by its bytes.
struct Sample {
  std::string name;
  std::string bytes;
  friend void PrintTo(const Sample& sample, std::ostream* stream) { *stream << sample.name; }
};

std::vector<Sample> samples() {
  std::vector<Sample> result;
  for (auto& [name, bytes] : test::sample_models()) {
    result.push_back({std::move(name), std::move(bytes)});
  }
  return result;
}

class SampleModelTest : public ::testing::TestWithParam<Sample> {};

TEST_P(SampleModelTest, GivesWhatTheReferencesGive) {
  const auto& [name, bytes] = GetParam();
  const test::TempDir dir;
  const auto path = dir.path() / "model.onnx";
  std::ofstream(path, std::ios::binary) << bytes;
  const Model model = Model::load(path);
  std::mt19937_64 random(3);
  std::vector<Tensor> inputs;
  for (const PortInfo& port : model.inputs()) {
    inputs.push_back(test::random_tensor(port.dtype, Shape(port.extents), random, -2.0, 2.0));
  }
  const Graph graph = onnx::import_bytes(bytes, name, {}).graph;
  const std::vector<Tensor> want = test::interpret(graph, inputs);
  const std::vector<Tensor> got = model.run(inputs);
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    test::expect_close(got[i], want[i], {1e-5, 1e-5}, name);
  }
}

INSTANTIATE_TEST_SUITE_P(Samples, SampleModelTest, ::testing::ValuesIn(samples()),
                         [](const auto& sample) { return sample.param.name; });

TEST(SampleModels, CoverEveryOperator) {
  EXPECT_EQ(test::operators_without_sample(), std::vector<std::string>{});
}

TEST(SampleModels, ReportAGatherIndexThatIsOutOfRange) {
  for (const auto& [name, bytes] : test::sample_models()) {
    if (name != "Gather_runtime") continue;
    const test::TempDir dir;
    std::ofstream(dir.path() / "m.onnx", std::ios::binary) << bytes;
    const Model model = Model::load(dir.path() / "m.onnx");
    EXPECT_THROW(model.run(std::vector{test::tensor<std::int64_t>({2}, {0, 4})}), Error);
    // The model serves on after a failed run.
    EXPECT_EQ(model.run(std::vector{test::tensor<std::int64_t>({2}, {0, 3})}).size(), 1U);
  }
}

}  // namespace
}  // namespace prs
