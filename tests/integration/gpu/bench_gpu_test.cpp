// prs-gpu bench gpu: what it measures and prints, with the emulation as the GPU; and without one.
#include <cstdlib>

#include "program.hpp"

namespace prs::test {
namespace {

using Json = nlohmann::json;

ProcessResult bench_emulated(std::vector<std::string> more) {
  more.insert(more.begin(), {PRS_EMULATED, "bench", "gpu", "--seconds", "0"});
  return run_process(more);
}

TEST(BenchGpu, ShowsEveryKernelWithItsCosts) {
  const ProcessResult result =
      bench_emulated({"--model", model_path("mlp.onnx"), "--batch", "1,17", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_NE(json["gpu"].get<std::string>().find("emulated on the CPU"), std::string::npos);
  EXPECT_EQ(json["emulated"], true);
  // What an emulated device cannot know is there, and nothing.
  for (const char* rate :
       {"to_device_gb_s", "to_host_gb_s", "copy_gb_s", "launch_us", "round_trip_us"}) {
    ASSERT_TRUE(json["peaks"].contains(rate)) << rate;
    EXPECT_TRUE(json["peaks"][rate].is_null()) << rate;
  }
  EXPECT_EQ(json["peaks"]["giga_operations_per_s"].size(), 5U);
  ASSERT_EQ(json["cells"].size(), 2U);
  const double pieces[] = {1, 16};
  for (std::size_t i = 0; i < 2; ++i) {
    const Json& cell = json["cells"][i];
    EXPECT_EQ(cell["piece"], pieces[i]);
    EXPECT_TRUE(cell["images_per_s"].is_null() && cell["resident_images_per_s"].is_null());
    ASSERT_EQ(cell["steps"].size(), 1U);
    const Json& step = cell["steps"][0];
    EXPECT_EQ(step["kernel"].get<std::string>().rfind("fused_mlp_f32", 0), 0U);
    // Multiplications and additions of 784-256-128-10; biases and activations come on top.
    const double products = 2.0 * (784 * 256 + 256 * 128 + 128 * 10) * pieces[i];
    EXPECT_GE(step["flops"].get<double>(), products);
    EXPECT_LE(step["flops"].get<double>(), 1.01 * products);
    const double weights = 4.0 * (784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
    EXPECT_GE(step["bytes"].get<double>(), weights + pieces[i] * (784 + 40));
    EXPECT_LE(step["bytes"].get<double>(), 1.01 * (weights + pieces[i] * (784 + 40)));
    EXPECT_TRUE(step["time_us"].is_null() && step["percent_of_limit"].is_null());
  }
}

TEST(BenchGpu, TextHoldsTheSame) {
  const ProcessResult result =
      bench_emulated({"--model", model_path("lenet.onnx"), "--batch", "1", "--precision", "bf16"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* expected :
       {"emulated: nothing is timed", "host to device, GB/s", "bf16, GFLOP/s", "int8, GOP/s",
        "lenet.onnx: 1.59 MFLOP an image, bf16", "fused_cnn_bf16_mma", "% of limit"}) {
    EXPECT_NE(result.out.find(expected), std::string::npos) << expected << "\n" << result.out;
  }
}

/// An emulated device is slower than the CPU at everything, so that only the CPU can be chosen.
TEST(DeviceAuto, IsCalibratedOnceAndShownByInspect) {
  const TempDir cache;
  ::setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  const std::vector<std::string> command = {PRS_EMULATED, "inspect", model_path("mlp.onnx"),
                                            "--format", "json"};
  const ProcessResult first = run_process(command);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Json json = Json::parse(first.out);
  ASSERT_EQ(json["auto"].size(), 5U);
  for (const Json& choice : json["auto"]) EXPECT_EQ(choice["device"], "cpu");
  EXPECT_EQ(json["auto"][4]["batch"], 256);
  const std::string note = json["notes"].back();
  EXPECT_EQ(note.rfind("auto: ", 0), 0U) << note;
  EXPECT_TRUE(std::filesystem::exists(cache.path() / "prs-gpu" / "auto"));
  // Measured again, the times would differ.
  EXPECT_EQ(run_process(command).out, first.out);
}

TEST(DeviceAuto, AFullGpuIsNotUsedAndALineSaysWhy) {
  const TempDir folder;
  ::setenv("XDG_CACHE_HOME", folder.path().c_str(), 1);
  ::setenv("PRS_EMULATED_GPUS", "100000 bytes", 1);
  const std::string image = (folder.path() / "0.png").string();
  write_png(image, 0);
  std::vector<std::string> command = {PRS_EMULATED, "score", "--model", model_path("mlp.onnx"),
                                      image};
  const ProcessResult scored = run_process(command);
  command.insert(command.end(), {"--device", "cuda"});
  const ProcessResult refused = run_process(command);
  ::unsetenv("PRS_EMULATED_GPUS");
  EXPECT_EQ(scored.exit_code, 0) << scored.err;
  EXPECT_EQ(lines_of(scored.out).size(), 1U) << scored.out;
  for (const char* text : {"10 classes, on cpu in fp32", "warning: cuda:emulated cannot be used: ",
                           "with 0 of 100000 in use; this runs on the CPU"}) {
    EXPECT_NE(scored.err.find(text), std::string::npos) << text << "\n" << scored.err;
  }
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("with 0 of 100000 in use"), std::string::npos) << refused.err;
}

TEST(BenchGpu, WithoutAGpuItSaysWhyInOneLine) {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  const ProcessResult result = prs_gpu({"bench", "gpu", "--model", model_path("mlp.onnx")});
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(result.exit_code, 69);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(result.err).size(), 1U) << result.err;
  EXPECT_NE(result.err.find("no GPU to measure: "), std::string::npos) << result.err;
}

}  // namespace
}  // namespace prs::test
