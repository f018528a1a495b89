#include "sample_files.hpp"

#include <fmt/format.h>
#include <png.h>
#include <sys/mman.h>
#include <tiffio.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <stdexcept>

namespace prs::test {
namespace {

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

template <typename T>
void append_little(Bytes& bytes, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes.push_back(static_cast<std::byte>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xFFu));
  }
}

Bytes pixels_of(const Image& image) {
  const auto* at = reinterpret_cast<const std::byte*>(image.pixels.data());
  return {at, at + image.pixels.size()};
}

void append_to(png_structp png, png_bytep data, std::size_t size) {
  auto& file = *static_cast<Bytes*>(png_get_io_ptr(png));
  const auto* at = reinterpret_cast<const std::byte*>(data);
  file.insert(file.end(), at, at + size);
}

}  // namespace

Bytes bytes_of(std::string_view text) {
  const auto* at = reinterpret_cast<const std::byte*>(text.data());
  return {at, at + text.size()};
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Image pattern_image(std::int64_t width, std::int64_t height, std::int64_t channels) {
  Image image{.height = height, .width = width, .channels = channels, .pixels = {}};
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      for (std::int64_t c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<std::uint8_t>(x * 7 + y * 13 + c * 29));
      }
    }
  }
  return image;
}

Bytes big(std::uint32_t value) {
  Bytes bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::byte>(value >> shift & 0xFFU));
  }
  return bytes;
}

Bytes compressed(const Bytes& raw) {
  uLongf size = compressBound(raw.size());
  Bytes bytes(size);
  compress(reinterpret_cast<Bytef*>(bytes.data()), &size,
           reinterpret_cast<const Bytef*>(raw.data()), raw.size());
  bytes.resize(size);
  return bytes;
}

Bytes png_chunk(std::string_view type, const Bytes& data) {
  const Bytes covered = bytes_of(type) + data;
  const uLong crc =
      crc32(0, reinterpret_cast<const Bytef*>(covered.data()), static_cast<uInt>(covered.size()));
  return big(static_cast<std::uint32_t>(data.size())) + covered +
         big(static_cast<std::uint32_t>(crc));
}

Bytes png_file(const PngSpec& spec, const Bytes& rows) {
  Bytes file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, append_to, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(spec.width),
               static_cast<png_uint_32>(spec.height), spec.bit_depth, spec.color_type,
               spec.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (!spec.palette.empty()) {
    png_set_PLTE(png, info, reinterpret_cast<png_const_colorp>(spec.palette.data()),
                 static_cast<int>(spec.palette.size() / 3));
  }
  if (!spec.palette_alpha.empty()) {
    png_set_tRNS(png, info, reinterpret_cast<png_const_bytep>(spec.palette_alpha.data()),
                 static_cast<int>(spec.palette_alpha.size()), nullptr);
  }
  png_write_info(png, info);
  const std::size_t row_bytes = png_get_rowbytes(png, info);
  require(rows.size() == row_bytes * static_cast<std::size_t>(spec.height), "rows of another size");
  Bytes copy = rows;
  std::vector<png_bytep> pointers;
  for (int y = 0; y < spec.height; ++y) {
    pointers.push_back(reinterpret_cast<png_bytep>(copy.data()) +
                       static_cast<std::size_t>(y) * row_bytes);
  }
  png_write_image(png, pointers.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
}

Bytes jpeg_file(const Image& image, bool progressive) {
  const TJPF format = image.channels == 1 ? TJPF_GRAY : image.channels == 3 ? TJPF_RGB : TJPF_CMYK;
  const tjhandle handle = tjInitCompress();
  unsigned char* data = nullptr;
  unsigned long size = 0;
  const int result = tjCompress2(handle, image.pixels.data(), static_cast<int>(image.width), 0,
                                 static_cast<int>(image.height), format, &data, &size,
                                 image.channels == 1 ? TJSAMP_GRAY : TJSAMP_444, 100,
                                 TJFLAG_ACCURATEDCT | (progressive ? TJFLAG_PROGRESSIVE : 0));
  require(result == 0, "tjCompress2 failed");
  const auto* at = reinterpret_cast<const std::byte*>(data);
  Bytes file(at, at + size);
  tjFree(data);
  tjDestroy(handle);
  return file;
}

Bytes tiff_file(const Image& image, const TiffSpec& spec) {
  const int memory = memfd_create("tiff", 0);
  const std::string mode =
      fmt::format("w{}{}", spec.big_endian ? "b" : "l", spec.big_tiff ? "8" : "");
  TIFF* tiff = TIFFFdOpen(dup(memory), "memory", mode.c_str());
  require(tiff != nullptr, "TIFFFdOpen failed");
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, static_cast<std::uint32_t>(image.width));
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, static_cast<std::uint32_t>(image.height));
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, static_cast<int>(image.channels));
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
               image.channels == 1 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, spec.compression);
  TIFFSetField(tiff, TIFFTAG_ORIENTATION, spec.orientation);
  TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 8);
  const std::int64_t row_bytes = image.width * image.channels;
  for (std::int64_t y = 0; y < image.height; ++y) {
    Bytes row(static_cast<std::size_t>(row_bytes));
    std::memcpy(row.data(), image.pixels.data() + y * row_bytes, row.size());
    require(TIFFWriteScanline(tiff, row.data(), static_cast<std::uint32_t>(y), 0) == 1,
            "TIFFWriteScanline failed");
  }
  TIFFClose(tiff);
  Bytes file(static_cast<std::size_t>(lseek(memory, 0, SEEK_END)));
  require(pread(memory, file.data(), file.size(), 0) == static_cast<ssize_t>(file.size()),
          "pread failed");
  close(memory);
  return file;
}

