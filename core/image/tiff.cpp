// TIFF through libtiff, first image of the file, any compression and sample layout that libtiff
// turns into RGBA.
//
// The handlers are per file (libtiff 4.5), so nothing is printed and no global one is replaced.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "image/codec.hpp"

namespace prs::image {
namespace {

/// A TIFF in memory; libtiff's client, which holds its address.
struct TiffFile {
  std::span<const std::byte> bytes;
  std::uint64_t position = 0;
  char message[256] = "unreadable";
  bool reported = false;  ///< Whether libtiff has reported an error, or a warning while decoding.
  bool decoding = false;
};

TiffFile& file_of(void* client) { return *static_cast<TiffFile*>(client); }

void keep_message(TiffFile& file, const char* format, std::va_list arguments) {
  if (file.reported) return;  // The first one names the cause.
  std::vsnprintf(file.message, sizeof(file.message), format, arguments);
  file.reported = true;
}

// Both return "handled", which keeps libtiff from calling the global handlers, which print.
int on_error(TIFF*, void* client, const char*, const char* format, std::va_list arguments) {
  keep_message(file_of(client), format, arguments);
  return 1;
}
int on_warning(TIFF*, void* client, const char*, const char* format, std::va_list arguments) {
  // Unknown tags are harmless; what a codec warns of (a premature end, say) costs pixels.
  if (file_of(client).decoding) keep_message(file_of(client), format, arguments);
  return 1;
}

tmsize_t on_read(thandle_t client, void* destination, tmsize_t size) {
  TiffFile& file = file_of(client);
  const std::uint64_t left =
      file.bytes.size() - std::min<std::uint64_t>(file.position, file.bytes.size());
  const std::uint64_t count = std::min<std::uint64_t>(left, static_cast<std::uint64_t>(size));
  if (count > 0) std::memcpy(destination, file.bytes.data() + file.position, count);
  file.position += count;
  return static_cast<tmsize_t>(count);
}
tmsize_t on_write(thandle_t, void*, tmsize_t) { return 0; }
toff_t on_seek(thandle_t client, toff_t offset, int whence) {
  TiffFile& file = file_of(client);
  if (whence == SEEK_CUR) offset += file.position;
  if (whence == SEEK_END) offset += file.bytes.size();
  file.position = offset;
  return offset;
}
int on_close(thandle_t) { return 0; }
toff_t on_size(thandle_t client) { return file_of(client).bytes.size(); }
int on_map(thandle_t client, void** base, toff_t* size) {
  // libtiff reads through the mapping only; its signature predates const.
  *base = const_cast<std::byte*>(file_of(client).bytes.data());
  *size = file_of(client).bytes.size();
  return 1;
}
void on_unmap(thandle_t, void*, toff_t) {}

struct CloseTiff {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
struct FreeOptions {
  void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
};
using Tiff = std::unique_ptr<TIFF, CloseTiff>;

Tiff open_tiff(TiffFile& file, std::int64_t max_pixels) {
  const std::unique_ptr<TIFFOpenOptions, FreeOptions> options(TIFFOpenOptionsAlloc());
  if (options == nullptr) fail(ErrorCode::kOutOfMemory, "cannot allocate a TIFF reader");
  // Strips and tiles of 16-bit RGBA for the largest image, and some room for tables.
  constexpr std::int64_t kTables = 16 << 20;
  constexpr std::int64_t kMostPixels = (std::numeric_limits<tmsize_t>::max() - kTables) / 8;
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(),
                                      std::min(max_pixels, kMostPixels) * 8 + kTables);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &file);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &file);
  return Tiff(TIFFClientOpenExt("", "r", &file, on_read, on_write, on_seek, on_close, on_size,
                                on_map, on_unmap, options.get()));
}

}  // namespace

Image decode_tiff(const Source& source) {
  TiffFile file{.bytes = source.bytes};
  const Tiff tiff = open_tiff(file, source.max_pixels);
  const auto refuse_tiff = [&] {
    refuse(source, "truncated, corrupt or unsupported TIFF ({})", file.message);
  };
  if (tiff == nullptr) refuse_tiff();
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height);
  check_extents(source, width, height);
  char why_not[1024] = "";
  if (TIFFRGBAImageOK(tiff.get(), why_not) == 0) {
    refuse(source, "unsupported TIFF ({})", why_not);
  }

  // Pixels come as they are stored: the orientation tag is ignored as in the other formats.
  TIFFSetField(tiff.get(), TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  std::vector<std::uint32_t> rgba(static_cast<std::size_t>(width) * height);
  file.decoding = true;
  const int complete = TIFFReadRGBAImageOriented(tiff.get(), width, height, rgba.data(),
                                                 ORIENTATION_TOPLEFT, /*stopOnError=*/1);
  if (complete == 0 || file.reported) refuse_tiff();

  Image image = make_image(width, height, 3);
  std::uint8_t* to = image.pixels.data();
  for (const std::uint32_t pixel : rgba) {
    *to++ = static_cast<std::uint8_t>(TIFFGetR(pixel));
    *to++ = static_cast<std::uint8_t>(TIFFGetG(pixel));
    *to++ = static_cast<std::uint8_t>(TIFFGetB(pixel));
  }
  return image;
}

}  // namespace prs::image
