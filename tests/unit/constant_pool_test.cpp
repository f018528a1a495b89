#include "constant_pool.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>
#include <vector>

#include "support/expect_error.hpp"
#include "support/file_size_limit.hpp"

namespace prs {
namespace {

constexpr std::int64_t kLarge = ConstantPool::kLeastBytes;

/// A file in memory, as workers are given it.
class File {
 public:
  File() : fd_(::memfd_create("weights", MFD_CLOEXEC | MFD_ALLOW_SEALING)) { EXPECT_GE(fd_, 0); }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }
  std::int64_t size() const {
    struct stat status {};
    EXPECT_EQ(::fstat(fd_, &status), 0);
    return status.st_size;
  }

 private:
  const int fd_;
};

/// `bytes` bytes, all different for another `seed`.
Tensor tensor(std::uint32_t seed, std::int64_t bytes = kLarge) {
  Tensor result(DType::kUint32, {bytes / 4});
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    result.as<std::uint32_t>()[i] = seed * 2'654'435'761U + static_cast<std::uint32_t>(i);
  }
  return result;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())) == 0;
}

/// Whether `shared` lies elsewhere than `own`, with the same contents.
bool is_shared(const Tensor& shared, const Tensor& own) {
  return shared.data() != own.data() && same(shared, own);
}

TEST(ConstantPool, GivesEqualTensorsOneMemoryAndAnAddressEach) {
  const File file;
  ConstantPool pool(file.fd());
  const Tensor first = tensor(1);
  const Tensor shared = pool.share(first);
  EXPECT_TRUE(is_shared(shared, first));
  const std::int64_t size = file.size();
  const Tensor second = pool.share(tensor(1));
  EXPECT_EQ(file.size(), size);
  EXPECT_TRUE(is_shared(second, shared)) << "others tell them apart by their address";
  EXPECT_EQ(pool.share(shared).data(), shared.data()) << "it is there already";
  EXPECT_TRUE(is_shared(pool.share(tensor(2)), tensor(2)));
}

TEST(ConstantPool, TakesAnotherPoolsTensors) {
  const File file;
  ConstantPool one(file.fd());
  ConstantPool other(file.fd());
  std::vector<Tensor> kept;
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const Tensor own = tensor(seed, kLarge + 4 * 1'001 * seed);
    kept.push_back((seed % 2 == 0 ? one : other).share(own));
    EXPECT_TRUE(is_shared(kept.back(), own));
  }
  const std::int64_t size = file.size();
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    const Tensor own = tensor(seed, kLarge + 4 * 1'001 * seed);
    EXPECT_TRUE(is_shared((seed % 2 == 0 ? other : one).share(own), own));
  }
  EXPECT_EQ(file.size(), size) << "nothing is there twice";
}

TEST(ConstantPool, LeavesSmallTensorsAlone) {
  const File file;
  ConstantPool pool(file.fd());
  const Tensor small = tensor(1, kLarge - 4);
  EXPECT_EQ(pool.share(small).data(), std::as_const(small).data());
  EXPECT_TRUE(pool.share(Tensor()).empty());
  EXPECT_EQ(file.size(), 0);
}

TEST(ConstantPool, KeepsTypeAndShapeOfEach) {
  const File file;
  ConstantPool pool(file.fd());
  const Tensor flat = pool.share(tensor(1));
  const Tensor square = pool.share(tensor(1).reshaped({64, kLarge / 4 / 64}));
  EXPECT_TRUE(same(square.reshaped(flat.shape()), flat));
  EXPECT_EQ(square.shape(), Shape({64, kLarge / 4 / 64}));
  Tensor floats(DType::kFloat32, {kLarge / 4});
  std::memcpy(floats.data(), tensor(1).data(), static_cast<std::size_t>(kLarge));
  EXPECT_EQ(pool.share(floats).dtype(), DType::kFloat32);
}

