#include "prs/engine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <random>
#include <thread>

#include "cpu/pack_cache.hpp"
#include "onnx/importer.hpp"
#include "support/allocation_count.hpp"
#include "support/expect_error.hpp"
#include "support/interpret.hpp"
#include "support/onnx_builder.hpp"
#include "support/op_test.hpp"
#include "support/temp_dir.hpp"

namespace prs {
namespace {

using test::expect_error;
using test::ModelBuilder;
using test::random_tensor;
using test::tensor;

/// conv + relu + pool + fc over images of `shape` (without the batch), 4 classes.
ModelBuilder convnet(const std::vector<test::Dim>& input, std::int64_t channels,
                     std::int64_t batch = -1) {
  std::mt19937_64 random(23);
  ModelBuilder model(8, 13);
  model.input("image", DType::kFloat32, input);
  model.initializer("w", random_tensor(DType::kFloat32, {5, channels, 3, 3}, random));
  model.initializer("b", random_tensor(DType::kFloat32, {5}, random));
  model.initializer("target", tensor<std::int64_t>({2}, {batch < 0 ? 0 : batch, -1}));
  model.initializer("m", random_tensor(DType::kFloat32, {5 * 4 * 4, 4}, random));
  model.node("Conv", {"image", "w", "b"}, {"c"}, {test::ints_attr("pads", {1, 1, 1, 1})});
  model.node("Relu", {"c"}, {"r"});
  model.node("MaxPool", {"r"}, {"p"},
             {test::ints_attr("kernel_shape", {2, 2}), test::ints_attr("strides", {2, 2})});
  model.node("Reshape", {"p", "target"}, {"f"});
  model.node("MatMul", {"f", "m"}, {"scores"});
  if (batch < 0) {
    model.output("scores", DType::kFloat32, {"N", 4});
  } else {
    model.output("scores", DType::kFloat32, {batch, 4});
  }
  return model;
}

class EngineTest : public ::testing::Test {
 protected:
  Engine load(const ModelBuilder& model, const EngineOptions& options = {}) {
    return Engine::load(model.write(dir_.path() / "m.onnx"), options);
  }

  /// What the references say for u8 images, preprocessed in double.
  static std::vector<float> truth(const ModelBuilder& model, const Tensor& images,
                                  const Preprocess& preprocess, const Shape& image_shape) {
    const Graph graph = onnx::import_bytes(model.serialize(), "m", {}).graph;
    const std::int64_t each = image_shape.elements();
    const std::int64_t plane = image_shape.rank() == 3 ? image_shape[1] * image_shape[2] : each;
    std::vector<float> scores;
    const std::int64_t declared = graph.inputs[0].dims->at(0).extent.value_or(1);
    for (std::int64_t i = 0; i < images.shape()[0]; ++i) {
      Shape shape{declared};
      for (const std::int64_t extent : image_shape) shape.push_back(extent);
      Tensor input(DType::kFloat32, shape);
      for (std::int64_t k = 0; k < input.elements(); ++k) {
        const auto c = static_cast<std::size_t>(k % each / plane);
        double pixel = images.as<std::uint8_t>()[i * each + k % each];
        if (preprocess.invert) pixel = 255.0 - pixel;
        const double mean = preprocess.mean[preprocess.mean.size() == 1 ? 0 : c];
        const double std = preprocess.std[preprocess.std.size() == 1 ? 0 : c];
        input.as<float>()[k] = static_cast<float>((pixel * preprocess.scale - mean) / std);
      }
      const Tensor output = test::interpret(graph, std::vector{input})[0];
      scores.insert(scores.end(), output.as<float>(), output.as<float>() + 4);
    }
    return scores;
  }

  static void expect_scores(const std::vector<float>& got, const std::vector<float>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], 1e-4 * (1.0 + std::abs(want[i]))) << "score " << i;
    }
  }

  Tensor pixels(const Shape& shape) { return random_tensor(DType::kUint8, shape, random_, 0, 256); }

  test::TempDir dir_;
  std::mt19937_64 random_{99};
};

