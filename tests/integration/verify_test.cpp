// prs-gpu verify: data in the layout of ONNX's backend tests.

#include <cmath>
#include <limits>

#include "program.hpp"
#include "support/onnx_builder.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

template <typename T>
Tensor tensor(DType dtype, const Shape& shape, std::vector<T> values) {
  return Tensor::from<T>(dtype, shape, std::span<const T>(values));
}
Tensor floats(std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return tensor<float>(DType::kFloat32, {count}, std::move(values));
}

class Verify : public ProgramTest {
 protected:
  /// A model that computes a - b of three floats, in folder `name`.
  void write_subtraction(const std::string& name) const {
    ModelBuilder model(8, 13);
    model.input("a", DType::kFloat32, {3});
    model.input("b", DType::kFloat32, {3});
    model.node("Sub", {"a", "b"}, {"c"});
    model.output("c", DType::kFloat32, {3});
    fs::create_directories(dir() / name);
    model.write(dir() / name / "model.onnx");
  }
  void write_tensor(const std::string& path, const std::string& name, const Tensor& value) const {
    std::string bytes;
    ASSERT_TRUE(to_tensor_proto(name, value).SerializeToString(&bytes));
    write_text(dir() / path, bytes);
  }
  /// 4 5 6 - 1 2 3, with `expected` as the reference.
  void write_data(const std::string& folder, const Tensor& expected) const {
    write_tensor(folder + "/input_0.pb", "a", floats({4, 5, 6}));
    write_tensor(folder + "/input_1.pb", "b", floats({1, 2, 3}));
    write_tensor(folder + "/output_0.pb", "c", expected);
  }
  ProcessResult verify(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "verify");
    return prs_gpu(arguments);
  }
};

TEST_F(Verify, PassesAndFailsByTolerance) {
  write_subtraction("m");
  write_data("m/test_data_set_0", floats({3, 3, 3.002F}));
  const std::vector<std::string> base = {file("m/model.onnx"), "--data", file("m")};
  EXPECT_EQ(verify(base).exit_code, 0);
  std::vector<std::string> strict = base;
  strict.insert(strict.end(), {"--rtol", "1e-4"});
  const ProcessResult result = verify(strict);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.out.find("1 of 3 elements differ; worst at [2]: got 3, expected 3.002"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("0 passed, 1 failed, 0 unsupported"), std::string::npos) << result.out;
  strict.insert(strict.end(), {"--atol", "0.01"});
  EXPECT_EQ(verify(strict).exit_code, 0);
}

TEST_F(Verify, TakesAFolderThatIsADataSetItself) {
  write_subtraction("m");
  write_data("data", floats({3, 3, 3}));
  EXPECT_EQ(verify({file("m/model.onnx"), "--data", file("data")}).exit_code, 0);
}

