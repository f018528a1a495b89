// Loading a model under the flags of the command line.
#pragma once

#include <filesystem>

#include <prs/engine.hpp>

namespace prs::cli {

/// Engine::load, but a flag that contradicts the model is a UsageError that names the flag.
Engine load_engine(const std::filesystem::path& model, const EngineOptions& options);

}  // namespace prs::cli
