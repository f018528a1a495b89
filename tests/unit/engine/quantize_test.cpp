// Float models quantised on images: from the file over the passes to 8-bit layers and scores.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

#include "prs/engine.hpp"
#include "prs/error.hpp"
#include "prs/image.hpp"
#include "support/expect_error.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

using test::ModelBuilder;
using test::random_tensor;

class QuantizeTest : public ::testing::Test {
 protected:
  /// 8 x 8 pixels -> Conv, Relu, MaxPool, Reshape, Gemm -> 4 scores. Filter 1 and its bias are
  /// zero, filter 2 is zero but for its bias.
  ModelBuilder convnet(std::int64_t opset = 13) {
    ModelBuilder model(8, opset);
    model.input("image", DType::kFloat32, {"N", 1, 8, 8});
    Tensor w = random_tensor(DType::kFloat32, {5, 1, 3, 3}, random_);
    Tensor b = random_tensor(DType::kFloat32, {5}, random_);
    for (int i = 9; i < 27; ++i) w.as<float>()[i] = 0.0F;
    b.as<float>()[1] = 0.0F;
    model.initializer("w", w);
    model.initializer("b", b);
    model.initializer("target", test::tensor<std::int64_t>({2}, {0, -1}));
    model.initializer("m", random_tensor(DType::kFloat32, {5 * 4 * 4, 4}, random_));
    model.initializer("c", random_tensor(DType::kFloat32, {4}, random_));
    model.node("Conv", {"image", "w", "b"}, {"y"}, {test::ints_attr("pads", {1, 1, 1, 1})});
    model.node("Relu", {"y"}, {"r"});
    model.node("MaxPool", {"r"}, {"p"},
               {test::ints_attr("kernel_shape", {2, 2}), test::ints_attr("strides", {2, 2})});
    model.node("Reshape", {"p", "target"}, {"f"});
    model.node("Gemm", {"f", "m", "c"}, {"scores"});
    model.output("scores", DType::kFloat32, {"N", 4});
    return model;
  }

  static EngineOptions options(Precision precision) {
    EngineOptions result;
    result.device = "cpu";
    result.threads = 1;
    result.precision = precision;
    return result;
  }