TEST_F(EngineTest, ScoresAnyBatchOfPixels) {
  const ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  for (const int threads : {1, 2, 5}) {
    EngineOptions options;
    options.threads = threads;
    options.max_batch = 16;
    const Engine engine = load(model, options);
    EXPECT_EQ(engine.classes(), 4);
    for (const std::int64_t batch : {0, 1, 2, 7, 16, 17, 63, 100}) {
      const Tensor images = pixels({batch, 1, 8, 8});
      expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
    }
  }
}

TEST_F(EngineTest, GivesAnImageTheSameBitsInEveryBatch) {
  EngineOptions options;
  options.threads = 2;
  const Engine engine = load(convnet({"N", 3, 8, 8}, 3), options);
  const Tensor images = pixels({57, 3, 8, 8});
  std::vector<float> alone;
  for (std::int64_t i = 0; i < 57; ++i) {
    const std::vector<float> scores =
        engine.run({DType::kUint8, {1, 3, 8, 8}, images.as<std::uint8_t>() + i * 3 * 64});
    alone.insert(alone.end(), scores.begin(), scores.end());
  }
  for (const std::int64_t batch : {2, 8, 9, 15, 16, 31, 57}) {
    const std::vector<float> scores = engine.run({DType::kUint8, {batch, 3, 8, 8}, images.data()});
    EXPECT_TRUE(std::equal(scores.begin(), scores.end(), alone.begin())) << "batch " << batch;
  }
}

TEST_F(EngineTest, OpensAFixedBatch) {
  for (const std::int64_t fixed : {1, 10}) {
    const ModelBuilder model = convnet({fixed, 1, 8, 8}, 1, fixed);
    const Engine engine = load(model);
    const Tensor images = pixels({23, 8, 8});
    expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
    EXPECT_TRUE(engine.describe(32).batch_open);
  }
}

TEST_F(EngineTest, OpensABatchThatOnlyTheOutputFixes) {
  ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  auto* output = model.proto().mutable_graph()->mutable_output(0);
  output->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(0)->set_dim_value(1);
  const Engine engine = load(model);
  const Tensor images = pixels({23, 8, 8});
  expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
  const ModelDescription description = engine.describe(8);
  EXPECT_TRUE(description.batch_open);
  EXPECT_EQ(description.batch, 8);
  EXPECT_EQ(description.notes.at(0),
            "output 'scores' is declared f32[1,4]: its batch is ignored, the input's is open");
}

TEST_F(EngineTest, OpensABatchThatANodeInsideFixes) {
  ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  *model.proto().mutable_graph()->mutable_initializer(2) =
      test::to_tensor_proto("target", tensor<std::int64_t>({2}, {1, 80}));
  const Engine engine = load(model);
  const Tensor images = pixels({23, 8, 8});
  expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
  EXPECT_TRUE(engine.describe(8).batch_open);
}

TEST_F(EngineTest, ComputesOneImageAtATimeWhereANodeInsideFixesTheBatch) {
  ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  *model.proto().mutable_graph()->mutable_initializer(2) =
      test::to_tensor_proto("target", tensor<std::int64_t>({2}, {1, 80}));
  // The batch twice over, and the first again: that images stay apart cannot be told.
  model.node("Concat", {"scores", "scores"}, {"twice"}, {test::int_attr("axis", 0)});
  model.node("ReduceMean", {"twice"}, {"mean"}, {test::ints_attr("axes", {0})});
  model.proto().mutable_graph()->mutable_output(0)->set_name("mean");
  const Engine engine = load(model);
  const Tensor images = pixels({5, 8, 8});
  expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
  EXPECT_FALSE(engine.describe(8).batch_open);
}

TEST_F(EngineTest, NamesNoBatchThatTheCallerNeverGave) {
  ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  *model.proto().mutable_graph()->mutable_initializer(2) =
      test::to_tensor_proto("target", tensor<std::int64_t>({2}, {1, 81}));
  try {
    load(model);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("[1,5,4,4]"), std::string::npos) << error.message();
    EXPECT_EQ(error.message().find("[3,"), std::string::npos) << error.message();
  }
}

