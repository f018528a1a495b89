// From what the file and the command line say to a checked step: by precedence, with references
// expanded, problems collected.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/bindings.hpp"
#include "config/document.hpp"
#include "config/refusal.hpp"
#include "config/settings.hpp"
#include "config/step.hpp"

namespace prs::config {

/// For one build. The document must outlive it.
class Build {
 public:
  /// `sets`: the command line's, in rising rank; those of `inputs` replace the file's together.
  Build(const Document& document, const std::vector<Assignment>& sets);

  /// Throws as StepBuilder::build() says.
  Step run();

 private:
  void check_overrides(const std::vector<Assignment>& sets);

  void add(const Assignment& assignment);

  void problem(const Assignment& at, const std::string& text,
               ErrorCode code = ErrorCode::kInvalidArgument);
  void problem(const std::string& text);

  /// Runs `body`; a Refusal in it becomes a problem of `at`. False then.
  template <typename Body>
  bool attempt(const Assignment& at, const Body& body) {
    try {
      body();
      return true;
    } catch (const Refusal& refusal) {
      problem(at, refusal.text, refusal.code);
      return false;
    }
  }

  [[noreturn]] void fail() const;

  /// The assignments of `name` that win: those of the highest rank.
  std::vector<Assignment> winners(const std::string& name) const;

  /// The one winner; a problem when two of the same rank have different texts.
  std::optional<Assignment> winner(const std::string& name);

  void report_conflict(const Assignment& a, const Assignment& b);

  void show(const std::string& key, const std::string& value, const std::string& origin,
            const std::string& unit = "");

  /// A value from the file or the command line with its references expanded.
  std::string text_of(const Assignment& assignment) const {
    return bindings_.expand(assignment.node->text);
  }

  void read_arguments();
  void read_idle_keys();
  void expand_arguments();
  void read_output();
  void read_append_row_to(const Assignment& target, std::optional<std::filesystem::path>& folder);
  std::filesystem::path declared_output();
  void read_inputs();
  void read_input_list(const Assignment& list);
  void read_input_type(const std::string& type);
  void read_partition_keys();
  void read_side_inputs();
  std::string main_input() const;
  void read_entry();
  void set_entry(const Assignment& entry);
  void read_source_directory();
  void read_python();
  void read_script_model();
  void read_environment();
  void read_settings();
  /// Stores the value or the default; gives where it came from.
  std::string read_setting(const Setting& setting);
  void adapt_name(std::vector<Assignment>& names);
  std::string default_of(const Setting& setting);
  void check_model_options();
  void sort_origins();

  const Document& document_;
  std::map<std::string, std::vector<Assignment>> given_;
  std::vector<Problem> problems_;
  Bindings bindings_;
  Step step_;
  std::optional<Assignment> arguments_;
};

}  // namespace prs::config