  std::filesystem::path write(const std::string& bytes, const std::string& name) {
    const auto path = dir_.path() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  std::vector<std::string> operators(const Engine& engine) {
    std::vector<std::string> ops;
    for (const StepInfo& step : engine.describe(1).steps) ops.push_back(step.op);
    return ops;
  }

  test::TempDir dir_;
  std::mt19937_64 random_{5};
  Tensor images_ = random_tensor(DType::kUint8, {70, 8, 8}, random_, 0, 256);
};

TEST_F(QuantizeTest, LayersOfTheQuantisedModelComputeOnIntegersFromThePixelsOn) {
  for (const std::int64_t opset : {12, 13}) {  // One scale for all channels, and one for each.
    const auto path = convnet(opset).write(dir_.path() / "m.onnx");
    const auto quantized = write(Engine::quantize(path, images_.view()), "q.onnx");
    const Engine exact = Engine::load(path, options(Precision::kFp32));
    const Engine fake = Engine::load(quantized, options(Precision::kFp32));
    const Engine int8 = Engine::load(quantized, options(Precision::kInt8));
    EXPECT_EQ(operators(int8),
              (std::vector<std::string>{"QuantizedConv", "MaxPool", "QuantizedGemm"}));
    EXPECT_EQ(int8.precision(), Precision::kInt8);
    const std::vector<float> want = exact.run(images_.view());
    const std::vector<float> of_floats = fake.run(images_.view());
    const std::vector<float> got = int8.run(images_.view());
    float widest = 0.0F;
    for (const float score : want) widest = std::max(widest, std::abs(score));
    for (std::size_t i = 0; i < want.size(); ++i) {
      // 80 products of steps of 1/255 and 1/127 of the largest values.
      EXPECT_NEAR(got[i], want[i], 0.02F * widest) << "score " << i;
      // An activation on the edge of two steps may round to the other one.
      EXPECT_NEAR(got[i], of_floats[i], 0.01F * widest) << "score " << i;
    }
  }
}

TEST_F(QuantizeTest, DequantisingWeightsCostsNothingAnImage) {
  const auto path = convnet().write(dir_.path() / "m.onnx");
  const auto quantized = write(Engine::quantize(path, images_.view()), "q.onnx");
  int weights = 0;
  for (const auto& layer : Engine::load(quantized, options(Precision::kInt8)).describe(2).layers) {
    if (layer.op != "DequantizeLinear" || layer.parameters < 9) continue;
    ++weights;
    EXPECT_EQ(layer.flops_per_image, 0.0) << layer.name;
  }
  EXPECT_GT(weights, 1);
}

TEST_F(QuantizeTest, AFloatModelIsQuantisedWhenImagesAreGiven) {
  const auto path = convnet().write(dir_.path() / "m.onnx");
  EngineOptions calibrated = options(Precision::kInt8);
  calibrated.calibration = images_.view();
  const Engine engine = Engine::load(path, calibrated);
  const auto quantized = write(Engine::quantize(path, images_.view()), "q.onnx");
  EXPECT_EQ(engine.run(images_.view()),
            Engine::load(quantized, options(Precision::kInt8)).run(images_.view()));
  test::expect_error(ErrorCode::kInvalidArgument, "needs images to calibrate on",
                     [&] { Engine::load(path, options(Precision::kInt8)); });
}

TEST_F(QuantizeTest, LayersOfOutputsThatAreNotScoredStayFloat) {
  ModelBuilder model = convnet();
  model.initializer("other_m", random_tensor(DType::kFloat32, {4, 3}, random_));
  model.node("Sigmoid", {"scores"}, {"s"});
  model.node("MatMul", {"s", "other_m"}, {"other"});
  model.output("other", DType::kFloat32, {"N", 3});
  const auto path = model.write(dir_.path() / "m.onnx");
  const auto quantized = write(Engine::quantize(path, images_.view()), "q.onnx");
  EXPECT_EQ(operators(Engine::load(quantized, options(Precision::kInt8))),
            (std::vector<std::string>{"QuantizedConv", "MaxPool", "QuantizedGemm"}));
  // The layer behind the scores is quantised when it is the one that is wanted.
  EngineOptions other = options(Precision::kInt8);
  other.output = "other";
  test::expect_error(ErrorCode::kInvalidArgument, "no output 'another'", [&] {
    EngineOptions unknown = other;
    unknown.output = "another";
    Engine::quantize(path, images_.view(), unknown);
  });
  const auto all = write(Engine::quantize(path, images_.view(), other), "all.onnx");
  const std::vector<std::string> ops = operators(Engine::load(all, other));
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "QuantizedGemm"), 2);
}

TEST_F(QuantizeTest, LayersMayShareWeightsAndActivations) {
  ModelBuilder model(8, 13);
  model.input("image", DType::kFloat32, {"N", 1, 8, 8});
  model.initializer("w", random_tensor(DType::kFloat32, {1, 1, 3, 3}, random_));
  model.initializer("flat", test::tensor<std::int64_t>({2}, {0, -1}));
  model.initializer("n", random_tensor(DType::kFloat32, {64, 5}, random_));
  const auto pads = test::ints_attr("pads", {1, 1, 1, 1});
  model.node("Conv", {"image", "w"}, {"a"}, {pads});
  model.node("Conv", {"a", "w"}, {"b"}, {pads});
  model.node("Add", {"a", "b"}, {"c"});
  model.node("Reshape", {"c", "flat"}, {"f"});
  model.node("Gemm", {"f", "n"}, {"g"});
  model.node("MatMul", {"f", "n"}, {"h"});
  model.node("Add", {"g", "h"}, {"scores"});
  model.output("scores", DType::kFloat32, {"N", 5});
  const auto path = model.write(dir_.path() / "m.onnx");
  const auto quantized = write(Engine::quantize(path, images_.view()), "q.onnx");
  const std::vector<float> want = Engine::load(path, options(Precision::kFp32)).run(images_.view());
  const Engine int8 = Engine::load(quantized, options(Precision::kInt8));
  const std::vector<float> got = int8.run(images_.view());
  float widest = 0.0F;
  for (const float score : want) widest = std::max(widest, std::abs(score));
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], 0.03F * widest) << "score " << i;
  }
  const std::vector<std::string> ops = operators(int8);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "QuantizedConv"), 2);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "QuantizedGemm"), 2);
}

