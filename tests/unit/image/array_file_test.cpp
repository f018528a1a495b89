// IDX and NPY files: what they hold, and what is refused.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>

#include "prs/error.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"
#include "temp.hpp"

namespace prs {
namespace {

using test::Bytes;
using test::operator+;

template <typename T>
std::vector<T> values_of(const TensorView& view) {
  const T* at = view.as<T>();
  return {at, at + view.shape.elements()};
}

Bytes hex(std::string_view digits) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(
        static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::string npy_header(std::string_view descr, std::string_view shape) {
  return "{'descr': '" + std::string(descr) +
         "', 'fortran_order': False, 'shape': " + std::string(shape) + ", }";
}

class RecordFileTest : public testing::Test {
 protected:
  RecordFile open(const Bytes& bytes) const { return RecordFile::open(folder_.write("f", bytes)); }

  /// The message of the error that opening throws, without the path.
  std::string error_of(const Bytes& bytes) const {
    const std::filesystem::path path = folder_.write("f", bytes);
    try {
      RecordFile::open(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.message();
      const std::string prefix = path.native() + ": ";
      EXPECT_EQ(error.message().rfind(prefix, 0), 0u) << error.message();
      return error.message().substr(prefix.size());
    }
    return "no error";
  }

  void expect_error(const Bytes& bytes, const std::string& part) const {
    const std::string error = error_of(bytes);
    EXPECT_NE(error.find(part), std::string::npos) << error;
  }

  test::TempFolder folder_;
};

constexpr std::uint32_t kTwo[] = {2};
constexpr std::uint32_t kImages[] = {3, 2, 2};

TEST_F(RecordFileTest, ReadsIdxImagesPlainAndCompressed) {
  const Bytes plain = test::idx_file(0x08, kImages, hex("0102030405060708090a0b0c"));
  for (const Bytes& bytes : {plain, test::gzip(plain)}) {
    const RecordFile file = open(bytes);
    EXPECT_EQ(file.dtype(), DType::kUint8);
    EXPECT_EQ(file.count(), 3);
    EXPECT_EQ(file.record_shape(), (Shape{2, 2}));
    const TensorView two = file.records(1, 2);
    EXPECT_EQ(two.shape, (Shape{2, 2, 2}));
    EXPECT_EQ(values_of<std::uint8_t>(two), (std::vector<std::uint8_t>{5, 6, 7, 8, 9, 10, 11, 12}));
  }
}

TEST_F(RecordFileTest, ReadsIdxOfEveryElementType) {
  EXPECT_EQ(values_of<std::int8_t>(open(test::idx_file(0x09, kTwo, hex("ff7f"))).records(0, 2)),
            (std::vector<std::int8_t>{-1, 127}));
  EXPECT_EQ(
      values_of<std::int16_t>(open(test::idx_file(0x0B, kTwo, hex("0102fffe"))).records(0, 2)),
      (std::vector<std::int16_t>{258, -2}));
  EXPECT_EQ(values_of<std::int32_t>(
                open(test::idx_file(0x0C, kTwo, hex("00010000fffffffe"))).records(0, 2)),
            (std::vector<std::int32_t>{65536, -2}));
  EXPECT_EQ(
      values_of<float>(open(test::idx_file(0x0D, kTwo, hex("3f800000c0200000"))).records(0, 2)),
      (std::vector<float>{1.0f, -2.5f}));
  const RecordFile doubles =
      open(test::idx_file(0x0E, kTwo, hex("3ff0000000000000c004000000000000")));
  EXPECT_EQ(doubles.dtype(), DType::kFloat32);
  EXPECT_EQ(values_of<float>(doubles.records(0, 2)), (std::vector<float>{1.0f, -2.5f}));
}

TEST_F(RecordFileTest, ReadsNpyOfEveryVersionAndElementType) {
  for (const int major : {1, 2, 3}) {
    const auto open_npy = [&](std::string_view descr, std::string_view elements) {
      return open(test::npy_file(npy_header(descr, "(2,)"), hex(elements), major));
    };
    EXPECT_EQ(values_of<std::uint8_t>(open_npy("|u1", "01ff").records(0, 2)),
              (std::vector<std::uint8_t>{1, 255}));
    EXPECT_EQ(values_of<std::int8_t>(open_npy("|i1", "01ff").records(0, 2)),
              (std::vector<std::int8_t>{1, -1}));
    EXPECT_EQ(open_npy("|b1", "0100").dtype(), DType::kBool);
    EXPECT_EQ(values_of<std::int16_t>(open_npy("<i2", "0201feff").records(0, 2)),
              (std::vector<std::int16_t>{258, -2}));
    EXPECT_EQ(values_of<std::int32_t>(open_npy("=i4", "01000000feffffff").records(0, 2)),
              (std::vector<std::int32_t>{1, -2}));
    EXPECT_EQ(
        values_of<std::int64_t>(open_npy(">i8", "0000000000000001fffffffffffffffe").records(0, 2)),
        (std::vector<std::int64_t>{1, -2}));
    EXPECT_EQ(values_of<float>(open_npy("<f4", "0000803f000020c0").records(0, 2)),
              (std::vector<float>{1.0f, -2.5f}));
    const RecordFile doubles = open_npy("<f8", "000000000000f03f00000000000004c0");
    EXPECT_EQ(doubles.dtype(), DType::kFloat32);
    EXPECT_EQ(values_of<float>(doubles.records(0, 2)), (std::vector<float>{1.0f, -2.5f}));
  }
}

TEST_F(RecordFileTest, TakesTheNpyHeaderInAnyOrderAndSpacing) {
  const RecordFile file = open(test::npy_file(
      "{ \"shape\":(2 , 1,2),'fortran_order':False , \"descr\":'|u1'}", hex("01020304")));
  EXPECT_EQ(file.count(), 2);
  EXPECT_EQ(file.record_shape(), (Shape{1, 2}));
}

TEST_F(RecordFileTest, CopiesElementsThatAreNotAligned) {
  Bytes bytes = test::npy_file(npy_header("<f4", "(2,)"), hex("0000803f000020c0"));
  // One more space in the header, so that the elements begin at an odd offset.
  bytes.insert(bytes.begin() + 11, std::byte{' '});
  bytes[8] = static_cast<std::byte>(std::to_integer<int>(bytes[8]) + 1);
  const TensorView all = open(bytes).records(0, 2);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(all.data) % alignof(float), 0u);
}

TEST_F(RecordFileTest, ReadsLabelsAsRecordsOfRankZero) {
  const RecordFile file = open(test::idx_file(0x08, kTwo, hex("0709")));
  EXPECT_EQ(file.record_shape(), Shape{});
  EXPECT_EQ(values_of<std::uint8_t>(file.records(1, 1)), (std::vector<std::uint8_t>{9}));
}

TEST_F(RecordFileTest, ReadsFilesWithoutRecords) {
  constexpr std::uint32_t kNone[] = {0, 28, 28};
  const Bytes plain = test::idx_file(0x08, kNone, {});
  for (const Bytes& bytes :
       {plain, test::gzip(plain), test::npy_file(npy_header("<f4", "(0, 3)"), {})}) {
    const RecordFile file = open(bytes);
    EXPECT_EQ(file.count(), 0);
    EXPECT_EQ(file.records(0, 0).bytes(), 0);
  }
}

TEST_F(RecordFileTest, RefusesRecordsWithoutElements) {
  constexpr std::uint32_t kHollow[] = {1000000, 0};
  const Bytes idx = test::idx_file(0x08, kHollow, {});
  expect_error(idx, "1000000 records without elements (u8[1000000,0])");
  expect_error(test::gzip(idx), "1000000 records without elements");
  expect_error(test::npy_file(npy_header("<f4", "(1000000000000, 0, 3)"), {}),
               "1000000000000 records without elements");
}

TEST_F(RecordFileTest, RefusesRecordsOutOfRange) {
  const RecordFile file = open(test::idx_file(0x08, kImages, Bytes(12)));
  EXPECT_EQ(file.records(3, 0).bytes(), 0);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{2, 2},
                                     {-1, 1},
                                     {0, -1},
                                     {4, 0},
                                     {kMost, kMost},
                                     {1, kMost}}) {
    EXPECT_THROW(file.records(first, count), Error) << first << ", " << count;
  }
}

TEST_F(RecordFileTest, KeepsItsRecordsAsLongAsACopyLives) {
  TensorView view;
  RecordFile copy = open(test::idx_file(0x08, kTwo, hex("0102")));
  {
    const RecordFile file = open(test::idx_file(0x08, kTwo, hex("0304")));
    view = file.records(0, 2);
    copy = file;
  }
  EXPECT_EQ(values_of<std::uint8_t>(view), (std::vector<std::uint8_t>{3, 4}));
}

TEST_F(RecordFileTest, ReadsGzipOfSeveralMembers) {
  const Bytes plain = test::idx_file(0x08, kImages, hex("0102030405060708090a0b0c"));
  const Bytes front(plain.begin(), plain.begin() + 5);
  const Bytes rest(plain.begin() + 5, plain.end());
  const RecordFile file = open(test::gzip(front) + test::gzip({}) + test::gzip(rest));
  EXPECT_EQ(file.records(0, 3).as<std::uint8_t>()[11], 12);
}

TEST_F(RecordFileTest, TruncationFailsAtEveryByte) {
  for (const auto& [name, bytes] : test::sample_record_files()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(error_of(bytes), "no error");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const Bytes front(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      ASSERT_NE(error_of(front), "no error") << size << " of " << bytes.size();
    }
  }
}

TEST_F(RecordFileTest, TrailingBytesFail) {
  for (const auto& [name, bytes] : test::sample_record_files()) {
    SCOPED_TRACE(name);
    EXPECT_NE(error_of(bytes + Bytes(1)), "no error");
  }
}

TEST_F(RecordFileTest, FlippedBitsInCompressedFilesFailOrChangeNoElement) {
  const Bytes plain = test::idx_file(0x08, kImages, hex("0102030405060708090a0b0c"));
  const Bytes bytes = test::gzip(plain);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    try {
      const RecordFile file = open(damaged);
      ASSERT_EQ(std::memcmp(file.records(0, 3).data, plain.data() + 16, 12), 0) << bit;
    } catch (const Error&) {
    }
  }
}

