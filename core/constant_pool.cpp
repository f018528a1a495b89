#include "constant_pool.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "check.hpp"

namespace prs {
namespace {

/// Of records and of their bytes: a multiple of every page size.
constexpr std::int64_t kRecordAlignment = std::int64_t{64} << 10;

struct FileHeader {
  std::uint64_t magic;
  std::int64_t end;  ///< Where the next record goes.
};
constexpr std::uint64_t kMagic = 0x3130'6c6f'6f70'7370;  // "pspool01"

struct RecordHeader {
  std::uint64_t hash;
  std::int64_t bytes;
};

constexpr std::int64_t align(std::int64_t offset) {
  return (offset + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

/// Of the bytes; equal hashes are followed by a comparison.
std::uint64_t hash_of(const Tensor& tensor) {
  return std::hash<std::string_view>()(
      {static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())});
}

bool write_all(int file, std::int64_t offset, const void* data, std::int64_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  while (size > 0) {
    const ssize_t count = ::pwrite(file, bytes, static_cast<std::size_t>(size), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    offset += count;
    size -= count;
  }
  return true;
}

/// Zeros while nothing has been written, or only records whose writer was killed. None: it cannot
/// be read.
std::optional<FileHeader> read_header(int file) {
  FileHeader header{};
  const ssize_t size = ::pread(file, &header, sizeof header, 0);
  if (size != 0 && size != ssize_t{sizeof header}) return std::nullopt;
  return header;
}

/// Only one process at a time, and one thread of it, looks at the end of the file and moves it. The
/// kernel lets go of the lock of a process that dies.
class FileLock {
 public:
  explicit FileLock(int file) : file_(file), threads_(mutex()) { held_ = set(F_WRLCK, F_SETLKW); }
  ~FileLock() {
    if (held_) set(F_UNLCK, F_SETLK);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  bool held() const { return held_; }

  /// Any descriptor of the file that is closed takes the process's lock along: not while a thread
  /// holds it.
  static void close(int file) {
    const std::lock_guard lock(mutex());
    ::close(file);
  }

 private:
  /// The lock is the process's, whichever descriptor it was taken through. Lasts as long as any
  /// thread may.
  static std::mutex& mutex() {
    static auto* const mutex = new std::mutex;
    return *mutex;
  }

  bool set(short type, int command) const {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    int result;
    do {
      result = ::fcntl(file_, command, &lock);
    } while (result != 0 && errno == EINTR);
    return result == 0;
  }

  const int file_;
  const std::lock_guard<std::mutex> threads_;
  bool held_ = false;
};

[[noreturn]] void fail_io(int file) {
  fail(ErrorCode::kIo, "shared_weights: descriptor {}: {}", file, std::strerror(errno));
}

}  // namespace

ConstantPool::Descriptor::Descriptor(int file) : value_(::fcntl(file, F_DUPFD_CLOEXEC, 0)) {
  if (value_ < 0) fail_io(file);
}

ConstantPool::Descriptor::~Descriptor() { FileLock::close(value_); }

ConstantPool::ConstantPool(int file) : file_(file) {
  // Another process may be writing.
  const FileLock lock(file_);
  if (!lock.held()) fail_io(file);
  const std::optional<FileHeader> header = read_header(file_);
  if (!header || (header->magic != 0 && header->magic != kMagic)) {
    fail_argument("shared_weights: descriptor {} is no file of shared weights", file);
  }
}

Tensor ConstantPool::share(const Tensor& tensor) {
  if (tensor.empty() || tensor.bytes() < kLeastBytes) return tensor;
  const std::lock_guard lock(mutex_);
  if (const auto known = mapped_.find(tensor.data()); known != mapped_.end()) {
    if (!known->second.expired()) return tensor;
  }
  const std::uint64_t hash = hash_of(tensor);
  std::shared_ptr<std::byte[]> bytes = find(hash, tensor);
  if (!bytes) {
    const FileLock file_lock(file_);
    if (!file_lock.held() || !read_new_records()) return tensor;
    bytes = find(hash, tensor);
    if (!bytes && append(hash, tensor) && read_new_records()) bytes = find(hash, tensor);
  }
  return bytes ? Tensor::over(tensor.dtype(), tensor.shape(), std::move(bytes)) : tensor;
}

std::shared_ptr<std::byte[]> ConstantPool::find(std::uint64_t hash, const Tensor& tensor) {
  const auto [begin, end] = records_.equal_range(hash);
  for (auto entry = begin; entry != end; ++entry) {
    const Record& record = entry->second;
    if (record.bytes != tensor.bytes()) continue;
    std::shared_ptr<std::byte[]> bytes = map(record);
    if (bytes &&
        std::memcmp(bytes.get(), tensor.data(), static_cast<std::size_t>(record.bytes)) == 0) {
      return bytes;
    }
  }
  return nullptr;
}

std::shared_ptr<std::byte[]> ConstantPool::map(const Record& record) {
  const auto size = static_cast<std::size_t>(record.bytes);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_, record.offset);
  if (address == MAP_FAILED) return nullptr;
  std::shared_ptr<std::byte[]> mapped(static_cast<std::byte*>(address),
                                      [size](std::byte* bytes) { ::munmap(bytes, size); });
  std::erase_if(mapped_, [](const auto& entry) { return entry.second.expired(); });
  mapped_[address] = mapped;
  return mapped;
}

bool ConstantPool::read_new_records() {
  const std::optional<FileHeader> header = read_header(file_);
  if (!header) return false;
  read_ = std::max(read_, kRecordAlignment);
  while (read_ < header->end) {
    RecordHeader record;
    if (::pread(file_, &record, sizeof record, read_) != ssize_t{sizeof record}) return false;
    const std::int64_t offset = read_ + kRecordAlignment;
    records_.emplace(record.hash, Record{offset, record.bytes});
    read_ = align(offset + record.bytes);
  }
  return true;
}

bool ConstantPool::append(std::uint64_t hash, const Tensor& tensor) {
  const RecordHeader record{hash, tensor.bytes()};
  const std::int64_t offset = read_ + kRecordAlignment;
  const FileHeader header{kMagic, align(offset + record.bytes)};
  return write_all(file_, offset, tensor.data(), record.bytes) &&
         write_all(file_, read_, &record, sizeof record) &&
         // Now it is there.
         write_all(file_, 0, &header, sizeof header);
}

}  // namespace prs