TEST_F(QuantizeTest, RefusesWhatCannotBeQuantised) {
  const auto path = convnet().write(dir_.path() / "m.onnx");
  const auto refused = [&](const std::filesystem::path& model, const TensorView& images,
                           ErrorCode code, const std::string& text) {
    test::expect_error(code, text, [&] { Engine::quantize(model, images); });
  };
  const Tensor none(DType::kUint8, {0, 8, 8});
  refused(path, none.view(), ErrorCode::kInvalidArgument, "0 images to calibrate on");
  const Tensor floats(DType::kFloat32, {2, 1, 8, 8});
  refused(path, floats.view(), ErrorCode::kInvalidArgument, "calibration takes u8 images");
  const auto quantized = write(Engine::quantize(path, images_.view()), "q.onnx");
  refused(quantized, images_.view(), ErrorCode::kInvalidArgument, "quantised already");
  refused(convnet(9).write(dir_.path() / "old.onnx"), images_.view(), ErrorCode::kUnsupported,
          "opset 9 has no QuantizeLinear");
  ModelBuilder bare(8, 13);
  bare.input("x", DType::kFloat32, {"N", 1, 8, 8});
  bare.node("GlobalAveragePool", {"x"}, {"y"});
  bare.output("y", DType::kFloat32, {"N", 1, 1, 1});
  refused(bare.write(dir_.path() / "bare.onnx"), images_.view(), ErrorCode::kInvalidArgument,
          "nothing to quantise");
  refused(write("no model", "text.onnx"), images_.view(), ErrorCode::kInvalidModel,
          "not an ONNX model");
}

TEST_F(QuantizeTest, Bf16ScoresDifferByItsRoundingOnly) {
  const auto path = convnet().write(dir_.path() / "m.onnx");
  const std::vector<float> want = Engine::load(path, options(Precision::kFp32)).run(images_.view());
  const std::vector<float> got = Engine::load(path, options(Precision::kBf16)).run(images_.view());
  float widest = 0.0F;
  for (const float score : want) widest = std::max(widest, std::abs(score));
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 0.01F * widest);
  EXPECT_NE(got, want);
}

TEST(LowPrecision, KeepsTheClassesOfTheShippedModels) {
  const std::filesystem::path data = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(data))
    GTEST_SKIP() << "Debian's dataset-fashion-mnist is not installed";
  const RecordFile all = RecordFile::open(data / "t10k-images-idx3-ubyte.gz");
  const TensorView images = all.records(0, 2000);
  const auto load = [&](const std::string& model, Precision precision) {
    EngineOptions options;
    options.device = "cpu";
    options.precision = precision;
    if (precision == Precision::kInt8) options.calibration = all.records(0, 512);
    return Engine::load(std::filesystem::path(PRS_MODELS) / model, options);
  };
  const auto classes = [&](const Engine& engine) {
    std::vector<std::int64_t> result;
    for (const Prediction& p : engine.classify(images, 1)) result.push_back(p.top[0].index);
    return result;
  };
  for (const char* model : {"mlp.onnx", "lenet.onnx", "cnn.onnx"}) {
    const std::vector<std::int64_t> want = classes(load(model, Precision::kFp32));
    for (const auto& [precision, least] :
         {std::pair{Precision::kBf16, 0.995}, std::pair{Precision::kInt8, 0.99}}) {
      const std::vector<std::int64_t> got = classes(load(model, precision));
      std::size_t same = 0;
      for (std::size_t i = 0; i < want.size(); ++i) same += got[i] == want[i] ? 1 : 0;
      EXPECT_GE(static_cast<double>(same), least * static_cast<double>(want.size()))
          << model << " in " << precision_name(precision);
    }
  }
}

}  // namespace
}  // namespace prs
