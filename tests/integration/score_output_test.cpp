// prs-gpu score: files that appear when complete, full disks, closed pipes, Ctrl-C.

#include <fmt/format.h>

#include <csignal>

#include "program.hpp"

namespace prs::test {
namespace {

namespace fs = std::filesystem;

class ScoreOutput : public ProgramTest {
 protected:
  static std::vector<std::string> command(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"score", "--model", model_path("lenet.onnx")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return prs_gpu_command(all);
  }
};

TEST_F(ScoreOutput, WritesTheFileAndLeavesNoPartialOne) {
  const ProcessResult result = run_process(command({"--output", file("rows"), photos("p", 3)}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_of(read_text(file("rows"))).size(), 3U);
  EXPECT_FALSE(fs::exists(file("rows.partial")));
}

TEST_F(ScoreOutput, ReplacesAFileOnlyWhenTold) {
  write_text(dir() / "rows", "precious\n");
  const std::string folder = photos("p", 1);
  const ProcessResult refused = run_process(command({"--output", file("rows"), folder}));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("--overwrite"), std::string::npos) << refused.err;
  EXPECT_EQ(read_text(file("rows")), "precious\n");
  const ProcessResult replaced =
      run_process(command({"--output", file("rows"), "--overwrite", folder}));
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_TRUE(read_text(file("rows")).starts_with("0.png: "));
}

TEST_F(ScoreOutput, ReportsAFileThatCannotBeWritten) {
  const std::string folder = photos("p", 1);
  for (const std::string& target : {file("none/rows"), file("p")}) {
    const ProcessResult result = run_process(command({"--output", target, folder}));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find(target), std::string::npos) << result.err;
  }
}

TEST_F(ScoreOutput, ReportsAFullDisk) {
  const ProcessResult result = run_process(command({"--output", "/dev/full", photos("p", 2)}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("/dev/full: cannot write: No space left on device"), std::string::npos)
      << result.err;
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  const ProcessResult standard =
      run_process({"/bin/sh", "-c", "exec \"$@\" > /dev/full", "sh", PRS_PROGRAM, "score",
                   "--model", model_path("lenet.onnx"), photos("p", 2)});
  EXPECT_EQ(standard.exit_code, 1);
  EXPECT_NE(standard.err.find("standard output: cannot write"), std::string::npos) << standard.err;
}

TEST_F(ScoreOutput, EndsQuietlyWhenTheReaderLeaves) {
  write_idx_images(dir() / "many.idx", 2000);
  Process process(command({"--log-level", "warn", file("many.idx")}));
  EXPECT_TRUE(process.read_line().starts_with("many.idx#0: "));
  process.close_output();
  const ProcessResult result = process.wait();
  EXPECT_EQ(result.signal, SIGPIPE);
  EXPECT_EQ(result.err, "");
}

// The rows do not fit into the pipe: after one line the program is still at work.
TEST_F(ScoreOutput, CtrlCStopsAfterTheRowsThatAreDone) {
  write_idx_images(dir() / "many.idx", 4000);
  Process process(command({"--batch", "100", file("many.idx")}));
  EXPECT_TRUE(process.read_line().starts_with("many.idx#0: "));
  process.send(SIGINT);
  const ProcessResult result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  const std::size_t rows = lines_of(result.out).size() + 1;
  EXPECT_EQ(rows % 100, 0U) << "whole batches";
  EXPECT_LT(rows, 4000U);
  EXPECT_TRUE(result.out.ends_with("\n"));
  EXPECT_NE(result.err.find(fmt::format("scored {} of 4,000 images", rows)), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("interrupted"), std::string::npos) << result.err;
}

// Here the warnings fill their pipe, so that the program waits in the middle of a batch.
TEST_F(ScoreOutput, CtrlCLeavesThePartialFile) {
  write_idx_images(dir() / "good.idx", 500);
  for (int i = 0; i < 90; ++i) write_text(dir() / "bad" / fmt::format("{}.png", i), "no image");
  Process process(command({"--log-level", "warn", "--output", file("rows"), file("good.idx"),
                           file("bad"), file("good.idx")}));
  EXPECT_TRUE(process.read_error_line().starts_with("prs-gpu: warning: "));
  process.send(SIGINT);
  const ProcessResult result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_FALSE(fs::exists(file("rows")));
  EXPECT_EQ(lines_of(read_text(file("rows.partial"))).size(), 500U);
  EXPECT_NE(result.err.find(file("rows.partial")), std::string::npos) << result.err;
}

TEST_F(ScoreOutput, KeepsThePartialFileOfAnEarlierRunUnlessTold) {
  const std::string folder = photos("p", 2);
  for (const char* flag : {"--output", "--failures"}) {
    write_text(dir() / "kept.partial", "precious\n");
    const ProcessResult refused = run_process(command({flag, file("kept"), folder}));
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_EQ(refused.out, "");
    EXPECT_NE(refused.err.find(file("kept.partial") + ": holds what an earlier run finished"),
              std::string::npos)
        << refused.err;
    EXPECT_NE(refused.err.find("--overwrite"), std::string::npos) << refused.err;
    EXPECT_EQ(read_text(file("kept.partial")), "precious\n");
    const ProcessResult replaced =
        run_process(command({flag, file("kept"), "--overwrite", folder}));
    EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
    EXPECT_FALSE(fs::exists(file("kept.partial")));
    fs::remove(file("kept"));
  }
}

TEST_F(ScoreOutput, ARunThatWroteNothingLeavesNoPartialFile) {
  write_text(dir() / "failures", "an older list\n");
  const std::string folder = photos("p", 1);
  const std::vector<std::string> arguments = {"--output", file("rows"), "--failures",
                                              file("failures"), folder};
  EXPECT_EQ(run_process(command(arguments)).exit_code, 1);
  EXPECT_FALSE(fs::exists(file("rows.partial")));
  fs::remove(file("failures"));
  EXPECT_EQ(run_process(command(arguments)).exit_code, 0);
}

TEST_F(ScoreOutput, OneFileForRowsAndFailuresIsAUsageError) {
  const std::string folder = photos("p", 1);
  fs::create_directory_symlink(dir(), dir() / "link");
  const auto run = [&](const std::string& output, const std::string& failures) {
    return run_process(command({"--output", output, "--failures", failures, folder}));
  };
  for (const char* other : {"rows", "p/../rows", "link/rows", "rows.partial"}) {
    const ProcessResult result = run(file("rows"), file(other));
    EXPECT_EQ(result.exit_code, 2) << other;
    EXPECT_NE(result.err.find("--failures " + file(other) + " would write the same file"),
              std::string::npos)
        << result.err;
    EXPECT_FALSE(fs::exists(file("rows")));
    EXPECT_FALSE(fs::exists(file("rows.partial")));
  }
  EXPECT_EQ(run("/dev/null", "/dev/null").exit_code, 0);
}

}  // namespace
}  // namespace prs::test
