// prs-gpu --version.

#include <fmt/format.h>

#include <prs/version.hpp>

#include "commands.hpp"
#include "output.hpp"
#include "text.hpp"

namespace prs::cli {

int print_version() {
  const BuildInfo info = build_info();
  Table table("<<");
  table.add({"commit", info.commit});
  table.add({"compiler", fmt::format("{}, {}", info.compiler, info.build_type)});
  table.add({"CUDA", info.cuda});
  table.add({"GPU", gpu_status()});
  table.add({"CPU", info.cpu});
  table.add({"kernels", info.isa});
  print(fmt::format("prs-gpu {}\n{}", info.version, table.to_string("  ")));
  return kExitDone;
}

}  // namespace prs::cli
