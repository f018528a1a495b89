// Weights that processes of one machine have in common: each maps what one of them has written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "prs/tensor.hpp"

namespace prs {

/// Tensors by their contents, in a file that the processes share (EngineOptions::shared_weights).
///
/// The file grows only, and what it holds never changes. It begins with its end, as far as it is
/// written; the rest are records, aligned for any page size:
/// hash and size of a tensor's bytes, then, aligned again, the bytes. What lies between takes no
/// memory in a file system that keeps holes, as that of memfd_create() does. A process that is
/// killed while it writes leaves the end where it was.
///
/// Thread-safe; within a process there may be several pools of one file.
class ConstantPool {
 public:
  /// A smaller tensor is not worth a mapping.
  static constexpr std::int64_t kLeastBytes = std::int64_t{64} << 10;

  /// `file`: a descriptor open for reading and writing, of an empty file or one that a pool has
  /// written. It is duplicated. Throws invalid argument for another file, io.
  explicit ConstantPool(int file);

  /// A tensor of the same contents in the processes' common memory, which cannot be written to.
  /// `tensor` itself when it is small, lies there already, or when there is no room. Tensors of
  /// equal contents have the memory in common, but an address each: by that others tell them apart.
  Tensor share(const Tensor& tensor);

 private:
  /// Another descriptor of the same file.
  class Descriptor {
   public:
    explicit Descriptor(int file);
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    operator int() const { return value_; }

   private:
    const int value_;
  };

  struct Record {
    std::int64_t offset;  ///< Of the bytes.
    std::int64_t bytes;
  };

  std::shared_ptr<std::byte[]> find(std::uint64_t hash, const Tensor& tensor);
  std::shared_ptr<std::byte[]> map(const Record& record);
  bool read_new_records();
  bool append(std::uint64_t hash, const Tensor& tensor);

  const Descriptor file_;
  std::mutex mutex_;                                        ///< Guards what follows.
  std::int64_t read_ = 0;                                   ///< Records before it are in records_.
  std::unordered_multimap<std::uint64_t, Record> records_;  ///< By hash.
  std::unordered_map<const void*, std::weak_ptr<std::byte[]>> mapped_;  ///< By address.
};

}  // namespace prs