TEST_F(EngineTest, TakesPixelsThroughAViewWhoseTypeIsDeclared) {
  ModelBuilder model(8, 13);
  model.input("image", DType::kFloat32, {"N", 1, 2, 2});
  model.initializer("m", random_tensor(DType::kFloat32, {4, 4}, random_));
  model.node("Flatten", {"image"}, {"flat"});
  model.node("MatMul", {"flat", "m"}, {"scores"});
  model.output("scores", DType::kFloat32, {"N", 4});
  *model.proto().mutable_graph()->add_value_info() =
      ModelBuilder(8, 13).input("flat", DType::kFloat32, {"N", 4});
  const Tensor images = pixels({3, 2, 2});
  expect_scores(load(model).run(images.view()), truth(model, images, {}, {1, 2, 2}));
}

TEST_F(EngineTest, PadsTheLastChunkOfABatchThatCannotBeOpened) {
  ModelBuilder model = convnet({10, 1, 8, 8}, 1, 10);
  // A matrix product from the left with a permutation mixes rows as far as the analysis can tell.
  std::vector<float> identity(100, 0.0F);
  for (std::size_t i = 0; i < 10; ++i) identity[i * 11] = 1.0F;
  model.initializer("identity", tensor<float>({10, 10}, identity));
  model.node("MatMul", {"identity", "scores"}, {"mixed"});
  model.proto().mutable_graph()->mutable_output(0)->set_name("mixed");
  const Engine engine = load(model);
  EXPECT_FALSE(engine.describe(1).batch_open);
  for (const std::int64_t batch : {1, 10, 23}) {
    const Tensor images = pixels({batch, 1, 8, 8});
    expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
  }
}

TEST_F(EngineTest, AppliesThePreprocessingToPixelsOnly) {
  const ModelBuilder model = convnet({"N", 3, 8, 8}, 3);
  EngineOptions options;
  options.preprocess.scale = 1.0 / 128.0;
  options.preprocess.mean = std::vector<double>{0.4, 0.5, 0.6};
  options.preprocess.std = std::vector<double>{0.2, 0.3, 0.4};
  options.preprocess.invert = true;
  const Engine engine = load(model, options);
  const Tensor images = pixels({5, 3, 8, 8});
  const std::vector<float> want = truth(model, images, engine.input().preprocess, {3, 8, 8});
  expect_scores(engine.run(images.view()), want);

  Tensor values(DType::kFloat32, images.shape());
  for (std::int64_t i = 0; i < values.elements(); ++i) {
    const auto c = static_cast<std::size_t>(i / 64 % 3);
    values.as<float>()[i] = static_cast<float>(
        ((255.0 - images.as<std::uint8_t>()[i]) / 128.0 - (*options.preprocess.mean)[c]) /
        (*options.preprocess.std)[c]);
  }
  expect_scores(engine.run(values.view()), want);
}

TEST_F(EngineTest, TakesImagesInEitherLayout) {
  const ModelBuilder model = convnet({"N", 3, 8, 8}, 3);
  const Engine engine = load(model);
  const Tensor planar = pixels({4, 3, 8, 8});
  Tensor interleaved(DType::kUint8, {4, 8, 8, 3});
  for (std::int64_t i = 0; i < planar.elements(); ++i) {
    const std::int64_t n = i / 192;
    const std::int64_t c = i / 64 % 3;
    interleaved.as<std::uint8_t>()[n * 192 + i % 64 * 3 + c] = planar.as<std::uint8_t>()[i];
  }
  EXPECT_EQ(engine.run(planar.view()), engine.run(interleaved.view()));
  EXPECT_EQ(engine.run(planar.view()), engine.run(planar.reshaped({4, 192}).view()));
  expect_error(ErrorCode::kInvalidArgument, "do not fit the model", [&] {
    engine.run(planar.reshaped({4, 2, 96}).view());
  });
}

