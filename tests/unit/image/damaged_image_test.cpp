// Untrusted image files: whatever is wrong is an Error that names the file, and nothing is printed.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>

#include "prs/error.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"
#include "temp.hpp"

namespace prs {
namespace {

using test::Bytes;
using test::compressed;
using test::operator+;
using test::pattern_image;
using test::png_chunk;

/// The message of the error that decoding throws; nullopt when the file decodes.
std::optional<std::string> refusal_of(const Bytes& file, const DecodeOptions& options = {}) {
  try {
    decode_image(file, options, "x");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.message();
    EXPECT_EQ(error.message().rfind("x: ", 0), 0u) << error.message();
    return error.message();
  }
  return std::nullopt;
}

void expect_error(const Bytes& file, const std::string& part, const DecodeOptions& options = {}) {
  const std::optional<std::string> error = refusal_of(file, options);
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->find(part), std::string::npos) << *error;
}

Bytes first(const Bytes& file, std::size_t size) {
  return {file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size)};
}

void store_big(Bytes& file, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) {
    file[at + i] = static_cast<std::byte>((value >> (24 - 8 * i)) & 0xFFu);
  }
}

/// An 8-bit gray PNG with this IDAT.
Bytes gray_png(std::uint32_t width, std::uint32_t height, const Bytes& idat) {
  Bytes header(13);
  store_big(header, 0, width);
  store_big(header, 4, height);
  header[8] = std::byte{8};
  return test::bytes_of("\x89PNG\r\n\x1a\n") + png_chunk("IHDR", header) + png_chunk("IDAT", idat) +
         png_chunk("IEND", {});
}

TEST(DamagedImage, EmptyAndUnknownFilesAreNamed) {
  EXPECT_EQ(refusal_of({}), "x: empty file");
  EXPECT_EQ(refusal_of(test::bytes_of("GIF89a")),
            "x: not an image of a known format (PNG, JPEG, BMP, PGM/PPM, TIFF)");
}

TEST(DamagedImage, TruncationFailsAtEveryByteOfEveryFormat) {
  for (const auto& [name, file] : test::sample_images()) {
    // The text formats end in white space that nothing needs; P1 to P3 have their own test.
    if (file[0] == std::byte{'P'} && file[1] <= std::byte{'3'}) continue;
    SCOPED_TRACE(name);
    // libtiff writes its directory last, and the resolution or software tags may follow the pixels.
    for (std::size_t size = 0; size < file.size(); ++size) {
      ASSERT_TRUE(refusal_of(first(file, size)).has_value()) << size << " of " << file.size();
    }
  }
}

TEST(DamagedImage, TruncatedTextPnmFails) {
  const Bytes file = test::bytes_of("P3\n2 1\n255\n1 2 3 4 5 6");
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_TRUE(refusal_of(first(file, size)).has_value()) << size;
  }
}

TEST(DamagedImage, TruncatedPngSaysWhatIsMissing) {
  const Bytes file = encode_png(pattern_image(9, 9, 1));
  EXPECT_EQ(refusal_of(first(file, file.size() - 1)), "x: truncated PNG (no IEND chunk)");
  EXPECT_EQ(refusal_of(first(file, 40)), "x: truncated PNG (no IEND chunk)");
}

TEST(DamagedImage, TrailingBytesAfterTheImageAreIgnored) {
  const Image gray = pattern_image(9, 9, 1);
  const Bytes trail = test::bytes_of("trailing");
  EXPECT_EQ(decode_image(encode_png(gray) + trail, {}, "x").pixels, gray.pixels);
  EXPECT_FALSE(refusal_of(test::jpeg_file(gray) + trail).has_value());
  EXPECT_FALSE(refusal_of(test::bmp_file(gray) + trail).has_value());
}

TEST(DamagedImage, FlippedBitsInAPngAlwaysFail) {
  const Bytes file = encode_png(pattern_image(7, 5, 3));
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    Bytes damaged = file;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    ASSERT_TRUE(refusal_of(damaged).has_value()) << "bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST(DamagedImage, FlippedBitsNeverDoWorseThanAnError) {
  for (const auto& [name, file] : test::sample_images()) {
    SCOPED_TRACE(name);
    for (std::size_t bit = 0; bit<file.size() * 8; bit += file.size()> 1000 ? 5 : 1) {
      Bytes damaged = file;
      damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      refusal_of(damaged, {.max_pixels = 1 << 16});
    }
  }
}

TEST(DamagedImage, PngWithTooFewPixelsFailsThoughItsChecksumsAreRight) {
  const Bytes rows(3 * 5);  // A filter byte and four pixels in each of three rows.
  EXPECT_FALSE(refusal_of(gray_png(4, 3, compressed(rows))).has_value());
  for (std::size_t size = 0; size < rows.size(); ++size) {
    EXPECT_TRUE(refusal_of(gray_png(4, 3, compressed(first(rows, size)))).has_value()) << size;
  }
}

TEST(DamagedImage, PngWithAWrongPixelChecksumFails) {
  Bytes idat = compressed(Bytes(15));
  idat.back() ^= std::byte{1};
  expect_error(gray_png(4, 3, idat), "corrupt PNG (IDAT");
}

