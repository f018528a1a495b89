// The quick way for usual PNG files against libpng: the same pixels, and never a file that libpng
// refuses.
#include "image/plain_png.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <optional>
#include <random>

#include "image/codec.hpp"
#include "prs/error.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"
#include "temp.hpp"

namespace prs {
namespace {

using test::big;
using test::Bytes;
using test::bytes_of;
using test::compressed;
using test::operator+;
using test::png_chunk;
using Pixels = std::vector<std::uint8_t>;

struct Spec {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  int color_type = 0;
};

std::uint32_t samples_of(int color_type) {
  return color_type == 0 ? 1 : color_type == 2 ? 3 : color_type == 4 ? 2 : 4;
}

/// Around these chunks: signature, header and end.
Bytes png(const Spec& spec, const Bytes& chunks) {
  const Bytes kinds = {std::byte{8}, static_cast<std::byte>(spec.color_type), std::byte{0},
                       std::byte{0}, std::byte{0}};
  return bytes_of("\x89PNG\r\n\x1a\n") +
         png_chunk("IHDR", big(spec.width) + big(spec.height) + kinds) + chunks +
         png_chunk("IEND", {});
}

/// Rows with any bytes behind their filters, which is `filter`, or any when -1.
Bytes rows_of(const Spec& spec, int filter, std::mt19937& random) {
  Bytes rows;
  for (std::uint32_t y = 0; y < spec.height; ++y) {
    rows.push_back(
        static_cast<std::byte>(filter >= 0 ? static_cast<unsigned>(filter) : random() % 5));
    for (std::uint32_t i = 0; i < spec.width * samples_of(spec.color_type); ++i) {
      rows.push_back(static_cast<std::byte>(random() & 0xFFU));
    }
  }
  return rows;
}

std::optional<Pixels> by_plain(const Bytes& file) {
  image::PlainPngDecoder decoder;
  const std::optional<image::PlainPng> header = decoder.open(file);
  if (!header) return std::nullopt;
  Pixels pixels(static_cast<std::size_t>(header->width * header->height * header->channels));
  if (!decoder.decode(pixels.data())) return std::nullopt;
  return pixels;
}

std::optional<Pixels> by_libpng(const Bytes& file) {
  try {
    const image::Source source{.bytes = file, .name = "x", .max_pixels = 1 << 20};
    return image::decode_png_by_libpng(source).pixels;
  } catch (const Error&) {
    return std::nullopt;
  }
}

TEST(PlainPng, GivesWhatLibpngGivesForEveryFilterAndKind) {
  std::mt19937 random(7);
  for (const int color_type : {0, 2, 4, 6}) {
    for (int filter = -1; filter < 5; ++filter) {
      for (const std::uint32_t width : {1U, 2U, 17U, 28U}) {
        const Spec spec{width, 9, color_type};
        const Bytes file = png(spec, png_chunk("IDAT", compressed(rows_of(spec, filter, random))));
        const std::optional<Pixels> pixels = by_plain(file);
        ASSERT_TRUE(pixels) << color_type << ' ' << filter << ' ' << width;
        ASSERT_EQ(pixels, by_libpng(file)) << color_type << ' ' << filter << ' ' << width;
      }
    }
  }
}

TEST(PlainPng, JoinsDataThatIsInSeveralChunksAndSkipsTexts) {
  std::mt19937 random(8);
  const Spec spec{28, 28, 0};
  const Bytes stream = compressed(rows_of(spec, -1, random));
  Bytes chunks = png_chunk("gAMA", big(45455)) + png_chunk("tEXt", bytes_of("Title\0an image"));
  for (std::size_t at = 0; at < stream.size(); at += 100) {
    const auto first = stream.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t size = std::min<std::size_t>(100, stream.size() - at);
    chunks = chunks + png_chunk("IDAT", Bytes(first, first + static_cast<std::ptrdiff_t>(size)));
  }
  const Bytes file = png(spec, chunks + png_chunk("tIME", Bytes(7)));
  ASSERT_TRUE(by_plain(file));
  EXPECT_EQ(by_plain(file), by_libpng(file));
}

TEST(PlainPng, LeavesWhatIsUnusualToLibpng) {
  std::mt19937 random(9);
  const Spec spec{5, 4, 0};
  const Bytes idat = png_chunk("IDAT", compressed(rows_of(spec, -1, random)));
  ASSERT_TRUE(by_plain(png(spec, idat)));
  EXPECT_FALSE(by_plain(png(spec, png_chunk("tRNS", {std::byte{0}, std::byte{7}}) + idat)));
  EXPECT_FALSE(by_plain(png(spec, png_chunk("PLTE", Bytes(3)) + idat)));
  EXPECT_FALSE(by_plain(png(spec, idat + png_chunk("tEXt", Bytes(9)) + idat)));
  EXPECT_FALSE(by_plain(png(spec, {})));
  for (const auto& [name, file] : test::sample_images()) {
    const bool plain =
        name == "gray.png" || name == "rgb.png" || name == "gray-alpha.png" || name == "rgba.png";
    EXPECT_EQ(by_plain(file).has_value(), plain) << name;
  }
}

/// A zlib stream of one block that is stored, behind `empty` ones that hold nothing.
Bytes stored(const Bytes& rows, std::size_t empty) {
  Bytes stream = {std::byte{0x78}, std::byte{0x01}};
  for (std::size_t i = 0; i < empty; ++i) {
    for (const int value : {0, 0, 0, 0xff, 0xff}) stream.push_back(static_cast<std::byte>(value));
  }
  const auto size = static_cast<unsigned>(rows.size());
  for (const unsigned value : {1U, size & 0xffU, size >> 8, ~size & 0xffU, ~size >> 8 & 0xffU}) {
    stream.push_back(static_cast<std::byte>(value));
  }
  const auto sum = adler32(1, reinterpret_cast<const Bytef*>(rows.data()), size);
  return stream + rows + big(static_cast<std::uint32_t>(sum));
}

TEST(PlainPng, LeavesChunksThatLibpngFindsTooLargeToIt) {
  std::mt19937 random(12);
  const Spec spec{3, 2, 0};
  const Bytes rows = rows_of(spec, 0, random);
  const Bytes usual = png(spec, png_chunk("IDAT", stored(rows, 3)));
  ASSERT_TRUE(by_plain(usual));
  EXPECT_EQ(by_plain(usual), by_libpng(usual));
  const Bytes padded = png(spec, png_chunk("IDAT", stored(rows, 1'600'000)));
  EXPECT_FALSE(by_libpng(padded));
  EXPECT_FALSE(by_plain(padded));
}

TEST(PlainPng, TakesNoDamagedStreamThatLibpngRefuses) {
  std::mt19937 random(10);
  const Spec spec{11, 6, 0};
  Bytes rows = rows_of(spec, -1, random);
  for (std::size_t i = 20; i < rows.size(); ++i) rows[i] = rows[i - 12];  // Something to refer to.
  const Bytes stream = compressed(rows);
  std::int64_t taken = 0;
  for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
    Bytes damaged = stream;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const Bytes file = png(spec, png_chunk("IDAT", damaged));
    const std::optional<Pixels> pixels = by_plain(file);
    if (!pixels) continue;
    ++taken;
    ASSERT_EQ(pixels, by_libpng(file)) << "bit " << bit;
  }
  // Bits of zlib's header that tell how hard the encoder tried.
  EXPECT_LE(taken, 8);
  // The sizes: one byte more and one fewer than the rows have.
  EXPECT_FALSE(by_plain(png(spec, png_chunk("IDAT", compressed(rows + Bytes(1))))));
  EXPECT_FALSE(by_plain(png(spec, png_chunk("IDAT", stream + Bytes(1)))));
  rows.pop_back();
  EXPECT_FALSE(by_plain(png(spec, png_chunk("IDAT", compressed(rows)))));
}

/// What a loader gives, and the reason where it gives nothing.
struct Loaded {
  Pixels pixels;
  std::string error;
  bool operator==(const Loaded&) const = default;
};

TEST(ImageLoader, GivesWhatReadImageGivesWhateverCameBefore) {
  const test::TempFolder folder;
  auto files = test::sample_images();
  files.emplace_back("empty.png", Bytes());
  files.emplace_back("torn.png", Bytes(files[0].second.begin(), files[0].second.begin() + 60));
  for (const bool resize : {false, true}) {
    for (const std::int64_t channels : {1, 3}) {
      for (const Layout layout : {Layout::kChw, Layout::kHwc}) {
        const DecodeOptions options{
            .channels = channels, .height = 10, .width = 13, .resize = resize};
        ImageLoader loader(options, layout);
        const auto size = static_cast<std::size_t>(10 * 13 * channels);
        for (const auto& [name, bytes] : files) {
          const std::filesystem::path path = folder.write(name, bytes);
          Loaded expected{Pixels(size), ""};
          try {
            arrange_pixels(read_image(path, options), layout, expected.pixels.data());
          } catch (const Error& error) {
            expected = {{}, error.message()};
          }
          Loaded loaded{Pixels(size), ""};
          try {
            loader.read(path, loaded.pixels.data());
          } catch (const Error& error) {
            loaded = {{}, error.message()};
          }
          EXPECT_EQ(loaded, expected) << name << ": " << loaded.error << " / " << expected.error;
        }
      }
    }
  }
}

TEST(ImageLoader, ReadsFilesLargerThanItsFirstBuffer) {
  const test::TempFolder folder;
  std::mt19937 random(11);
  Image image{.height = 300, .width = 400, .channels = 1, .pixels = {}};
  for (std::int64_t i = 0; i < 300 * 400; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(random()));
  }
  const Bytes file = encode_png(image);
  ASSERT_GT(file.size(), std::size_t{1} << 16);
  ImageLoader loader({.channels = 1, .height = 300, .width = 400}, Layout::kHw);
  Pixels pixels(image.pixels.size());
  loader.read(folder.write("large.png", file), pixels.data());
  EXPECT_EQ(pixels, image.pixels);
}

TEST(ImageLoader, RefusesWhatHasNoSize) {
  EXPECT_THROW(ImageLoader({.channels = 1}, Layout::kChw), Error);
  EXPECT_THROW(ImageLoader({.channels = 3, .height = 2, .width = 2}, Layout::kHw), Error);
}

}  // namespace
}  // namespace prs