TEST_F(EngineTest, UnderstandsTheInputShapesOfTheWild) {
  struct Case {
    std::vector<test::Dim> dims;
    Layout layout;
  };
  const Case cases[] = {{{"N", 1, 6, 6}, Layout::kChw},
                        {{"N", 6, 6, 1}, Layout::kHwc},
                        {{"N", 6, 6}, Layout::kHw},
                        {{"N", 36}, Layout::kFlat},
                        {{"N", 36, 1}, Layout::kFlat}};
  const Tensor images = pixels({3, 6, 6});
  std::vector<float> first;
  for (const Case& test : cases) {
    ModelBuilder model(8, 13);
    std::mt19937_64 random(4);
    model.input("image", DType::kFloat32, test.dims);
    model.initializer("m", random_tensor(DType::kFloat32, {36, 4}, random));
    model.node("Flatten", {"image"}, {"f"});
    model.node("MatMul", {"f", "m"}, {"scores"});
    model.output("scores", DType::kFloat32, {"N", 4});
    const Engine engine = load(model);
    EXPECT_EQ(engine.input().layout, test.layout);
    EXPECT_EQ(engine.input().height, 6);
    EXPECT_EQ(engine.input().width, 6);
    EXPECT_EQ(engine.input().channels, 1);
    if (first.empty()) first = engine.run(images.view());
    EXPECT_EQ(engine.run(images.view()), first);
  }
}

TEST_F(EngineTest, ReadsSettingsAndLabelsFromMetadataAndSidecar) {
  ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  model.metadata("prs", R"({"scale":0.5,"mean":0.25,"labels":["a","b","c","d"]})");
  Engine engine = load(model);
  EXPECT_EQ(engine.input().preprocess.scale, 0.5);
  EXPECT_EQ(engine.input().preprocess.mean, std::vector<double>{0.25});
  ASSERT_EQ(engine.labels().size(), 4U);

  std::ofstream(dir_.path() / "m.prs.json") << R"({"scale":2,"labels":["e","f","g","h"]})";
  engine = load(model);
  EXPECT_EQ(engine.input().preprocess.scale, 2.0);
  EXPECT_EQ(engine.labels()[3], "h");

  EngineOptions options;
  options.preprocess.scale = 3.0;
  EXPECT_EQ(load(model, options).input().preprocess.scale, 3.0);

  const auto sidecar_error = [&](const std::string& json, const std::string& text) {
    std::ofstream(dir_.path() / "m.prs.json") << json;
    expect_error(ErrorCode::kInvalidArgument, text, [&] { load(model); });
  };
  sidecar_error("{", "m.prs.json: not a JSON object");
  sidecar_error(R"({"scael":1})", "unknown key \"scael\"");
  sidecar_error(R"({"scale":"big"})", "\"scale\" must be a number");
  sidecar_error(R"({"std":0})", "m.prs.json: std must not be 0");
  sidecar_error(R"({"channels":3})", "channels 3 does not fit");
  sidecar_error(R"({"layout":"upside-down"})", "layout");
}

