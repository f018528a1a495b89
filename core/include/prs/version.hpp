// What this build is and what it runs on, for --version, logs and bug reports. Thread-safe.
#pragma once

#include <string>

#include "prs/export.hpp"

namespace prs {

/// Every field is one line for people.
struct BuildInfo {
  std::string version;   ///< "0.1.0".
  std::string commit;    ///< Abbreviated hash, "-dirty" when the work tree differed, or "unknown".
  std::string compiler;  ///< "GNU 12.2.0".
  std::string build_type;  ///< "Release".
  std::string cuda;        ///< The toolkit it was built with, or that it was built without.
  std::string cpu;         ///< Instruction-set features of this machine's processor.
  std::string isa;         ///< The instruction-set level that the CPU kernels selected.
};

PRS_API BuildInfo build_info();

/// The GPUs found, or why none can be used. Never throws for a missing driver or device.
PRS_API std::string gpu_status();

}  // namespace prs
