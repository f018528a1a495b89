// Files of this room: descriptors that close themselves, reads and writes that are whole or throw.
// Every error is prs::Error io naming the path, what failed and, for a full disk, what to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace prs::output {

/// Owns a file descriptor; -1 for none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  int get() const noexcept { return descriptor_; }

 private:
  int descriptor_ = -1;
};

/// Throws io: "<path>: cannot <what>: <text of `error`>", with advice where there is one.
[[noreturn]] void fail_io(const std::filesystem::path& path, std::string_view what, int error);

/// open(2) with O_CLOEXEC; a new file gets mode 0666 less the umask.
Descriptor open_file(const std::filesystem::path& path, int flags);

std::int64_t file_size(const Descriptor& file, const std::filesystem::path& path);

/// Reads exactly `size_bytes` bytes at `offset`; a file that ends before is an error.
void read_at(const Descriptor& file, const std::filesystem::path& path, std::int64_t offset,
             char* destination, std::int64_t size_bytes);

void write_at(const Descriptor& file, const std::filesystem::path& path, std::int64_t offset,
              std::string_view bytes);

void truncate(const Descriptor& file, const std::filesystem::path& path, std::int64_t size_bytes);

/// The file's contents and length are on the disk when this returns.
void sync_data(const Descriptor& file, const std::filesystem::path& path);

/// The folder's entries (files created, renamed, removed) are on the disk when this returns.
void sync_folder(const std::filesystem::path& folder);

void create_folders(const std::filesystem::path& folder);

}  // namespace prs::output
