// prs-gpu completion: prints the completion script of a shell.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "commands.hpp"
#include "completion_scripts.hpp"
#include "output.hpp"

namespace prs::cli {
namespace {

constexpr const char* kCompletionExamples = R"(Examples:
  source <(prs-gpu completion bash)                                      this shell
  prs-gpu completion bash > /etc/bash_completion.d/prs-gpu               all bash shells
  prs-gpu completion zsh > /usr/local/share/zsh/site-functions/_prs-gpu  all zsh shells
)";

}  // namespace

void add_completion(CLI::App& app, Command& chosen) {
  CLI::App& command = *app.add_subcommand("completion", "Print the completion script of a shell");
  const auto shell = std::make_shared<std::string>();
  command.add_option("shell", *shell, "bash or zsh")
      ->required()
      ->type_name("SHELL")
      ->check(CLI::IsMember(std::vector<std::string>{"bash", "zsh"}).description(""));
  command.footer(kCompletionExamples);
  command.callback([shell, &chosen] {
    chosen = [shell] {
      print(*shell == "bash" ? kBashCompletion : kZshCompletion);
      return kExitDone;
    };
  });
}

}  // namespace prs::cli