TEST_F(RecordFileTest, RefusesToInflatePastTheHeader) {
  expect_error(test::gzip(test::idx_file(0x08, kTwo, Bytes(std::size_t{1} << 24))),
               "the data goes on beyond u8[2] that its header declares");
  expect_error(test::gzip(test::idx_file(0x08, kTwo, Bytes(3))), "goes on beyond");
}

TEST_F(RecordFileTest, RefusesToAllocateWhatTheFileCannotHold) {
  constexpr std::uint32_t kHuge[] = {1u << 30, 1024};
  expect_error(test::gzip(test::idx_file(0x08, kHuge, Bytes(100))), "truncated (");
  expect_error(test::idx_file(0x08, kHuge, Bytes(100)), "truncated (100 bytes of elements");
  constexpr std::uint32_t kOverflow[] = {1u << 31, 1u << 31, 1u << 31};
  expect_error(test::idx_file(0x08, kOverflow, {}), "exceeds 2^60 bytes");
  constexpr std::uint32_t kEmptyOverflow[] = {0, 1u << 31, 1u << 31};
  expect_error(test::idx_file(0x0D, kEmptyOverflow, {}), "exceeds 2^60 bytes");
  expect_error(test::npy_file(npy_header("|u1", "(99999999999999999999999,)"), {}), "above 2^60");
}

