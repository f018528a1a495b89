// v2's expressions: ${{inputs.x}}, ${{parent.inputs.x}}, ${{outputs.x}}, ${{parent.outputs.x}}, and
// ${{side_inputs.x}} of our own, in v1's steps also ${side_inputs.x}.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/document.hpp"

namespace prs::config {

/// A named input, resolved.
struct BoundInput {
  std::string type;   ///< "uri_folder", ..., or "" when the file does not say.
  std::string value;  ///< An absolute path, or a literal.
  bool is_path = false;
  bool given = false;  ///< False: declared without a value.
  bool optional = false;
  std::filesystem::path folder;  ///< What a literal is relative to when it is used as a path.
  std::string where;
};

/// A named output, resolved.
struct BoundOutput {
  std::string type;
  std::filesystem::path path;  ///< Empty: not said.
  std::string where;
};

/// Not thread-safe. The document must outlive it.
class Bindings {
 public:
  /// `overrides`: of inputs, by name, from the command line.
  Bindings(const Document& document, std::map<std::string, Assignment> overrides);

  /// Names of the inputs that `${{inputs.x}}` can mean, in the order of the file.
  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;

  /// All of these throw Refusal.
  BoundInput input(const std::string& name) const;
  BoundOutput output(const std::string& name) const;
  std::string expand(const std::string& text) const;

  /// The x of a text that is `${{inputs.x}}` and nothing else (`room` is "inputs"), or nothing.
  static std::optional<std::string> only_reference(const std::string& text,
                                                   const std::string& room);

  /// What outputs without a path, and side inputs, expand to.
  void set_output_folder(std::filesystem::path folder) { output_folder_ = std::move(folder); }
  void set_side_inputs(std::map<std::string, std::filesystem::path> paths) {
    side_inputs_ = std::move(paths);
  }

 private:
  BoundInput read_input(const Entry& entry, bool of_job) const;
  BoundInput parent_input(const std::string& name) const;
  BoundOutput read_output(const Entry& entry, bool of_job) const;
  std::string evaluate(const std::string& expression, bool of_job) const;
  std::string expand(const std::string& text, bool of_job) const;

  const Document& document_;
  std::map<std::string, Assignment> overrides_;
  std::filesystem::path output_folder_;
  std::map<std::string, std::filesystem::path> side_inputs_;
};

}  // namespace prs::config
