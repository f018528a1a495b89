// build_info(): what CMake wrote down at build time, and this machine's processor.
#include "prs/version.hpp"

#include <array>
#include <fstream>
#include <string_view>

#include "cpu/isa/isa.hpp"
#include "generated/version_info.hpp"
#include "prs/error.hpp"

namespace prs {
namespace {

/// The value of the first line "key : value" of /proc/cpuinfo; empty when there is none.
std::string cpuinfo_value(std::string_view key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t value = line.find_first_not_of(" \t", line.find(':') + 1);
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

/// The processor's name and those of its features that inference kernels use.
std::string cpu_text() {
  constexpr std::array kFeatures = {"avx2",        "fma",         "avx512f",
                                    "avx512_vnni", "avx512_bf16", "avx_vnni"};
  const std::string flags = " " + cpuinfo_value("flags") + " ";
  std::string features;
  for (const char* feature : kFeatures) {
    if (flags.find(" " + std::string(feature) + " ") == std::string::npos) continue;
    features += (features.empty() ? "" : " ") + std::string(feature);
  }
  std::string name = cpuinfo_value("model name");
  if (name.empty()) name = "unknown processor";
  return features.empty() ? name : name + " (" + features + ")";
}

/// The selected level, or why none could be selected: a report must not fail.
std::string isa_text() {
  try {
    return std::string(cpu::selected_isa().name);
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace

BuildInfo build_info() {
  BuildInfo info;
  info.version = PRS_VERSION;
  info.commit = PRS_COMMIT;
  info.compiler = PRS_COMPILER;
  info.build_type = PRS_BUILD_TYPE;
  info.cuda = *PRS_CUDA_VERSION == '\0' ? "built without CUDA" : PRS_CUDA_VERSION;
  info.cpu = cpu_text();
  info.isa = isa_text();
  return info;
}

}  // namespace prs
