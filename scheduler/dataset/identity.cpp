#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "dataset/identity.hpp"
#include "dataset/inputs.hpp"
#include "dataset/sha256.hpp"
#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

void hash_file(const std::string& path, bool by_content, const std::stop_token& stop,
               Sha256& hash) {
  struct stat status {};
  std::string state = "missing";
  if (::stat(path.c_str(), &status) == 0) {
    // What is no regular file fails as an item whatever it holds; reading it might not end.
    state = by_content && S_ISREG(status.st_mode)
                ? sha256_of_file(path, stop)
                : fmt::format("{} {}.{:09}", status.st_size, status.st_mtim.tv_sec,
                              status.st_mtim.tv_nsec);
  } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
    output::fail_io(path, "inspect the file", errno);
  }
  hash.update(fmt::format("file {} {} {}\n", path.size(), path, state));
}

/// How the tables of an input are read; of texts also the size, so that none runs into the next.
std::string description(const TableFormat& format, bool given) {
  return fmt::format("table {} {} {} {} {} {} {} {} {}\n", given, static_cast<int>(format.kind),
                     static_cast<int>(format.delimiter), format.header,
                     static_cast<int>(format.encoding), format.empty_as_string,
                     format.include_path_column, format.partition_format.size(),
                     format.partition_format);
}

}  // namespace

void InputIdentity::add_file(std::int64_t input, const std::string& path) {
  if (input != input_) hash_.update(fmt::format("input {}\n", input));
  input_ = input;
  check_not_stopped(stop_);
  hash_file(path, by_content_, stop_, hash_);
}

void InputIdentity::add(const MiniBatch& mini_batch) {
  if (mini_batch.is_records() &&
      (mini_batch.input != input_ || mini_batch.record_file != record_file_)) {
    add_file(mini_batch.input, mini_batch.record_file);
    record_file_ = mini_batch.record_file;
  }
  for (const std::string& file : mini_batch.files) add_file(mini_batch.input, file);
}

void InputIdentity::add_format(const TableFormat& format, bool given) {
  hash_.update(description(format, given));
}

std::string InputIdentity::finish() { return to_hex(hash_.finish()); }

std::string input_identity(const InputSpec& inputs, bool by_content, const std::stop_token& stop) {
  InputIdentity identity(by_content, stop);
  if (inputs.rank_count >= 0) return identity.finish();
  std::int64_t index = 0;
  for (const Input& input : resolve_inputs(inputs)) {
    if (input.is_table) identity.add_format(input.table, input.has_table_format);
    for (const RecordInput& source : input.records) {
      if (source.count > 0) identity.add_file(index, source.path);
    }
    FileStream files(input, inputs.sorted_entries);
    while (const std::optional<std::string> file = files.next()) identity.add_file(index, *file);
    ++index;
  }
  return identity.finish();
}

}  // namespace prs::dataset