Bytes pnm_file(const Image& image) {
  return bytes_of(fmt::format("P{}\n# a comment\n{} {}\n255\n", image.channels == 1 ? 5 : 6,
                              image.width, image.height)) +
         pixels_of(image);
}

Bytes bmp_file(const Image& image, bool top_down) {
  const bool gray = image.channels == 1;
  const std::uint32_t offset = 54 + (gray ? 1024 : 0);
  const std::int64_t row_bytes = (image.width * image.channels + 3) / 4 * 4;
  Bytes file = bytes_of("BM");
  append_little<std::uint32_t>(file, offset + static_cast<std::uint32_t>(row_bytes * image.height));
  append_little<std::uint32_t>(file, 0);
  append_little<std::uint32_t>(file, offset);
  append_little<std::uint32_t>(file, 40);
  append_little<std::int32_t>(file, static_cast<std::int32_t>(image.width));
  append_little<std::int32_t>(file,
                              static_cast<std::int32_t>(top_down ? -image.height : image.height));
  append_little<std::uint16_t>(file, 1);
  append_little<std::uint16_t>(file, gray ? 8 : 24);
  for (int i = 0; i < 6; ++i) append_little<std::uint32_t>(file, 0);
  for (int i = 0; gray && i < 256; ++i) {
    append_little<std::uint32_t>(file, static_cast<std::uint32_t>(i) * 0x010101u);
  }
  for (std::int64_t i = 0; i < image.height; ++i) {
    const std::int64_t y = top_down ? i : image.height - 1 - i;
    const std::uint8_t* from = image.pixels.data() + y * image.width * image.channels;
    const std::size_t start = file.size();
    for (std::int64_t x = 0; x < image.width; ++x, from += image.channels) {
      for (std::int64_t c = image.channels - 1; c >= 0; --c) {
        file.push_back(static_cast<std::byte>(from[c]));
      }
    }
    file.resize(start + static_cast<std::size_t>(row_bytes));
  }
  return file;
}

Bytes idx_file(int type, std::span<const std::uint32_t> extents, const Bytes& elements) {
  Bytes file = {std::byte{0}, std::byte{0}, static_cast<std::byte>(type),
                static_cast<std::byte>(extents.size())};
  for (const std::uint32_t extent : extents) file = std::move(file) + big(extent);
  return file + elements;
}