TEST_F(EngineTest, TurnsChannelsRoundForModelsThatTakeBgr) {
  const auto build = [](bool planar) {
    ModelBuilder model(8, 13);
    if (planar) {
      model.input("x", DType::kFloat32, {"N", 3, 2, 2});
    } else {
      model.input("x", DType::kFloat32, {"N", 2, 2, 3});
    }
    model.node("ReduceMax", {"x"}, {"y"},
               {test::ints_attr("axes", planar ? std::vector<std::int64_t>{2, 3}
                                               : std::vector<std::int64_t>{1, 2}),
                test::int_attr("keepdims", 0)});
    model.output("y", DType::kFloat32, {"N", 3});
    return model;
  };
  // Red, green and blue are 10, 20 and 30 everywhere.
  Tensor planes(DType::kUint8, {1, 3, 2, 2});
  Tensor interleaved(DType::kUint8, {1, 2, 2, 3});
  Tensor values(DType::kFloat32, {1, 3, 2, 2});
  for (std::int64_t i = 0; i < 12; ++i) {
    planes.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(10 * (1 + i / 4));
    interleaved.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(10 * (1 + i % 3));
    values.as<float>()[i] = static_cast<float>(10 * (1 + i / 4));
  }
  const std::vector<float> rgb = {9, 18, 27};
  const std::vector<float> bgr = {29, 18, 7};
  EngineOptions options;
  options.preprocess.scale = 1.0;
  options.preprocess.mean = std::vector<double>{1, 2, 3};
  for (const bool planar : {true, false}) {
    ModelBuilder model = build(planar);
    options.preprocess.bgr.reset();
    EXPECT_EQ(load(model, options).run(planes.view()), rgb);
    options.preprocess.bgr = true;
    const Engine engine = load(model, options);
    EXPECT_TRUE(engine.input().preprocess.bgr);
    EXPECT_EQ(engine.run(planes.view()), bgr);
    EXPECT_EQ(engine.run(interleaved.view()), bgr);
    // f32 values are the model's input already.
    EXPECT_EQ(engine.run(values.view()), (std::vector<float>{10, 20, 30}));
    const Tensor flat = planar ? planes.reshaped({1, 12}) : interleaved.reshaped({1, 12});
    EXPECT_EQ(engine.run(flat.view()), bgr);
  }
}

TEST_F(EngineTest, ReadsTheChannelOrderFromMetadataAndSidecar) {
  ModelBuilder model = convnet({"N", 3, 8, 8}, 3);
  EXPECT_FALSE(load(model).input().preprocess.bgr);
  model.metadata("Image.BitmapPixelFormat", "Bgr8");
  model.metadata("Image.NominalPixelRange", "NominalRange_0_255");
  const Engine engine = load(model);
  EXPECT_TRUE(engine.input().preprocess.bgr);
  EXPECT_EQ(engine.input().preprocess.scale, 1.0);
  const auto& origins = engine.input().origins;
  const std::string origin = "channel order: from the model's Image.BitmapPixelFormat";
  EXPECT_EQ(std::count(origins.begin(), origins.end(), origin), 1);

  const auto sidecar = [&](const std::string& json) {
    std::ofstream(dir_.path() / "m.prs.json") << json;
  };
  sidecar(R"({"channel_order": "rgb"})");
  EXPECT_FALSE(load(model).input().preprocess.bgr);
  sidecar(R"({"channel_order": "rbg"})");
  expect_error(ErrorCode::kInvalidArgument, "expected \"rgb\" or \"bgr\"", [&] { load(model); });
}

TEST_F(EngineTest, RefusesImageMetadataThatItCannotHonour) {
  const auto metadata = [&](std::int64_t channels, const char* key, const char* value,
                            const EngineOptions& options = {}) {
    ModelBuilder model = convnet({"N", channels, 8, 8}, channels);
    model.metadata(key, value);
    return load(model, options);
  };
  const char* const format = "Image.BitmapPixelFormat";
  const char* const range = "Image.NominalPixelRange";
  metadata(1, format, "Gray8");
  metadata(1, format, "Bgr8");
  metadata(3, format, "Rgb8");
  expect_error(ErrorCode::kInvalidArgument, "Image.BitmapPixelFormat is 'Gray8'",
               [&] { metadata(3, format, "Gray8"); });
  expect_error(ErrorCode::kInvalidArgument, "Image.BitmapPixelFormat is 'Bgra8'",
               [&] { metadata(3, format, "Bgra8"); });
  expect_error(ErrorCode::kInvalidArgument, "Image.NominalPixelRange is 'NominalRange_16_235'",
               [&] { metadata(3, range, "NominalRange_16_235"); });
  EngineOptions options;
  options.preprocess.bgr = true;
  options.preprocess.scale = 1.0;
  EXPECT_TRUE(metadata(3, format, "Bgra8", options).input().preprocess.bgr);
  metadata(3, range, "NominalRange_16_235", options);
}