TEST_F(RecordFileTest, RefusesOtherFilesByName) {
  expect_error({}, "empty file");
  expect_error(test::bytes_of("hello world"), "neither IDX (optionally gzip-compressed) nor NPY");
  expect_error(test::gzip(test::bytes_of("hello world, hello world")), "gzip holds no IDX file");
  expect_error(test::idx_file(0x0A, kTwo, Bytes(2)), "element type 0x0a");
  expect_error(test::idx_file(0x08, {}, Bytes(1)), "rank 0; expected 1 to 8");
  EXPECT_THROW(RecordFile::open(folder_.path()), Error);
  EXPECT_THROW(RecordFile::open(folder_.path() / "none.idx"), Error);
}

TEST_F(RecordFileTest, RefusesNpyThatIsNoPlainArray) {
  expect_error(
      test::npy_file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2), }", Bytes(4)),
      "save np.ascontiguousarray(array) instead");
  expect_error(test::npy_file(npy_header("<u2", "(2,)"), Bytes(4)), "NPY elements of type \"<u2\"");
  expect_error(test::npy_file(npy_header("|f4", "(1,)"), Bytes(4)), "NPY elements of type \"|f4\"");
  expect_error(test::npy_file(npy_header("|O", "(1,)"), Bytes(4)), "NPY elements of type");
  expect_error(test::npy_file(npy_header("|u1", "()"), Bytes(1)), "a scalar");
  expect_error(test::npy_file(npy_header("|u1", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), Bytes(1)),
               "more than 8 dimensions");
  expect_error(test::npy_file(npy_header("|b1", "(2,)"), hex("0102")), "neither 0 nor 1");
  expect_error(test::npy_file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                              Bytes(4)),
               "structured element type");
  Bytes version = test::npy_file(npy_header("|u1", "(1,)"), Bytes(1));
  version[6] = std::byte{4};
  expect_error(version, "NPY version 4.0");
}

