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

}  // namespace

std::vector<SharedResult> Entry::run_together(std::span<const dataset::MiniBatch> group) {
  std::vector<SharedResult> results;
  for (const dataset::MiniBatch& mini_batch : group) results.push_back({run(mini_batch), 1});
  return results;
}

std::unique_ptr<Entry> load_entry(const config::Step& step, const Context& context) {
  check_file(step.entry.path);
  switch (step.entry.kind) {
    case Kind::kScript:
      return load_script(step, context);
    case Kind::kPlugin:
      return load_plugin(step, context);
    case Kind::kModel:
      break;
  }
  return load_model(step, context);
}

void check_entry(const config::Step& step, const std::optional<std::string>& gpuless) {
  check_file(step.entry.path);
  switch (step.entry.kind) {
    case Kind::kScript:
      return check_script(step);
    case Kind::kPlugin:
      return check_plugin(step);
    case Kind::kModel:
      return check_model(step, gpuless);
  }
}

}  // namespace prs::entry
