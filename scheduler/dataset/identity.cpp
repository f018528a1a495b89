#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "dataset/dataset.hpp"
#include "dataset/inputs.hpp"
#include "dataset/sha256.hpp"
#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

void add_file(const fs::path& path, bool by_content, Sha256& hash) {
  struct stat status {};
  std::string state = "missing";
  if (::stat(path.c_str(), &status) == 0) {
    // What is no regular file fails as an item whatever it holds; reading it might not end.
    state = by_content && S_ISREG(status.st_mode)
                ? sha256_of_file(path)
                : fmt::format("{} {}.{:09}", status.st_size, status.st_mtim.tv_sec,
                              status.st_mtim.tv_nsec);
  } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
    output::fail_io(path, "inspect the file", errno);
  }
  hash.update(fmt::format("file {} {} {}\n", path.native().size(), path.native(), state));
}

/// How the tables of an input are read; of texts also the size, so that none runs into the next.
std::string description(const Input& input) {
  const TableFormat& format = input.table;
  return fmt::format("table {} {} {} {} {} {} {} {} {}\n", input.has_table_format,
                     static_cast<int>(format.kind), static_cast<int>(format.delimiter),
                     format.header, static_cast<int>(format.encoding), format.empty_as_string,
                     format.include_path_column, format.partition_format.size(),
                     format.partition_format);
}

}  // namespace

std::string input_identity(const InputSpec& inputs, bool by_content) {
  Sha256 hash;
  for (const Input& input : resolve_inputs(inputs)) {
    hash.update("input\n");
    if (input.is_table) hash.update(description(input));
    for (const RecordInput& source : input.records) add_file(source.path, by_content, hash);
    FileStream files(input);
    while (const std::optional<fs::path> file = files.next()) add_file(*file, by_content, hash);
  }
  return to_hex(hash.finish());
}

}  // namespace prs::dataset
