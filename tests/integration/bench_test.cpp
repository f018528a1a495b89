// prs-gpu bench: what it measures and prints. How fast anything is, no test can know.

#include <algorithm>

#include "program.hpp"
#include "support/onnx_builder.hpp"

namespace prs::test {
namespace {

using Json = nlohmann::json;

class Bench : public ProgramTest {
 protected:
  static ProcessResult bench(std::vector<std::string> more) {
    more.insert(more.begin(), {"bench", "cpu", "--seconds", "0", "--threads", "1"});
    return prs_gpu(std::move(more));
  }
};

TEST_F(Bench, MeasuresEachBatchAndThreadCount) {
  const ProcessResult result =
      prs_gpu({"bench", "cpu", "--model", model_path("mlp.onnx"), "--batch", "1,300", "--threads",
               "1,2", "--seconds", "0", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_GE(json["flops_per_image"].get<double>(), 469e3);
  EXPECT_EQ(json["bytes_per_image"], 28 * 28 + 10 * 4);
  std::vector<std::pair<int, int>> cells;
  for (const Json& cell : json["cells"]) {
    cells.emplace_back(cell["threads"], cell["batch"]);
    EXPECT_GT(cell["images_per_s"].get<double>(), 0.0);
    EXPECT_LE(cell["p50_us"].get<double>(), cell["p99_us"].get<double>());
    // The percentage is that of the slower of arithmetic and memory at the measured peaks.
    const Json& peak = json["peaks"].at(cells.back().first - 1);
    const double limit_s =
        std::max(json["flops_per_image"].get<double>() / peak["fp32_gflops"].get<double>(),
                 json["bytes_per_image"].get<double>() / peak["copy_gb_s"].get<double>()) /
        1e9;
    EXPECT_NEAR(cell["percent_of_limit"].get<double>(),
                100.0 * cell["images_per_s"].get<double>() * limit_s, 1e-6);
  }
  const std::vector<std::pair<int, int>> expected = {{1, 1}, {1, 300}, {2, 1}, {2, 300}};
  EXPECT_EQ(cells, expected);
}

TEST_F(Bench, TextHoldsTheSame) {
  const ProcessResult result = bench({"--model", model_path("lenet.onnx"), "--batch", "4096"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* expected : {"fp32 GFLOP/s", "lenet.onnx: 1.59 MFLOP", "4,096", "% of limit"}) {
    EXPECT_NE(result.out.find(expected), std::string::npos) << expected << "\n" << result.out;
  }
}

TEST_F(Bench, WithoutAModelItMeasuresTheMachine) {
  const ProcessResult result = bench({"--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_FALSE(json.contains("cells"));
  ASSERT_EQ(json["peaks"].size(), 1U);
  const Json& peak = json["peaks"][0];
  EXPECT_GT(peak["fp32_gflops"].get<double>(), 0.0);
  EXPECT_GT(peak["copy_gb_s"].get<double>(), 0.0);
  EXPECT_TRUE(peak.contains("bf16_gflops") && peak.contains("int8_gops"));
}

TEST_F(Bench, TakesModelsThatLeaveTheImageSizeOpen) {
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {"N", 3, "H", "W"});
  model.node("GlobalAveragePool", {"x"}, {"p"});
  model.node("Flatten", {"p"}, {"y"});
  model.output("y", DType::kFloat32, {"N", 3});
  model.write(dir() / "open.onnx");
  const ProcessResult result =
      bench({"--model", file("open.onnx"), "--batch", "2", "--resize=20x10", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["bytes_per_image"], 20 * 10 * 3 + 3 * 4);
}

TEST_F(Bench, Int8OfAFloatModelNeedsNoImages) {
  const ProcessResult result = bench({"--model", model_path("lenet.onnx"), "--batch", "16",
                                      "--precision", "int8", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["cells"][0]["precision"], "int8");
}

TEST_F(Bench, RefusesWhatItCannotMeasure) {
  EXPECT_EQ(prs_gpu({"bench"}).exit_code, 2);
  EXPECT_EQ(prs_gpu({"bench", "abacus"}).exit_code, 2);
  EXPECT_EQ(bench({"--batch", "0"}).exit_code, 2);
  EXPECT_EQ(bench({"--batch", "1,x"}).exit_code, 2);
  const ProcessResult result = bench({"--model", file("missing.onnx")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("missing.onnx"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace prs::test
