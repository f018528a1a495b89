// prs-gpu as a whole: help, version, usage errors, completion.

#include <fmt/format.h>

#include <regex>

#include "program.hpp"

namespace prs::test {
namespace {

const std::vector<std::string>& commands() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> found;
    bool listed = false;
    for (const std::string& line : lines_of(prs_gpu({"--help"}).out)) {
      std::smatch match;
      if (line == "Subcommands:") {
        listed = true;
      } else if (listed && std::regex_search(line, match, std::regex("^  ([a-z-]+) "))) {
        found.push_back(match[1]);
      } else {
        listed = false;
      }
    }
    return found;
  }();
  return names;
}

/// The long options that the help of `command` ("": of the program) lists.
std::vector<std::string> options_of(const std::string& command) {
  std::vector<std::string> arguments = {"--help"};
  if (!command.empty()) arguments.insert(arguments.begin(), command);
  std::vector<std::string> found;
  for (const std::string& line : lines_of(prs_gpu(arguments).out)) {
    if (!std::regex_search(line, std::regex("^  -"))) continue;
    const std::string names = line.substr(2, line.find(' ', 2) - 2);
    const std::regex option("--[a-z-]+");
    for (std::sregex_iterator it(names.begin(), names.end(), option), end; it != end; ++it) {
      found.push_back(it->str());
    }
  }
  return found;
}

TEST(Program, HelpNamesTheSubcommands) {
  EXPECT_EQ(commands(),
            (std::vector<std::string>{"score", "evaluate", "inspect", "verify", "quantize",
                                      "export-images", "bench", "run", "resume", "replay", "status",
                                      "runs", "logs", "metrics", "completion"}));
}

TEST(Program, EverySubcommandTeachesWithExamples) {
  for (const std::string& command : commands()) {
    const ProcessResult result = prs_gpu({command, "--help"});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_NE(result.out.find("Examples:\n  "), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("prs-gpu " + command), std::string::npos) << result.out;
  }
}