Bytes npy_file(std::string_view header, const Bytes& elements, int major) {
  const std::size_t prefix = major == 1 ? 10 : 12;
  std::string text(header);
  while ((prefix + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  Bytes file = bytes_of("\x93NUMPY");
  file.push_back(static_cast<std::byte>(major));
  file.push_back(std::byte{0});
  if (major == 1) {
    append_little<std::uint16_t>(file, static_cast<std::uint16_t>(text.size()));
  } else {
    append_little<std::uint32_t>(file, static_cast<std::uint32_t>(text.size()));
  }
  return file + bytes_of(text) + elements;
}

Bytes gzip(const Bytes& bytes) {
  z_stream stream{};
  require(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK,
          "deflateInit2 failed");
  Bytes file(deflateBound(&stream, bytes.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(file.data());
  stream.avail_out = static_cast<uInt>(file.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate failed");
  file.resize(stream.total_out);
  deflateEnd(&stream);
  return file;
}

std::vector<std::pair<std::string, Bytes>> sample_images() {
  const Image gray = pattern_image(13, 10, 1);
  const Image rgb = pattern_image(13, 10, 3);
  const PngSpec size{.width = 13, .height = 10};
  const auto png = [&size](int bit_depth, int color_type, int row_bytes, bool interlaced = false) {
    PngSpec spec = size;
    spec.bit_depth = bit_depth;
    spec.color_type = color_type;
    spec.interlaced = interlaced;
    if (color_type == 3) spec.palette = pixels_of(pattern_image(16, 1, 3));
    if (color_type == 3) spec.palette_alpha = pixels_of(pattern_image(4, 1, 1));
    return png_file(spec, pixels_of(pattern_image(row_bytes, size.height, 1)));
  };
  return {
      {"gray.png", png(8, 0, 13)},
      {"gray1.png", png(1, 0, 2)},
      {"gray16.png", png(16, 0, 26)},
      {"rgb.png", png(8, 2, 39)},
      {"rgb16.png", png(16, 2, 78)},
      {"palette.png", png(4, 3, 7)},
      {"gray-alpha.png", png(8, 4, 26)},
      {"rgba.png", png(8, 6, 52)},
      {"interlaced.png", png(8, 2, 39, true)},
      {"gray.jpg", jpeg_file(gray)},
      {"rgb.jpg", jpeg_file(rgb)},
      {"progressive.jpg", jpeg_file(rgb, true)},
      {"cmyk.jpg", jpeg_file(pattern_image(13, 10, 4))},
      {"gray.bmp", bmp_file(gray)},
      {"rgb.bmp", bmp_file(rgb)},
      {"top-down.bmp", bmp_file(rgb, true)},
      {"bitmap.pbm", bytes_of("P1\n3 2\n010\n1 0 1\n")},
      {"text.pgm", bytes_of("P2\n3 2\n15\n0 1 2\n13 14 15\n")},
      {"text.ppm", bytes_of("P3\n2 1\n255\n1 2 3 4 5 6\n")},
      {"packed.pbm", bytes_of("P4\n9 2\n\xAA\x80\x55\x7F")},
      {"gray.pgm", pnm_file(gray)},
      {"wide.pgm", bytes_of("P5 2 1 1000\n\x01\x02\x03\x04")},
      {"rgb.ppm", pnm_file(rgb)},
      {"gray.tiff", tiff_file(gray)},
      {"big-endian.tiff", tiff_file(rgb, {.big_endian = true})},
      {"big.tiff", tiff_file(rgb, {.big_tiff = true})},
      {"lzw.tiff", tiff_file(rgb, {.compression = COMPRESSION_LZW})},
      {"deflate.tiff", tiff_file(gray, {.compression = COMPRESSION_ADOBE_DEFLATE})},
      {"packbits.tiff", tiff_file(gray, {.compression = COMPRESSION_PACKBITS})},
      {"jpeg.tiff", tiff_file(gray, {.compression = COMPRESSION_JPEG})},
  };
}

std::vector<std::pair<std::string, Bytes>> sample_record_files() {
  const std::uint32_t images[] = {3, 4, 5};
  const std::uint32_t labels[] = {6};
  const Bytes u8 = pixels_of(pattern_image(60, 1, 1));
  const Bytes images_idx = idx_file(0x08, images, u8);
  return {
      {"images-idx3-ubyte", images_idx},
      {"labels-idx1-ubyte", idx_file(0x08, labels, pixels_of(pattern_image(6, 1, 1)))},
      {"images-idx3-ubyte.gz", gzip(images_idx)},
      {"i16.idx", idx_file(0x0B, labels, pixels_of(pattern_image(12, 1, 1)))},
      {"f32.idx", idx_file(0x0D, labels, pixels_of(pattern_image(24, 1, 1)))},
      {"f64.idx.gz", gzip(idx_file(0x0E, labels, pixels_of(pattern_image(48, 1, 1))))},
      {"u8.npy", npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 4, 5), }", u8)},
      {"f4.npy", npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }", u8, 2)},
      {"i2.npy", npy_file("{'descr': '>i2', 'fortran_order': False, 'shape': (30,), }", u8, 3)},
      {"b1.npy", npy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 1), }",
                          Bytes{std::byte{0}, std::byte{1}})},
  };
}

}  // namespace prs::test
