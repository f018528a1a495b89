// Quantised models as other tools write them. The truth is the same model in float32, operator by
// operator.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "prs/engine.hpp"
#include "prs/error.hpp"
#include "support/expect_error.hpp"
#include "support/qdq_model.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

using test::QdqStyle;
using test::random_tensor;

EngineOptions options(Precision precision) {
  EngineOptions result;
  result.device = "cpu";
  result.threads = 1;
  result.precision = precision;
  return result;
}

TEST(QdqModel, ComputesOnIntegersWhatItsOperatorsSay) {
  const test::TempDir dir;
  std::mt19937_64 random(3);
  const Tensor images = random_tensor(DType::kUint8, {33, 8, 8}, random, 0, 256);
  for (const QdqStyle& style : test::qdq_styles()) {
    SCOPED_TRACE(style.name);
    const auto path = test::QdqModel(style).write(dir.path() / "m.onnx");
    const Engine int8 = Engine::load(path, options(Precision::kInt8));
    std::int64_t layers = 0;
    for (const StepInfo& step : int8.describe(1).steps) layers += step.op.starts_with("Quantized");
    EXPECT_EQ(layers, style.layers);
    const std::vector<float> want =
        Engine::load(path, options(Precision::kFp32)).run(images.view());
    const std::vector<float> got = int8.run(images.view());
    float widest = 0.0F;
    for (const float score : want) widest = std::max(widest, std::abs(score));
    ASSERT_GT(widest, 0.5F);
    // A value on the edge of two steps may round to the other one: 80 of them a score.
    for (std::size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 0.02F * widest) << "score " << i;
    }
  }
}

TEST(QdqModel, IsRefusedInInt8WhenNoLayerIsCovered) {
  const test::TempDir dir;
  for (const QdqStyle& style : {QdqStyle{.name = "u8 weights", .weights = DType::kUint8},
                                QdqStyle{.name = "weights around 3", .weight_zero_point = 3}}) {
    SCOPED_TRACE(style.name);
    const auto path = test::QdqModel(style).write(dir.path() / "m.onnx");
    test::expect_error(ErrorCode::kInvalidArgument, "int8 covers no layer",
                       [&] { Engine::load(path, options(Precision::kInt8)); });
    EXPECT_EQ(Engine::load(path, options(Precision::kFp32)).classes(), 4);
  }
}

}  // namespace
}  // namespace prs
