// Step files and --set over arbitrary text: a step that survives its own JSON, or a prs::Error that
// says where. A zero byte ends the file; what follows are settings, KEY=VALUE, each up to the next.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "config/step.hpp"
#include "prs/error.hpp"

namespace {

/// A file in memory with that text.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : descriptor_(::memfd_create("step", 0)) {
    if (::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      std::abort();
    }
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

std::string_view take(std::string_view& text) {
  const std::size_t end = text.find('\0');
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return part;
}

void read_step(std::string_view text) {
  const MemoryFile file(take(text));
  prs::config::StepBuilder builder;
  builder.read_file(file.path());
  while (!text.empty()) {
    const std::string setting(take(text));
    const std::size_t equals = setting.find('=');
    if (equals == setting.npos) continue;
    builder.set(setting.substr(0, equals), setting.substr(equals + 1), "--set");
  }
  const prs::config::Step step = builder.build();
  if (!(prs::config::step_from_json(prs::config::to_json(step)) == step)) std::abort();
  if (prs::config::settings_table(step).empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    read_step({reinterpret_cast<const char*>(data), size});
  } catch (const prs::Error& error) {
    const bool expected = error.code() == prs::ErrorCode::kInvalidArgument ||
                          error.code() == prs::ErrorCode::kUnsupported;
    // "step.yml:3: mini_batch_size: ...": every message begins with the place and the name.
    if (!expected || error.message().find(": ") == std::string::npos) std::abort();
  }
  return 0;
}
