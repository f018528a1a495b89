#include "entry/entry.hpp"

#include <fmt/format.h>

#include <system_error>

#include <prs/error.hpp>

#include "entry/kinds.hpp"

namespace prs::entry {
namespace {

using Kind = config::EntrySpec::Kind;

void check_file(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::is_regular_file(status)) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("entry {}: {}", path.string(),
                          std::filesystem::exists(status) ? "not a regular file" : "no such file"));
}

[[noreturn]] void refuse_script(const config::Step& step) {
  throw Error(ErrorCode::kUnsupported,
              fmt::format("entry {}: this version runs no Python scripts; give an ONNX model, or a "
                          "shared library with the interface of <prs/entry_plugin.h>",
                          step.entry.path.string()));
}

}  // namespace

std::unique_ptr<Entry> load_entry(const config::Step& step, const Context& context) {
  if (step.entry.kind == Kind::kScript) refuse_script(step);
  check_file(step.entry.path);
  return step.entry.kind == Kind::kPlugin ? load_plugin(step, context) : load_model(step);
}

void check_entry(const config::Step& step) {
  if (step.entry.kind == Kind::kScript) refuse_script(step);
  check_file(step.entry.path);
  if (step.entry.kind == Kind::kPlugin) {
    check_plugin(step);
  } else {
    check_model(step);
  }
}

}  // namespace prs::entry