TEST_F(EngineTest, TakesLabelsThatFitTheScoredOutput) {
  ModelBuilder model = convnet({"N", 1, 8, 8}, 1);
  model.output("f", DType::kFloat32, {"N", 80});
  model.metadata("prs", R"({"labels":["a","b","c","d"]})");
  EXPECT_EQ(load(model).labels()[3], "d");

  // The model's own are for its first output: another one is scored without.
  EngineOptions options;
  options.output = "f";
  const Engine other = load(model, options);
  EXPECT_TRUE(other.labels().empty());
  EXPECT_EQ(other.input().origins.back(),
            "labels: ignored, 4 class names for the 80 scores of output 'f'");

  // Given ones overrule, and must fit.
  options.output = "";
  options.labels = {"e", "f", "g", "h"};
  EXPECT_EQ(load(model, options).labels()[3], "h");
  options.labels = std::vector<std::string>{};
  EXPECT_TRUE(load(model, options).labels().empty());
  options.labels = {"e", "f", "g"};
  expect_error(ErrorCode::kInvalidArgument,
               "m.onnx: 3 class names for the 4 scores of output 'scores'",
               [&] { load(model, options); });

  model.proto().clear_metadata_props();
  model.metadata("prs", R"({"labels":["only one"]})");
  options.labels = {"e", "f", "g", "h"};
  EXPECT_EQ(load(model, options).labels()[3], "h");
  EXPECT_EQ(load(model, options).classify(pixels({1, 8, 8}).view())[0].top[0].label.size(), 1U);
  EXPECT_TRUE(load(model).labels().empty());
}

TEST_F(EngineTest, TopSortsByScoreThenIndexWithNanLast) {
  const Engine engine = load(convnet({"N", 1, 8, 8}, 1));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Prediction prediction = engine.top(std::vector<float>{1.0F, nan, 3.0F, 3.0F}, 9);
  ASSERT_EQ(prediction.top.size(), 4U);
  EXPECT_EQ(prediction.top[0].index, 2);
  EXPECT_EQ(prediction.top[1].index, 3);
  EXPECT_EQ(prediction.top[2].index, 0);
  EXPECT_EQ(prediction.top[3].index, 1);
  EXPECT_EQ(prediction.top[0].label, "2");
}

TEST_F(EngineTest, AllocatesNothingOnceWarm) {
  EngineOptions options;
  options.threads = 1;
  const Engine engine = load(convnet({"N", 3, 8, 8}, 3), options);
  const Tensor planar = pixels({37, 3, 8, 8});
  const Tensor interleaved = pixels({37, 8, 8, 3});
  std::vector<float> scores(37 * 4);
  for (const Tensor* images : {&planar, &interleaved}) {
    engine.run(images->view(), scores);
    const std::int64_t before = test::allocation_count();
    for (int round = 0; round < 20; ++round) engine.run(images->view(), scores);
    EXPECT_EQ(test::allocation_count() - before, 0);
  }
}

TEST(PackCacheTest, PacksOnceForAsLongAsSomebodyUsesIt) {
  cpu::PackCache cache;
  const Tensor constant = tensor<float>({2}, {1, 2});
  int made = 0;
  const auto get = [&](const Tensor& of, const std::string& layout) {
    return cache.get(of, layout, [&] {
      ++made;
      return tensor<float>({1}, {static_cast<float>(made)});
    });
  };
  auto first = get(constant, "a");
  EXPECT_EQ(get(constant, "a"), first);
  EXPECT_EQ(made, 1);
  const auto other = get(constant, "b");
  EXPECT_EQ(*other->as<float>(), 2.0F);
  EXPECT_EQ(*get(tensor<float>({2}, {1, 2}), "a")->as<float>(), 3.0F);
  first.reset();
  EXPECT_EQ(*get(constant, "a")->as<float>(), 4.0F);
  // Many that come and go leave the one that is in use alone.
  for (int i = 0; i < 1000; ++i) get(tensor<float>({1}, {0}), std::to_string(i));
  EXPECT_EQ(get(constant, "b"), other);
}

