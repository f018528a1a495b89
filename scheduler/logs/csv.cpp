#include "logs/csv.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "prs/error.hpp"

namespace prs::logs {

void append_csv_field(std::string& row, std::string_view field) {
  const bool plain = field.find_first_of(",\"\r\n") == std::string_view::npos &&
                     !field.starts_with(' ') && !field.ends_with(' ');
  if (plain) {
    row += field;
    return;
  }
  row += '"';
  for (const char c : field) {
    if (c == '"') row += '"';
    row += c;
  }
  row += '"';
}

std::string csv_field(std::string_view field) {
  std::string text;
  append_csv_field(text, field);
  return text;
}

void cut_torn_csv_record(const std::filesystem::path& path) {
  const auto fail = [&path](std::string_view what) {
    const int error = errno;
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), what,
                                            std::generic_category().message(error)));
  };
  struct Descriptor {
    int value;
    ~Descriptor() {
      if (value >= 0) ::close(value);
    }
  };
  const Descriptor file{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
  if (file.value < 0) {
    if (errno == ENOENT) return;
    fail("open the file");
  }
  std::vector<char> block(std::size_t{1} << 20);
  std::int64_t offset = 0;
  std::int64_t whole = 0;  // Behind the last line break outside of quotes.
  bool quoted = false;
  while (true) {
    const ssize_t count = ::read(file.value, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("read");
    if (count == 0) break;
    for (ssize_t i = 0; i < count; ++i) {
      const char c = block[static_cast<std::size_t>(i)];
      if (c == '"') quoted = !quoted;
      if (c == '\n' && !quoted) whole = offset + i + 1;
    }
    offset += count;
  }
  if (whole < offset && ::ftruncate(file.value, whole) != 0) fail("cut a torn record");
}

}  // namespace prs::logs