TEST_F(Verify, AFolderWithoutDataSetsIsAnError) {
  write_subtraction("m");
  const ProcessResult result = verify({file("m/model.onnx"), "--data", file("m")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(file("m") + ": no data sets"), std::string::npos) << result.err;
}

TEST_F(Verify, MatchesInputsByNameElseByPosition) {
  write_subtraction("m");
  write_tensor("named/input_0.pb", "b", floats({1, 2, 3}));
  write_tensor("named/input_1.pb", "a", floats({4, 5, 6}));
  write_tensor("named/output_0.pb", "c", floats({3, 3, 3}));
  EXPECT_EQ(verify({file("m/model.onnx"), "--data", file("named")}).exit_code, 0);
  write_tensor("placed/input_0.pb", "", floats({4, 5, 6}));
  write_tensor("placed/input_1.pb", "b", floats({1, 2, 3}));
  write_tensor("placed/output_0.pb", "other", floats({3, 3, 3}));
  EXPECT_EQ(verify({file("m/model.onnx"), "--data", file("placed")}).exit_code, 0);
}

TEST_F(Verify, NotANumberEqualsItselfAndNothingElse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  write_subtraction("m");
  const auto status = [&](std::vector<float> a, std::vector<float> want) {
    write_tensor("data/input_0.pb", "a", floats(std::move(a)));
    write_tensor("data/input_1.pb", "b", floats({0, 0, 0}));
    write_tensor("data/output_0.pb", "c", floats(std::move(want)));
    const ProcessResult result =
        verify({file("m/model.onnx"), "--data", file("data"), "--format", "json"});
    return Json::parse(result.out)["cases"][0]["status"].get<std::string>();
  };
  EXPECT_EQ(status({nan, infinity, -infinity}, {nan, infinity, -infinity}), "pass");
  EXPECT_EQ(status({nan, 0, 0}, {1, 0, 0}), "fail");
  EXPECT_EQ(status({1, 0, 0}, {nan, 0, 0}), "fail");
  EXPECT_EQ(status({infinity, 0, 0}, {-infinity, 0, 0}), "fail");
  EXPECT_EQ(status({1, 0, 0}, {infinity, 0, 0}), "fail");
  EXPECT_EQ(status({infinity, 0, 0}, {1, 0, 0}), "fail");
}

TEST_F(Verify, IntegersMustBeEqual) {
  ModelBuilder model(8, 13);
  model.input("x", DType::kInt64, {2});
  model.node("Identity", {"x"}, {"y"});
  model.output("y", DType::kInt64, {2});
  model.write(dir() / "model.onnx");
  const std::int64_t large = (std::int64_t{1} << 60);
  write_tensor("data/input_0.pb", "x", tensor<std::int64_t>(DType::kInt64, {2}, {5, large}));
  write_tensor("data/output_0.pb", "y", tensor<std::int64_t>(DType::kInt64, {2}, {5, large + 1}));
  EXPECT_EQ(verify({file("model.onnx"), "--data", file("data")}).exit_code, 1);
}

TEST_F(Verify, TypeAndShapeMustAgree) {
  write_subtraction("m");
  write_data("data", tensor<double>(DType::kFloat64, {3}, {3, 3, 3}));
  const ProcessResult type = verify({file("m/model.onnx"), "--data", file("data")});
  EXPECT_EQ(type.exit_code, 1);
  EXPECT_NE(type.out.find("got f32[3], expected f64[3]"), std::string::npos) << type.out;
  EXPECT_EQ(type.out.find("largest error"), std::string::npos) << type.out;
  write_data("data", tensor<float>(DType::kFloat32, {3, 1}, {3, 3, 3}));
  EXPECT_EQ(verify({file("m/model.onnx"), "--data", file("data")}).exit_code, 1);
}

TEST_F(Verify, ASuiteHoldsCasesOfAllKinds) {
  write_subtraction("suite/good");
  write_data("suite/good/test_data_set_0", floats({3, 3, 3}));
  write_data("suite/good/ort_golden_1", floats({3, 3, 3}));
  write_subtraction("suite/deep/er/wrong");
  write_data("suite/deep/er/wrong/test_data_set_0", floats({3, 3, 9}));
  write_subtraction("suite/no_data");
  write_subtraction("suite/damaged");
  write_data("suite/damaged/test_data_set_0", floats({3, 3, 3}));
  write_text(dir() / "suite/damaged/test_data_set_0/input_1.pb", "\xFF\xFF\xFF");
  ModelBuilder unknown(8, 13);
  unknown.input("x", DType::kFloat32, {1});
  unknown.node("NoSuchOperator", {"x"}, {"y"});
  unknown.output("y", DType::kFloat32, {1});
  fs::create_directories(dir() / "suite/unknown");
  unknown.write(dir() / "suite/unknown/model.onnx");
  write_text(dir() / "suite/broken/model.onnx", "not a model");

  const ProcessResult result = verify({"--suite", file("suite"), "--format", "json"});
  EXPECT_EQ(result.exit_code, 1);
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["passed"], 1);
  EXPECT_EQ(json["failed"], 3);
  EXPECT_EQ(json["unsupported"], 2);
  std::map<std::string, Json> cases;
  for (const Json& entry : json["cases"]) cases[entry["name"]] = entry;
  EXPECT_EQ(cases["good"]["status"], "pass");
  EXPECT_EQ(cases["deep/er/wrong"]["status"], "fail");
  EXPECT_DOUBLE_EQ(cases["deep/er/wrong"]["max_abs_error"].get<double>(), 6.0);
  EXPECT_DOUBLE_EQ(cases["deep/er/wrong"]["max_rel_error"].get<double>(), 6.0 / 9.0);
  EXPECT_EQ(cases["no_data"]["status"], "unsupported");
  EXPECT_EQ(cases["no_data"]["message"], "no data");
  EXPECT_EQ(cases["damaged"]["status"], "fail");
  EXPECT_TRUE(cases["damaged"]["max_abs_error"].is_null());
  EXPECT_EQ(cases["unknown"]["status"], "unsupported");
  EXPECT_EQ(cases["broken"]["status"], "fail");
}

TEST_F(Verify, UnsupportedAloneIsNoFailure) {
  write_subtraction("suite/no_data");
  const ProcessResult result = verify({"--suite", file("suite")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("unsupported  no_data: no data"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("0 passed, 0 failed, 1 unsupported"), std::string::npos) << result.out;
}

TEST_F(Verify, NeedsOneWayToFindCases) {
  EXPECT_EQ(verify({}).exit_code, 2);
  EXPECT_EQ(verify({"model.onnx"}).exit_code, 2);
  EXPECT_EQ(verify({"--data", file("x")}).exit_code, 2);
  EXPECT_EQ(verify({"model.onnx", "--data", "x", "--suite", "y"}).exit_code, 2);
  EXPECT_EQ(verify({"--suite", file("none")}).exit_code, 1);
  EXPECT_EQ(verify({"--suite", dir().string()}).exit_code, 1);
}

}  // namespace
}  // namespace prs::test
