#include "load_engine.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include <prs/model.hpp>

#include "errors.hpp"

namespace prs::cli {
namespace {

/// A flag that was given, and how to do without it.
struct GivenFlag {
  const char* name;
  void (*drop)(EngineOptions& options);
};

std::vector<GivenFlag> given_flags(const EngineOptions& options) {
  const PreprocessOverrides& given = options.preprocess;
  std::vector<GivenFlag> flags;
  const auto add = [&flags](bool is_given, const char* name, void (*drop)(EngineOptions&)) {
    if (is_given) flags.push_back({name, drop});
  };
  add(given.height || given.width, "--resize", [](EngineOptions& o) {
    o.preprocess.height.reset();
    o.preprocess.width.reset();
  });
  add(given.channels.has_value(), "--channels",
      [](EngineOptions& o) { o.preprocess.channels.reset(); });
  add(given.layout.has_value(), "--layout", [](EngineOptions& o) { o.preprocess.layout.reset(); });
  add(given.scale.has_value(), "--scale", [](EngineOptions& o) { o.preprocess.scale.reset(); });
  add(given.mean.has_value(), "--mean", [](EngineOptions& o) { o.preprocess.mean.reset(); });
  add(given.std.has_value(), "--std", [](EngineOptions& o) { o.preprocess.std.reset(); });
  add(given.invert.has_value(), "--invert", [](EngineOptions& o) { o.preprocess.invert.reset(); });
  return flags;
}

bool loads(const std::filesystem::path& model, const EngineOptions& options) {
  try {
    Engine::load(model, options);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// The flag without which the model loads, or all of them when it takes that; "" when the flags are
/// not to blame.
std::string flags_at_fault(const std::filesystem::path& model, const EngineOptions& options) {
  EngineOptions without_any = options;
  std::string names;
  for (const GivenFlag& flag : given_flags(options)) {
    EngineOptions without = options;
    flag.drop(without);
    if (loads(model, without)) return flag.name;
    flag.drop(without_any);
    names += fmt::format("{}{}", names.empty() ? "" : ", ", flag.name);
  }
  return !names.empty() && loads(model, without_any) ? names : "";
}

}  // namespace

Engine load_engine(const std::filesystem::path& model, const EngineOptions& options) {
  try {
    return Engine::load(model, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    Model::load(model, options.limits);  // A damaged file is no flag's fault.
    const std::string flags = flags_at_fault(model, options);
    if (flags.empty()) throw;
    throw UsageError(fmt::format("{}: {}", flags, error.message()));
  }
}

}  // namespace prs::cli