TEST_F(RecordFileTest, RefusesMalformedNpyHeaders) {
  const std::string good = npy_header("|u1", "(1,)");
  ASSERT_EQ(error_of(test::npy_file(good, Bytes(1))), "no error");
  for (const std::string& header : {
           std::string(),
           std::string("{}"),
           good.substr(1),
           good + "x",
           std::string("{'descr': '|u1', 'shape': (1,), }"),
           std::string("{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1,)}"),
           std::string("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), 'more': (1,)}"),
           std::string("{'descr': '|u1' 'fortran_order': False, 'shape': (1,)}"),
           std::string("{'descr': '|u1, 'fortran_order': False, 'shape': (1,)}"),
           std::string("{'descr': '|u1', 'fortran_order': 0, 'shape': (1,)}"),
           std::string("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}"),
           std::string("{'descr': '|u1', 'fortran_order': False, 'shape': (1 1)}"),
           std::string("{'descr': '|u1', 'fortran_order': False, 'shape': (1,"),
           std::string("{'descr': '|u1', 'fortran_order': False, 'shape': [1]}"),
       }) {
    expect_error(test::npy_file(header, Bytes(1)), "corrupt NPY header");
  }
  Bytes long_header = test::npy_file(good, Bytes(1), 2);
  long_header[11] = std::byte{0x7F};
  expect_error(long_header, "corrupt NPY (a header of");
}

TEST(IsRecordFile, GoesByTheName) {
  for (const char* name : {"a.npy", "A.NPY", "a.idx", "a.idx.gz", "t10k-images-idx3-ubyte",
                           "d/train-labels-idx1-ubyte.gz", "x.idx3-ubyte"}) {
    EXPECT_TRUE(RecordFile::is_record_file(name)) << name;
  }
  for (const char* name : {"a.png", "a.gz", "npy", "a.npy/b.png", ""}) {
    EXPECT_FALSE(RecordFile::is_record_file(name)) << name;
  }
}

}  // namespace
}  // namespace prs
