// Python entry scripts: the border between the program, which does not link Python, and the module
// that does (python/script_entry.cpp, libprs_python.so). A worker loads it when its step needs it.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <string>
#include <vector>

#include <prs/version.hpp>

#include "config/step.hpp"
#include "entry/entry.hpp"

namespace prs::entry {

struct ScriptSetup {
  const config::Step& step;
  const Context& context;
  std::filesystem::path modules;   ///< The folder of our own Python modules.
  std::filesystem::path packages;  ///< The folder of the package prs.
  std::filesystem::path folder;    ///< What the script runs in.
  std::vector<std::string> arguments;
};

/// Exported by the module. The caller owns the entry. Throws what load_entry() throws.
using ScriptFunction = Entry* (*)(const ScriptSetup& setup);
inline constexpr const char* kScriptSymbol = "prs_python_script";

/// Exported by the module: what its script_abi() gave, to be compared with the program's.
using ScriptAbiFunction = const char* (*)();
inline constexpr const char* kScriptAbiSymbol = "prs_python_abi";

/// Program and module share C++ types: both must come from the same build.
inline std::string script_abi() {
  return fmt::format("{} ({} {} {} {})", build_info().version, sizeof(config::Step),
                     sizeof(Context), sizeof(dataset::MiniBatch), sizeof(Rows));
}

/// sys.argv: the script, the system's options (E9), the user's arguments.
std::vector<std::string> script_arguments(const config::Step& step, const Context& context);

}  // namespace prs::entry