TEST(ConstantPool, ATensorOutlivesItsPool) {
  const File file;
  Tensor shared;
  {
    ConstantPool pool(file.fd());
    shared = pool.share(tensor(3));
  }
  EXPECT_TRUE(is_shared(shared, tensor(3)));
}

TEST(ConstantPool, ProcessesThatComeAtOnceWriteEachTensorOnce) {
  constexpr int kProcesses = 4;
  constexpr std::uint32_t kTensors = 30;
  const File file;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ConstantPool pool(file.fd());
      std::vector<Tensor> kept;
      bool good = true;
      for (std::uint32_t seed = 0; seed < kTensors; ++seed)
        kept.push_back(pool.share(tensor(seed)));
      for (std::uint32_t seed = 0; seed < kTensors; ++seed) {
        good = good && is_shared(kept[seed], tensor(seed)) &&
               pool.share(kept[seed]).data() == std::as_const(kept[seed]).data();
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const std::int64_t size = file.size();
  ConstantPool pool(file.fd());
  for (std::uint32_t seed = 0; seed < kTensors; ++seed) {
    EXPECT_TRUE(is_shared(pool.share(tensor(seed)), tensor(seed)));
  }
  EXPECT_EQ(file.size(), size);
  // A record and its bytes, both aligned to 64 KiB, behind the file's header.
  EXPECT_LE(size, (1 + 2 * std::int64_t{kTensors}) * (std::int64_t{64} << 10));
}

TEST(ConstantPool, WhatAKilledWriterLeftIsWrittenOver) {
  const File file;
  Tensor before;
  {
    ConstantPool pool(file.fd());
    before = pool.share(tensor(1));
  }
  // Killed before the end was moved: bytes without a record that counts.
  const std::vector<char> torn(100'000, 'x');
  ASSERT_EQ(::pwrite(file.fd(), torn.data(), torn.size(), file.size() + (64 << 10)), 100'000);
  ConstantPool pool(file.fd());
  EXPECT_TRUE(is_shared(pool.share(tensor(2)), tensor(2)));
  EXPECT_TRUE(is_shared(pool.share(tensor(1)), tensor(1)));
  EXPECT_TRUE(same(before, tensor(1)));
  EXPECT_TRUE(is_shared(ConstantPool(file.fd()).share(tensor(2)), tensor(2)));
}

TEST(ConstantPool, TheFirstWriterMayBeKilledToo) {
  const File file;
  const std::vector<char> torn(100'000, 'x');
  ASSERT_EQ(::pwrite(file.fd(), torn.data(), torn.size(), 128 << 10), 100'000);
  ConstantPool pool(file.fd());
  EXPECT_TRUE(is_shared(pool.share(tensor(2)), tensor(2)));
  EXPECT_TRUE(is_shared(ConstantPool(file.fd()).share(tensor(2)), tensor(2)));
}

TEST(ConstantPool, WithoutRoomTensorsStayWhatTheyAre) {
  const File file;
  ConstantPool pool(file.fd());
  const Tensor first = pool.share(tensor(1));
  const Tensor own = tensor(2, 4 * kLarge);
  {
    const test::FileSizeLimit full(file.size() + kLarge + 1'000);
    EXPECT_EQ(pool.share(own).data(), std::as_const(own).data());
  }
  EXPECT_TRUE(is_shared(pool.share(tensor(1)), tensor(1)));
  EXPECT_TRUE(is_shared(pool.share(own), own)) << "there is room again";
  EXPECT_TRUE(same(first, tensor(1)));
}

TEST(ConstantPool, RefusesWhatIsNoFileOfItsOwn) {
  test::expect_error(ErrorCode::kIo, "shared_weights: descriptor 1000000",
                     [] { ConstantPool pool(1'000'000); });
  const File file;
  ASSERT_EQ(::pwrite(file.fd(), "other contents, long enough", 27, 0), 27);
  test::expect_error(ErrorCode::kInvalidArgument, "is no file of shared weights",
                     [&] { ConstantPool pool(file.fd()); });
}

}  // namespace
}  // namespace prs