TEST(Program, VersionTellsBuildAndMachine) {
  const ProcessResult result = prs_gpu({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(std::regex_search(result.out, std::regex("^prs-gpu \\d+\\.\\d+\\.\\d+\n")));
  for (const char* line : {"commit", "compiler", "CUDA", "GPU", "CPU", "kernels"}) {
    EXPECT_TRUE(std::regex_search(result.out, std::regex(fmt::format("\n  {} +\\S", line))))
        << line << "\n"
        << result.out;
  }
}

TEST(Program, HelpReportsAFullDisk) {
  for (const char* arguments : {"--help", "score --help", "--version", "completion bash"}) {
    const ProcessResult result = run_process(
        {"/bin/sh", "-c", fmt::format("exec '{}' {} > /dev/full", PRS_PROGRAM, arguments)});
    EXPECT_EQ(result.exit_code, 1) << arguments;
    EXPECT_NE(result.err.find("standard output: cannot write"), std::string::npos) << result.err;
  }
}

TEST(Program, WithoutArgumentsPrintsHelpToStandardError) {
  const ProcessResult result = prs_gpu({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("Subcommands:"), std::string::npos);
}

TEST(Program, UnknownWordsAreAnsweredWithTheNearestKnown) {
  const auto expect_answer = [](const std::vector<std::string>& arguments, const char* answer) {
    const ProcessResult result = prs_gpu(arguments);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(answer), std::string::npos) << result.err;
  };
  expect_answer({"scroe"}, "unknown command scroe; did you mean score?");
  expect_answer({"--verison"}, "unknown option --verison; did you mean --version?");
  expect_answer({"score", "--model", "m", "--topk", "3", "x"},
                "unknown option --topk; did you mean --top-k?");
  expect_answer({"score", "--model", "m", "--fromat=csv", "x"},
                "unknown option --fromat; did you mean --format?");
  expect_answer({"inspect", "m", "--something-else"}, "unknown option --something-else\n");
}

TEST(Program, UsageErrorsAreTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {"score", "x.png"},
      {"score", "--model", "m"},
      {"score", "--model", "m", "--device", "gpu", "x"},
      {"score", "--model", "m", "--format", "xml", "x"},
      {"score", "--model", "m", "--top-k", "0", "x"},
      {"score", "--model", "m", "--batch", "0", "x"},
      {"score", "--model", "m", "--threads", "-1", "x"},
      {"score", "--model", "m", "--channels", "2", "x"},
      {"score", "--model", "m", "--mean", "1,b", "x"},
      {"score", "--model", "m", "--mean", "nan", "x"},
      {"score", "--model", "m", "--std", "0", "x"},
      {"score", "--model", "m", "--std", "1,0,1", "x"},
      {"score", "--model", "m", "--scale", "nan", "x"},
      {"score", "--model", "m", "--scale", "1e999", "x"},
      {"score", "--model", "m", "--scale", "1,2", "x"},
      {"score", "--model", "m", "--max-pixels", "0", "x"},
      {"score", "--model", "m", "--max-pixels", "2147483648", "x"},
      {"score", "--model", "m", "--resize=28", "x"},
      {"score", "--model", "m", "--layout", "hwnc", "x"},
      {"score", "--model", "m", "--invert", "--no-invert", "x"},
      {"score", "--model", "m", "--scores", "x"},
      {"evaluate", "--model", "m", "x"},
      {"export-images", "x"},
      {"completion", "fish"},
      {"--log-level", "loud", "inspect", "m"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const ProcessResult result = prs_gpu(arguments);
    EXPECT_EQ(result.exit_code, 2) << fmt::format("{}", arguments.back()) << result.err;
    EXPECT_TRUE(result.err.starts_with("prs-gpu: error: ")) << result.err;
    EXPECT_EQ(lines_of(result.err).size(), 2U) << result.err;
  }
}

TEST(Program, UsageErrorsOfValuesNameTheFlag) {
  for (const auto& [flag, value] : {std::pair("--std", "0"), std::pair("--scale", "nan"),
                                    std::pair("--max-pixels", "9999999999")}) {
    const ProcessResult result = prs_gpu({"score", "--model", "m", flag, value, "x"});
    EXPECT_NE(result.err.find(flag), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(value), std::string::npos) << result.err;
  }
}

TEST(Completion, BashOffersEveryOptionOfEverySubcommand) {
  // Asks the script as bash would, for "prs-gpu WORDS --".
  const auto offers = [](const std::vector<std::string>& words) {
    std::string line = "prs-gpu";
    for (const std::string& word : words) line += " " + word;
    const ProcessResult result =
        run_process({"/bin/bash", "-c",
                     fmt::format("source <({} completion bash); COMP_WORDS=({}); "
                                 "COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _prs_gpu; "
                                 "printf '%s\\n' \"${{COMPREPLY[@]}}\"",
                                 PRS_PROGRAM, line)});
    EXPECT_EQ(result.err, "");
    return lines_of(result.out);
  };
  const auto expect_offer = [&](const std::vector<std::string>& offered, const std::string& word) {
    EXPECT_NE(std::find(offered.begin(), offered.end(), word), offered.end()) << word;
  };
  const std::vector<std::string> first = offers({"''"});
  for (const std::string& command : commands()) expect_offer(first, command);
  for (const std::string& option : options_of("")) expect_offer(first, option);
  for (const std::string& command : commands()) {
    SCOPED_TRACE(command);
    const std::vector<std::string> offered =
        command == "completion" ? offers({command, "''"}) : offers({command, "--"});
    const std::vector<std::string> options = options_of(command);
    EXPECT_FALSE(options.empty());
    for (const std::string& option : options) expect_offer(offered, option);
    for (const std::string& option : offered) {
      const bool known = std::find(options.begin(), options.end(), option) != options.end();
      const bool global =
          option == "--version" || option == "--log-level" || !option.starts_with("-");
      EXPECT_TRUE(known || global) << option << " is offered, but unknown";
    }
  }
  EXPECT_EQ(offers({"score", "--format", "''"}),
            (std::vector<std::string>{"text", "csv", "jsonl"}));
}

TEST(Completion, ZshNamesEverySubcommandAndOption) {
  const std::string script = prs_gpu({"completion", "zsh"}).out;
  EXPECT_TRUE(script.starts_with("#compdef prs-gpu\n"));
  for (const std::string& command : commands()) {
    EXPECT_NE(script.find("'" + command + ":"), std::string::npos) << command;
    EXPECT_NE(script.find("        " + command + ")"), std::string::npos) << command;
    for (const std::string& option : options_of(command)) {
      EXPECT_TRUE(std::regex_search(script, std::regex(option + "(\\[|=)"))) << option;
    }
  }
  for (const std::string& option : options_of("")) {
    EXPECT_NE(script.find(option + "["), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace prs::test