#ifndef PRS_SANITIZED
std::int64_t resident_bytes() {
  std::int64_t total = 0;
  std::int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST_F(EngineTest, KeepsOneCopyOfTheWeightsForAllBatchSizes) {
  Tensor filled(DType::kFloat32, {2048, 2048});
  std::fill_n(filled.as<float>(), filled.elements(), 0.25F);
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {"N", 1, 32, 64});
  model.initializer("w", filled);
  model.node("Flatten", {"x"}, {"f"});
  model.node("Relu", {"f"}, {"r"});
  model.node("MatMul", {"r", "w"}, {"scores"});
  model.output("scores", DType::kFloat32, {"N", 2048});
  EngineOptions options;
  options.threads = 1;
  const Engine engine = load(model, options);
  engine.run(pixels({1, 32, 64}).view());
  const std::int64_t before = resident_bytes();
  for (const std::int64_t batch : {2, 4, 8, 16}) engine.run(pixels({batch, 32, 64}).view());
  // Each batch size used to pack its own.
  EXPECT_LT(resident_bytes() - before, filled.bytes());
}
#endif

TEST_F(EngineTest, ServesSeveralThreadsAtOnce) {
  EngineOptions options;
  options.threads = 2;
  const Engine engine = load(convnet({"N", 1, 8, 8}, 1), options);
  const Tensor images = pixels({50, 1, 8, 8});
  const std::vector<float> want = engine.run(images.view());
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 30; ++round) {
        // Batches of changing sizes: executables are compiled while others run.
        const std::int64_t count = 1 + (round * 7 + static_cast<int>(t)) % 50;
        TensorView part = images.view();
        part.shape.set(0, count);
        const std::vector<float> got = engine.run(part);
        for (std::size_t i = 0; i < got.size(); ++i) {
          if (std::abs(got[i] - want[i]) > 1e-4F * (1.0F + std::abs(want[i]))) ++wrong[t];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(EngineTest, RefusesModelsThatAreNoImageClassifiers) {
  ModelBuilder two_inputs = convnet({"N", 1, 8, 8}, 1);
  two_inputs.input("other", DType::kFloat32, {1});
  expect_error(ErrorCode::kInvalidArgument, "has 2 inputs", [&] { load(two_inputs); });

  ModelBuilder rank_5(8, 13);
  rank_5.input("x", DType::kFloat32, {"N", 1, 2, 3, 4});
  rank_5.node("Flatten", {"x"}, {"y"});
  rank_5.output("y", DType::kFloat32, {"N", 24});
  expect_error(ErrorCode::kInvalidArgument, "is not an image input", [&] { load(rank_5); });

  ModelBuilder integers(8, 13);
  integers.input("x", DType::kFloat32, {"N", 16});
  integers.node("ArgMax", {"x"}, {"y"}, {test::int_attr("axis", 1)});
  integers.output("y", DType::kInt64, {"N", 1});
  expect_error(ErrorCode::kInvalidArgument, "scores are f32", [&] { load(integers); });

  expect_error(ErrorCode::kInvalidArgument, "no output 'nope'; the model has scores", [&] {
    EngineOptions options;
    options.output = "nope";
    load(convnet({"N", 1, 8, 8}, 1), options);
  });
  expect_error(ErrorCode::kInvalidArgument, "expected auto, cpu", [&] {
    EngineOptions options;
    options.device = "tpu";
    load(convnet({"N", 1, 8, 8}, 1), options);
  });
}

TEST_F(EngineTest, OpenImageSizesComeFromTheCaller) {
  const ModelBuilder model = convnet({"N", 1, "H", "W"}, 1);
  expect_error(ErrorCode::kInvalidArgument, "leaves the height open; give it (--resize WxH)",
               [&] { load(model); });
  EngineOptions options;
  options.preprocess.height = 8;
  options.preprocess.width = 8;
  const Engine engine = load(model, options);
  const Tensor images = pixels({3, 8, 8});
  expect_scores(engine.run(images.view()), truth(model, images, {}, {1, 8, 8}));
}

TEST_F(EngineTest, DescribesLayersAndPlan) {
  const Engine engine = load(convnet({"N", 1, 8, 8}, 1));
  const ModelDescription description = engine.describe(4);
  EXPECT_EQ(description.layers.size(), 5U);
  EXPECT_LT(description.steps.size(), description.layers.size());
  EXPECT_EQ(description.parameters, 5 * 9 + 5 + 2 + 80 * 4);
  // 2 * 64 outputs * 5 filters * 9 weights + relu 320 + pool 4 * 80 + 2 * 80 * 4
  EXPECT_DOUBLE_EQ(description.flops_per_image, 2.0 * 64 * 5 * 9 + 320 + 320 + 640);
}

TEST(ModelTest, BindsShapesThatArriveAsInputs) {
  const test::TempDir dir;
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {"A", "B"});
  model.input("target", DType::kInt64, {"R"});
  model.node("Reshape", {"x", "target"}, {"y"});
  auto* output = model.proto().mutable_graph()->add_output();
  output->set_name("y");
  const Model loaded = Model::load(model.write(dir.path() / "m.onnx"));
  std::mt19937_64 random(2);
  const Tensor x = random_tensor(DType::kFloat32, {4, 6}, random);
  for (const std::vector<std::int64_t>& target :
       {std::vector<std::int64_t>{24}, {3, 8}, {2, -1, 3}, {4, 6}}) {
    const Tensor shape = tensor<std::int64_t>({static_cast<std::int64_t>(target.size())}, target);
    const std::vector<Tensor> got = loaded.run(std::vector{x, shape});
    EXPECT_EQ(got[0].shape().rank(), static_cast<std::int64_t>(target.size()));
    test::expect_close(got[0].reshaped({4, 6}), x, {}, "reshaped");
  }
}

TEST(ModelTest, RefusesATensorThatNoMachineCouldHold) {
  const test::TempDir dir;
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {4});
  // Fewer than 2^62 elements, but more than 2^63 bytes.
  model.initializer("pads", tensor<std::int64_t>({2}, {0, std::int64_t{1} << 61}));
  model.node("Pad", {"x", "pads"}, {"y"}, {test::string_attr("mode", "edge")}).set_name("wide");
  model.proto().mutable_graph()->add_output()->set_name("y");
  expect_error(ErrorCode::kOutOfMemory, "wide", [&] {
    Model::load(model.write(dir.path() / "m.onnx"))
        .run(std::vector{tensor<float>({4}, {1, 2, 3, 4})});
  });
}