TEST(DamagedImage, DamagedJpegScanFails) {
  const Bytes file = test::jpeg_file(pattern_image(64, 64, 3));
  Bytes damaged = file;
  for (std::size_t at = file.size() / 2; at < file.size() / 2 + 40; ++at)
    damaged[at] = std::byte{0};
  expect_error(damaged, "JPEG (");
  Bytes without_end = first(file, file.size() / 2) + Bytes{std::byte{0xFF}, std::byte{0xD9}};
  expect_error(without_end, "JPEG (");
}

TEST(DamagedImage, DamagedTiffStripFails) {
  Bytes file = test::tiff_file(pattern_image(64, 64, 3), {.compression = 8});
  for (std::size_t at = 40; at < 60; ++at) file[at] ^= std::byte{0x55};
  expect_error(file, "TIFF (");
}

TEST(DecodeImage, RefusesABombBeforeDecoding) {
  Bytes png = gray_png(100000, 100000, compressed(Bytes(10)));
  expect_error(png, "100000x100000 (width x height) pixels exceed the limit of 67108864");
  // Within the limit, yet far more than the file can hold.
  expect_error(gray_png(8000, 8000, compressed(Bytes(10))), "truncated PNG");

  expect_error(test::bytes_of("P5 100000 100000 255\n"), "exceed the limit");
  expect_error(test::bytes_of("P5 8000 8000 255\n"), "truncated PNM");
  expect_error(test::bytes_of("P2 99999999999999999999 1 255\n"), "exceed the limit");

  Bytes bmp = test::bmp_file(pattern_image(2, 2, 3));
  store_big(bmp, 18, 0xA0860100);  // 100000, little-endian
  store_big(bmp, 22, 0xA0860100);
  expect_error(bmp, "100000x100000 (width x height) pixels exceed the limit");
  store_big(bmp, 18, 0x401F0000);
  store_big(bmp, 22, 0x401F0000);
  expect_error(bmp, "truncated BMP");

  const Image image = pattern_image(40, 30, 3);
  const DecodeOptions small{.max_pixels = 40 * 30 - 1};
  expect_error(encode_png(image), "exceed the limit of 1199", small);
  expect_error(test::jpeg_file(image), "exceed the limit of 1199", small);
  expect_error(test::tiff_file(image), "exceed the limit of 1199", small);
  EXPECT_FALSE(refusal_of(encode_png(image), {.max_pixels = 1200}).has_value());
}

TEST(DecodeImage, RefusesBmpThatIsRunLengthEncoded) {
  Bytes file = test::bmp_file(pattern_image(4, 4, 1));
  file[30] = std::byte{1};
  expect_error(file, "save it uncompressed or as PNG");
}

TEST(DecodeImage, PrintsNothing) {
  std::string text = "not captured";
  {
    const test::StderrCapture capture;
    for (const auto& [name, file] : test::sample_images()) {
      refusal_of(file);
      for (std::size_t size = 0; size < file.size(); size += 7) refusal_of(first(file, size));
      for (std::size_t at = 0; at < file.size(); at += 3) {
        Bytes damaged = file;
        damaged[at] ^= std::byte{0xFF};
        refusal_of(damaged, {.max_pixels = 1 << 16});
      }
    }
    // libpng is known to warn of such colour profiles.
    const Bytes png = encode_png(pattern_image(4, 4, 1));
    const Bytes profile = png_chunk("iCCP", test::bytes_of("nonsense"));
    refusal_of(first(png, 33) + profile + Bytes(png.begin() + 33, png.end()));
    text = capture.text();
  }
  EXPECT_EQ(text, "");
}

TEST(ReadImage, RefusesFoldersFifosAndMissingFilesWithoutBlocking) {
  const test::TempFolder folder;
  const std::filesystem::path fifo = folder.path() / "fifo.png";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const auto expect_io = [](const std::filesystem::path& path, const std::string& what) {
    try {
      read_image(path, {});
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo);
      EXPECT_EQ(error.message(), path.native() + what);
    }
  };
  expect_io(folder.path(), ": a folder, not a regular file");
  expect_io(fifo, ": a FIFO, not a regular file");
  expect_io("/dev/null", ": a device or socket, not a regular file");
  expect_io(folder.path() / "none.png", ": cannot open (No such file or directory)");
}

TEST(ReadImage, NamesTheFileThatIsEmptyOrHuge) {
  const test::TempFolder folder;
  const auto message_of = [](const std::filesystem::path& path) -> std::string {
    try {
      read_image(path, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return error.message();
    }
    return "no error";
  };
  const std::filesystem::path empty = folder.write("empty.png", "");
  EXPECT_EQ(message_of(empty), empty.native() + ": empty file");
  const std::filesystem::path huge = folder.write("huge.png", "");
  std::filesystem::resize_file(huge, (std::uintmax_t{1} << 30) + 1);  // Sparse.
  EXPECT_EQ(message_of(huge), huge.native() + ": 1073741825 bytes exceed the limit of 1073741824");
}

}  // namespace
}  // namespace prs
