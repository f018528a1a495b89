// What decoding gives for sound files of every format, and how pixels are laid out and encoded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <opencv2/imgproc.hpp>

#include "prs/error.hpp"
#include "prs/image.hpp"
#include "sample_files.hpp"
#include "temp.hpp"

namespace prs {
namespace {

using test::Bytes;
using test::operator+;
using test::pattern_image;

using Pixels = std::vector<std::uint8_t>;

Image decode(const Bytes& file, std::int64_t channels) {
  return decode_image(file, {.channels = channels}, "test file");
}

Pixels luma_of(const Image& rgb) {
  Pixels pixels(rgb.pixels.size() / 3);
  const cv::Mat from(static_cast<int>(rgb.height), static_cast<int>(rgb.width), CV_8UC3,
                     const_cast<std::uint8_t*>(rgb.pixels.data()));
  cv::Mat to(from.rows, from.cols, CV_8UC1, pixels.data());
  cv::cvtColor(from, to, cv::COLOR_RGB2GRAY);
  return pixels;
}

Pixels tripled(const Pixels& gray) {
  Pixels pixels;
  for (const std::uint8_t value : gray) pixels.insert(pixels.end(), 3, value);
  return pixels;
}

std::string error_of(const Bytes& file, const DecodeOptions& options = {}) {
  try {
    decode_image(file, options, "x.png");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "no error";
}

TEST(DecodeImage, GivesTheExactPixelsOfEveryLosslessFormat) {
  const Image gray = pattern_image(13, 10, 1);
  const Image rgb = pattern_image(13, 10, 3);
  using Writer = Bytes (*)(const Image&);
  const std::pair<const char*, Writer> writers[] = {
      {"PNG", [](const Image& image) { return encode_png(image); }},
      {"PNM", [](const Image& image) { return test::pnm_file(image); }},
      {"BMP", [](const Image& image) { return test::bmp_file(image); }},
      {"BMP, top row first", [](const Image& image) { return test::bmp_file(image, true); }},
      {"TIFF", [](const Image& image) { return test::tiff_file(image); }},
      {"TIFF, big-endian",
       [](const Image& image) { return test::tiff_file(image, {.big_endian = true}); }},
      {"BigTIFF", [](const Image& image) { return test::tiff_file(image, {.big_tiff = true}); }},
      {"TIFF, LZW", [](const Image& image) { return test::tiff_file(image, {.compression = 5}); }},
      {"TIFF, deflate",
       [](const Image& image) { return test::tiff_file(image, {.compression = 8}); }},
  };
  for (const auto& [name, write] : writers) {
    SCOPED_TRACE(name);
    const Image from_gray = decode(write(gray), 1);
    EXPECT_EQ(from_gray.height, 10);
    EXPECT_EQ(from_gray.width, 13);
    EXPECT_EQ(from_gray.channels, 1);
    EXPECT_EQ(from_gray.pixels, gray.pixels);
    EXPECT_EQ(decode(write(gray), 3).pixels, tripled(gray.pixels));
    EXPECT_EQ(decode(write(rgb), 3).pixels, rgb.pixels);
    EXPECT_EQ(decode(write(rgb), 1).pixels, luma_of(rgb));
  }
}

TEST(DecodeImage, ReadsEverySampleFile) {
  for (const auto& [name, bytes] : test::sample_images()) {
    SCOPED_TRACE(name);
    for (const std::int64_t channels : {1, 3}) {
      const Image image = decode(bytes, channels);
      EXPECT_EQ(static_cast<std::int64_t>(image.pixels.size()),
                image.height * image.width * channels);
    }
  }
}

TEST(DecodeImage, ReadsJpegCloselyAndInRgbOrder) {
  Image flat{.height = 16, .width = 16, .channels = 3, .pixels = {}};
  for (int i = 0; i < 256; ++i) flat.pixels.insert(flat.pixels.end(), {200, 100, 50});
  for (const bool progressive : {false, true}) {
    const Image image = decode(test::jpeg_file(flat, progressive), 3);
    ASSERT_EQ(image.pixels.size(), flat.pixels.size());
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
      EXPECT_LE(std::abs(image.pixels[i] - flat.pixels[i]), 2) << i;
    }
    const Image gray = decode(test::jpeg_file(flat, progressive), 1);
    EXPECT_LE(std::abs(gray.pixels[0] - luma_of(flat)[0]), 2);
  }
}

TEST(DecodeImage, ReadsCmykJpegAsInverted) {
  Image ink{.height = 8, .width = 8, .channels = 4, .pixels = {}};
  for (int i = 0; i < 64; ++i) ink.pixels.insert(ink.pixels.end(), {255, 128, 0, 255});
  const Image image = decode(test::jpeg_file(ink), 3);
  EXPECT_NEAR(image.pixels[0], 255, 3);
  EXPECT_NEAR(image.pixels[1], 128, 3);
  EXPECT_NEAR(image.pixels[2], 0, 3);
}

TEST(DecodeImage, ScalesSixteenBitsToEight) {
  const Bytes rows = test::bytes_of(std::string_view("\x00\x00\x00\x80\x80\x80\xff\xff", 8));
  const Bytes png = test::png_file({.width = 4, .height = 1, .bit_depth = 16}, rows);
  EXPECT_EQ(decode(png, 1).pixels, (Pixels{0, 0, 128, 255}));
  const Bytes pgm = test::bytes_of("P5 4 1 65535\n") + rows;
  EXPECT_EQ(decode(pgm, 1).pixels, (Pixels{0, 0, 128, 255}));
}

TEST(DecodeImage, DropsAlpha) {
  const Bytes rgba = test::bytes_of(std::string_view("\x0a\x14\x1e\x00\x28\x32\x3c\xff", 8));
  const Bytes png = test::png_file({.width = 2, .height = 1, .color_type = 6}, rgba);
  EXPECT_EQ(decode(png, 3).pixels, (Pixels{10, 20, 30, 40, 50, 60}));
}

TEST(DecodeImage, ResolvesPalettesWithAndWithoutAlpha) {
  test::PngSpec spec{.width = 3, .height = 1, .bit_depth = 2, .color_type = 3};
  spec.palette = test::bytes_of("\x01\x02\x03\x04\x05\x06\x07\x08\x09");
  const Bytes rows = {std::byte{0b10'00'01'00}};
  EXPECT_EQ(decode(test::png_file(spec, rows), 3).pixels, (Pixels{7, 8, 9, 1, 2, 3, 4, 5, 6}));
  spec.palette_alpha = test::bytes_of("\x10\x20");
  EXPECT_EQ(decode(test::png_file(spec, rows), 3).pixels, (Pixels{7, 8, 9, 1, 2, 3, 4, 5, 6}));
}

TEST(DecodeImage, SpreadsOneBitToBlackAndWhite) {
  const Bytes rows = {std::byte{0b1010'0000}, std::byte{0b0100'0000}};
  EXPECT_EQ(decode(test::png_file({.width = 3, .height = 2, .bit_depth = 1}, rows), 1).pixels,
            (Pixels{255, 0, 255, 0, 255, 0}));
  // In PBM, 1 is black.
  const Pixels inverted = {0, 255, 0, 255, 0, 255};
  EXPECT_EQ(decode(test::bytes_of("P4 3 2\n") + rows, 1).pixels, inverted);
  EXPECT_EQ(decode(test::bytes_of("P1 3 2\n101 0#c\n1 0"), 1).pixels, inverted);
}

TEST(DecodeImage, ReadsInterlacedPngLikePlain) {
  const Image rgb = pattern_image(13, 10, 3);
  const auto* at = reinterpret_cast<const std::byte*>(rgb.pixels.data());
  const Bytes rows(at, at + rgb.pixels.size());
  const test::PngSpec spec{.width = 13, .height = 10, .color_type = 2, .interlaced = true};
  EXPECT_EQ(decode(test::png_file(spec, rows), 3).pixels, rgb.pixels);
}

TEST(DecodeImage, ScalesPnmSamplesByTheirMaximum) {
  EXPECT_EQ(decode(test::bytes_of("P2 3 1 15 0 7 15"), 1).pixels, (Pixels{0, 119, 255}));
  EXPECT_EQ(decode(test::bytes_of("P5 2 1 1\n") + Bytes{std::byte{0}, std::byte{1}}, 1).pixels,
            (Pixels{0, 255}));
}

TEST(DecodeImage, ReadsBmpMasks) {
  Bytes file = test::bmp_file(pattern_image(1, 1, 3));
  file[28] = std::byte{16};
  file.resize(54);
  const Bytes plain = file + Bytes{std::byte{0x1F}, std::byte{0x7C}, std::byte{0}, std::byte{0}};
  EXPECT_EQ(decode(plain, 3).pixels, (Pixels{255, 0, 255}));
  file[10] = std::byte{66};
  file[30] = std::byte{3};
  // R 5 bits, G 6, B 5; the pixel has all of green.
  const Bytes masks = test::bytes_of(std::string_view("\x00\xf8\0\0\xe0\x07\0\0\x1f\x00\0\0", 12));
  const Bytes masked =
      file + masks + Bytes{std::byte{0xE0}, std::byte{0x07}, std::byte{0}, std::byte{0}};
  EXPECT_EQ(decode(masked, 3).pixels, (Pixels{0, 255, 0}));
  // Masks as wide as the pixel.
  file[28] = std::byte{32};
  const Bytes wide = file + Bytes(12, std::byte{0xFF}) + Bytes(4, std::byte{0xFF});
  EXPECT_EQ(decode(wide, 3).pixels, (Pixels{255, 255, 255}));
}

TEST(DecodeImage, IgnoresTheTiffOrientation) {
  const Image rgb = pattern_image(5, 3, 3);
  EXPECT_EQ(decode(test::tiff_file(rgb, {.orientation = 3}), 3).pixels, rgb.pixels);
  EXPECT_EQ(decode(test::tiff_file(rgb, {.orientation = 4}), 3).pixels, rgb.pixels);
}

TEST(DecodeImage, RefusesAnotherSizeAndNamesTheFix) {
  EXPECT_EQ(error_of(encode_png(pattern_image(32, 30, 1)), {.height = 28, .width = 28}),
            "x.png: the image is 32x30 (width x height), the model takes 28x28; pass --resize to "
            "scale it");
}

TEST(DecodeImage, ResizesByAreaWhenShrinkingAndLinearlyWhenGrowing) {
  const Image rgb = pattern_image(12, 8, 3);
  const cv::Mat from(8, 12, CV_8UC3, const_cast<std::uint8_t*>(rgb.pixels.data()));
  const auto expect = [&](int height, int width, int method) {
    Pixels expected(static_cast<std::size_t>(height * width * 3));
    cv::Mat to(height, width, CV_8UC3, expected.data());
    cv::resize(from, to, to.size(), 0, 0, method);
    const DecodeOptions options{.channels = 3, .height = height, .width = width, .resize = true};
    const Image image = decode_image(encode_png(rgb), options, "test file");
    EXPECT_EQ(image.height, height);
    EXPECT_EQ(image.width, width);
    EXPECT_EQ(image.pixels, expected) << width << "x" << height;
  };
  expect(4, 6, cv::INTER_AREA);
  expect(5, 12, cv::INTER_AREA);
  expect(16, 30, cv::INTER_LINEAR);
  expect(4, 30, cv::INTER_LINEAR);
}

TEST(DecodeImage, RefusesNonsensicalOptions) {
  const Bytes file = encode_png(pattern_image(2, 2, 1));
  EXPECT_NE(error_of(file, {.channels = 2}).find("expected 1 (gray) or 3 (RGB)"),
            std::string::npos);
  EXPECT_NE(error_of(file, {.height = -1}).find("x.png: "), std::string::npos);
  EXPECT_NE(error_of(file, {.max_pixels = 0}).find("limit of 0 pixels"), std::string::npos);
  EXPECT_NE(error_of(file, {.height = 1 << 20, .width = 1 << 20, .resize = true}).find("asked for"),
            std::string::npos);
}

TEST(ReadImage, ReadsAFile) {
  const test::TempFolder folder;
  const Image gray = pattern_image(5, 4, 1);
  EXPECT_EQ(read_image(folder.write("a.png", encode_png(gray)), {}).pixels, gray.pixels);
}

TEST(EncodePng, RefusesWhatPngHelpersCannotHold) {
  EXPECT_THROW(encode_png(pattern_image(2, 2, 2)), Error);
  EXPECT_THROW(encode_png(Image{}), Error);
  Image short_image = pattern_image(2, 2, 3);
  short_image.pixels.pop_back();
  EXPECT_THROW(encode_png(short_image), Error);
}

TEST(Layout, NamesAreReadBackInAnyCase) {
  for (const Layout layout : {Layout::kChw, Layout::kHwc, Layout::kHw, Layout::kFlat}) {
    EXPECT_EQ(parse_layout(layout_name(layout)), layout);
  }
  EXPECT_EQ(parse_layout("NHWC"), Layout::kHwc);
  try {
    parse_layout("hwcn");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "unknown layout \"hwcn\"; expected nchw, nhwc, nhw or flat");
  }
}

TEST(ArrangePixels, PutsChannelsFirstOrLast) {
  const Image rgb{.height = 1, .width = 2, .channels = 3, .pixels = {1, 2, 3, 4, 5, 6}};
  Pixels to(6);
  arrange_pixels(rgb, Layout::kChw, to.data());
  EXPECT_EQ(to, (Pixels{1, 4, 2, 5, 3, 6}));
  arrange_pixels(rgb, Layout::kHwc, to.data());
  EXPECT_EQ(to, rgb.pixels);
  arrange_pixels(rgb, Layout::kFlat, to.data());
  EXPECT_EQ(to, rgb.pixels);
  EXPECT_THROW(arrange_pixels(rgb, Layout::kHw, to.data()), Error);
}

TEST(ArrangePixels, IsACopyForOneChannel) {
  const Image gray = pattern_image(3, 2, 1);
  for (const Layout layout : {Layout::kChw, Layout::kHwc, Layout::kHw, Layout::kFlat}) {
    Pixels to(6);
    arrange_pixels(gray, layout, to.data());
    EXPECT_EQ(to, gray.pixels);
  }
}

TEST(IsImagePath, GoesByTheExtensionInAnyCase) {
  for (const char* name : {"a.png", "a.JPG", "a.jpeg", "a.Bmp", "a.pgm", "a.ppm", "a.pbm", "a.pnm",
                           "a.tif", "x/a.tiff"}) {
    EXPECT_TRUE(is_image_path(name)) << name;
  }
  for (const char* name : {"a.txt", "png", "a.npy", "a.png.txt", ""}) {
    EXPECT_FALSE(is_image_path(name)) << name;
  }
}

}  // namespace
}  // namespace prs
