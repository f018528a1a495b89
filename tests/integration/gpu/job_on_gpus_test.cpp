// prs-gpu run on GPUs, one for each worker, which the emulation stands for (emulated_gpu.cpp): jobs
// in real processes, and GPUs that fail for good under them.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "program.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

class JobOnGpus : public ProgramTest {
 protected:
  void SetUp() override {
    ::setenv("PRS_HOME", file("home").c_str(), 1);
    ::unsetenv("CUDA_VISIBLE_DEVICES");
  }
  void TearDown() override {
    ::unsetenv("PRS_EMULATED_GPUS");
    ::unsetenv("AZ_BATCHAI_GPU_COUNT_FOUND");
  }

  /// Scores `images` of them, four a mini-batch, by two workers on two GPUs.
  ProcessResult run(const char* gpus, int images, std::vector<std::string> more = {}) const {
    ::setenv("PRS_EMULATED_GPUS", gpus, 1);
    ::setenv("AZ_BATCHAI_GPU_COUNT_FOUND", "2", 1);
    const std::string folder =
        fs::exists(file("photos")) ? file("photos") : photos("photos", images);
    std::vector<std::string> command = {
        PRS_EMULATED,        "run",       "--model",   model_path("mlp.onnx"),
        "--device",          "cuda",      "--workers", "2",
        "--mini-batch-size", "4",         "--input",   folder,
        "--output",          file("out"), "--set",     "allow_reuse=false",
        "--overwrite"};
    command.insert(command.end(), more.begin(), more.end());
    return run_process(command);
  }

  std::vector<std::string> rows() const {
    std::vector<std::string> lines = lines_of(read_text(file("out/parallel_run_step.txt")));
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  std::string log(const std::string& process) const {
    return read_text(file("out/logs/sys/node/0/" + process + ".txt"));
  }

  /// What the CPU makes of the same images.
  std::vector<std::string> rows_of_cpu() const {
    const ProcessResult result =
        prs_gpu({"run", "--model", model_path("mlp.onnx"), "--device", "cpu", "--workers", "1",
                 "--input", file("photos"), "--output", file("cpu"), "--set", "allow_reuse=false"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<std::string> lines = lines_of(read_text(file("cpu/parallel_run_step.txt")));
    std::sort(lines.begin(), lines.end());
    return lines;
  }
};

TEST_F(JobOnGpus, G2_EveryWorkerComputesOnItsOwn) {
  const ProcessResult result = run("ok,ok", 32);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(read_text(file("out/logs/sys/master_role.txt")).find("on cuda:emulated in fp32"),
            std::string::npos);
  EXPECT_EQ(rows().size(), 32U);
  EXPECT_EQ(rows(), rows_of_cpu());
  for (int i = 0; i < 2; ++i) {
    const std::string text = log(fmt::format("process00{}", i));
    EXPECT_NE(text.find(fmt::format("CUDA_VISIBLE_DEVICES \"{}\"", i)), std::string::npos) << text;
    EXPECT_NE(text.find("RUN_DONE"), std::string::npos) << text;
  }
}

TEST_F(JobOnGpus, G8_AGpuThatIsLostAtOnceIsGivenUp) {
  const ProcessResult result = run("1 kernels,ok", 120, {"--set", "run_max_try=10"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows().size(), 120U);
  EXPECT_EQ(rows(), rows_of_cpu());
  EXPECT_NE(result.err.find("GPU 0: 3 workers in a row died on it"), std::string::npos)
      << result.err;
  // The first worker's try failed by what CUDA said, which is also why the worker ended.
  const std::string first = log("process000");
  for (const char* text : {"ended: its device failed (exit code 84): device lost: cuda:emulated",
                           "RUN_CRASHED", "error: its device failed (exit code 84): device lost"}) {
    EXPECT_NE(first.find(text), std::string::npos) << text << "\n" << first;
  }
}

TEST_F(JobOnGpus, G8_WorkersWhoseGpuIsLostAreReplaced) {
  const ProcessResult result = run("4 kernels,4 kernels", 64);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(rows().size(), 64U);
  EXPECT_EQ(rows(), rows_of_cpu());
  EXPECT_TRUE(fs::exists(file("out/logs/sys/node/0/process003.txt")));
}

TEST_F(JobOnGpus, G8_WithoutAnyGpuThatWorksTheJobFailsAndSaysWhy) {
  const ProcessResult result = run("1 kernels,1 kernels", 8, {"--set", "allowed_failed_count=0"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.err.find("an illegal address was accessed"), std::string::npos) << result.err;
}

TEST_F(JobOnGpus, G3_AWorkerWithoutAGpuIsToldOfBeforeTheJob) {
  // A device that the third worker has not; a precision that the CPU has not.
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--workers", "3"},
        {"--workers", "3", "--device", "auto", "--set", "model_options.precision=tf32"}}) {
    const ProcessResult result = run("ok,ok", 8, options);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find("3 workers, and GPUs for 2 of them (give --workers 2)"),
              std::string::npos)
        << result.err;
    EXPECT_FALSE(fs::exists(file("out")));
  }
}

}  // namespace
}  // namespace prs::test
