#include "entry/model_options.hpp"

#include <gtest/gtest.h>

#include "support/expect_error.hpp"

namespace prs::entry {
namespace {

ScorerOptions parse(std::map<std::string, std::string> options) {
  config::Step step;
  step.entry.path = "m.onnx";
  step.device = "cuda:1";
  step.model_options = std::move(options);
  return scorer_options(step);
}

TEST(ModelOptions, AWorkerTakesOneThreadUnlessToldOtherwise) {
  const ScorerOptions options = parse({});
  EXPECT_EQ(options.model, "m.onnx");
  EXPECT_EQ(options.engine.device, "cuda:1");
  EXPECT_EQ(options.engine.threads, 1);
  EXPECT_FALSE(options.resize);
  EXPECT_EQ(parse({{"threads", "4"}}).engine.threads, 4);
  EXPECT_EQ(parse({{"threads", "0"}}).engine.threads, 0);
}

TEST(ModelOptions, MeanWhatTheFlagsOfScoreMean) {
  const ScorerOptions options = parse({{"scale", "0.5"},
                                       {"mean", "0.485,0.456,0.406"},
                                       {"std", "2"},
                                       {"invert", "True"},
                                       {"layout", "NHWC"},
                                       {"channels", "3"},
                                       {"channel_order", "bgr"},
                                       {"resize", "320x240"},
                                       {"output", "logits"},
                                       {"precision", "BF16"},
                                       {"class_names", "names.txt"},
                                       {"batch", "64"},
                                       {"max_pixels", "1000"}});
  const PreprocessOverrides& preprocess = options.engine.preprocess;
  EXPECT_EQ(preprocess.scale, 0.5);
  EXPECT_EQ(preprocess.mean, (std::vector<double>{0.485, 0.456, 0.406}));
  EXPECT_EQ(preprocess.std, (std::vector<double>{2}));
  EXPECT_EQ(preprocess.invert, true);
  EXPECT_EQ(preprocess.layout, Layout::kHwc);
  EXPECT_EQ(preprocess.channels, 3);
  EXPECT_EQ(preprocess.bgr, true);
  EXPECT_EQ(preprocess.width, 320);
  EXPECT_EQ(preprocess.height, 240);
  EXPECT_TRUE(options.resize);
  EXPECT_EQ(options.engine.output, "logits");
  EXPECT_EQ(options.engine.precision, Precision::kBf16);
  EXPECT_EQ(options.class_names, "names.txt");
  EXPECT_EQ(options.engine.max_batch, 64);
  EXPECT_EQ(options.max_pixels, 1000);
}

TEST(ModelOptions, ResizeIsASwitchToo) {
  EXPECT_TRUE(parse({{"resize", "true"}}).resize);
  EXPECT_FALSE(parse({{"resize", "false"}}).resize);
  EXPECT_FALSE(parse({{"resize", "true"}}).engine.preprocess.width.has_value());
}

TEST(ModelOptions, C1_ErrorsNameKeyValueAndRange) {
  const auto refused = [](const char* key, const char* value, const std::string& text) {
    test::expect_error(ErrorCode::kInvalidArgument, text, [&] { parse({{key, value}}); });
  };
  refused("scale", "x", "model_options: scale: 'x' is no number");
  refused("scale", "1,2", "model_options: scale: '1,2' is not one number");
  refused("mean", "1,", "model_options: mean: '1,' is no number or comma-separated numbers");
  refused("std", "", "model_options: std: '' is no number");
  refused("invert", "maybe", "model_options: invert: 'maybe' is neither true nor false");
  refused("layout", "nwhc", "model_options: layout: ");
  refused("channels", "2", "model_options: channels: '2' is neither 1 nor 3");
  refused("resize", "20", "model_options: resize: '20' is no size such as 224x224");
  refused("resize", "0x5", "is no size");
  refused("batch", "0", "model_options: batch: '0' is no whole number from 1 to 16777216");
  refused("threads", "-1", "model_options: threads: '-1' is no whole number from 0 to 4096");
  refused("max_pixels", "9z", "is no whole number");
  refused("precision", "fp31", "model_options: precision: unknown precision 'fp31'; expected fp32");
  refused("mena", "0",
          "model_options: unknown key 'mena'; known are batch, channel_order, channels, "
          "class_names, columns, invert, "
          "layout, max_pixels, mean, output, precision, resize, scale, std, threads");
}

}  // namespace
}  // namespace prs::entry