TEST(ModelTest, HandsInputsConstantsAndDuplicatesOn) {
  const test::TempDir dir;
  ModelBuilder model(8, 13);
  model.input("x", DType::kFloat32, {2});
  model.initializer("c", tensor<float>({1}, {7}));
  model.node("Identity", {"x"}, {"same"});
  model.node("Neg", {"x"}, {"n"});
  model.node("Identity", {"n"}, {"n2"});
  model.node("Relu", {"n"}, {"r"});
  for (const char* name : {"same", "c", "n", "n2", "r"}) {
    model.proto().mutable_graph()->add_output()->set_name(name);
  }
  const Model loaded = Model::load(model.write(dir.path() / "m.onnx"));
  const std::vector<Tensor> got = loaded.run(std::vector{tensor<float>({2}, {1, -2})});
  ASSERT_EQ(got.size(), 5U);
  test::expect_close(got[0], tensor<float>({2}, {1, -2}), {}, "same");
  test::expect_close(got[1], tensor<float>({1}, {7}), {}, "c");
  test::expect_close(got[2], tensor<float>({2}, {-1, 2}), {}, "n");
  test::expect_close(got[3], tensor<float>({2}, {-1, 2}), {}, "n2");
  test::expect_close(got[4], tensor<float>({2}, {0, 2}), {}, "r");
}

}  // namespace
}  // namespace prs
