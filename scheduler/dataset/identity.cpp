#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "dataset/identity.hpp"
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

}  // namespace

void InputIdentity::add(const MiniBatch& mini_batch) {
  if (mini_batch.input != input_) hash_.update(fmt::format("input {}\n", mini_batch.input));
  if (mini_batch.is_records() &&
      (mini_batch.input != input_ || mini_batch.record_file != record_file_)) {
    add_file(mini_batch.record_file, by_content_, hash_);
    record_file_ = mini_batch.record_file;
  }
  for (const fs::path& file : mini_batch.files) add_file(file, by_content_, hash_);
  input_ = mini_batch.input;
}

std::string InputIdentity::finish() { return to_hex(hash_.finish()); }

std::string input_identity(const std::vector<std::string>& inputs, bool by_content) {
  // Any cut will do.
  constexpr config::MiniBatchSize kSize{config::MiniBatchSize::Unit::kItems, 1000};
  InputIdentity identity(by_content);
  Partitioner partitioner(inputs, kSize);
  while (const std::optional<MiniBatch> mini_batch = partitioner.next()) identity.add(*mini_batch);
  return identity.finish();
}

}  // namespace prs::dataset
