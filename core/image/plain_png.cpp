#include "image/plain_png.hpp"

#include <libdeflate.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "check.hpp"
#include "image/bytes.hpp"

namespace prs::image {
namespace {

constexpr std::size_t kSignatureBytes = 8;
constexpr std::size_t kChunkOverhead = 12;
constexpr std::size_t kHeaderBytes = 13;
/// libpng refuses texts and profiles beyond a limit of its own: far below it, it skips them.
constexpr std::size_t kMostSkippedBytes = std::size_t{1} << 16;
/// libpng refuses larger chunks of pixels when the image does not account for them.
constexpr std::size_t kMostDataBytes = 8'000'000;
constexpr std::size_t kMostExtent = std::size_t{1} << 24;

struct Chunk {
  std::string_view type;
  std::span<const std::byte> data;
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Takes a whole chunk with a right checksum off `rest`.
std::optional<Chunk> take_chunk(std::span<const std::byte>& rest) {
  if (rest.size() < kChunkOverhead) return std::nullopt;
  const std::size_t length = load_big<std::uint32_t>(rest.data());
  if (length > rest.size() - kChunkOverhead) return std::nullopt;
  const std::byte* const type = rest.data() + 4;
  const std::uint32_t crc = libdeflate_crc32(0, type, 4 + length);
  if (crc != load_big<std::uint32_t>(type + 4 + length)) return std::nullopt;
  const Chunk chunk{{reinterpret_cast<const char*>(type), 4}, rest.subspan(8, length)};
  rest = rest.subspan(kChunkOverhead + length);
  return chunk;
}

/// Chunks that say nothing about 8-bit samples as they are stored. Transparency of a colour is the
/// one optional chunk that libpng might reject.
bool is_skipped(const Chunk& chunk) {
  const bool optional = chunk.type[0] >= 'a' && chunk.type[0] <= 'z';
  return optional && std::all_of(chunk.type.begin(), chunk.type.end(), is_letter) &&
         chunk.type != "tRNS" && chunk.data.size() <= kMostSkippedBytes;
}

std::optional<PlainPng> parse_header(const Chunk& chunk) {
  if (chunk.type != "IHDR" || chunk.data.size() != kHeaderBytes) return std::nullopt;
  const std::size_t width = load_big<std::uint32_t>(chunk.data.data());
  const std::size_t height = load_big<std::uint32_t>(chunk.data.data() + 4);
  const auto field = [&](std::size_t i) { return std::to_integer<int>(chunk.data[8 + i]); };
  const bool usual = field(0) == 8 && field(2) == 0 && field(3) == 0 && field(4) == 0;
  if (!usual || width < 1 || height < 1 || width > kMostExtent || height > kMostExtent) {
    return std::nullopt;
  }
  PlainPng png{static_cast<std::int64_t>(width), static_cast<std::int64_t>(height), 0, 0};
  switch (field(1)) {
    case 0:
      png.samples = png.channels = 1;
      return png;
    case 2:
      png.samples = png.channels = 3;
      return png;
    case 4:
      png.samples = 2;
      png.channels = 1;
      return png;
    case 6:
      png.samples = 4;
      png.channels = 3;
      return png;
    default:
      return std::nullopt;
  }
}

std::uint8_t paeth(int left, int above, int above_left) {
  const int toward_left = std::abs(above - above_left);
  const int toward_above = std::abs(left - above_left);
  const int toward_both = std::abs(left + above - 2 * above_left);
  if (toward_left <= toward_above && toward_left <= toward_both) {
    return static_cast<std::uint8_t>(left);
  }
  return static_cast<std::uint8_t>(toward_above <= toward_both ? above : above_left);
}

/// Undoes a row's filter. `out` may lie before `row` in the same buffer; `above` is the row before,
/// as it was given out. A sample's left neighbour is kSamples before; outside the image all are 0.
template <std::size_t kSamples>
bool unfilter_row(int filter, const std::uint8_t* row, const std::uint8_t* above, std::size_t size,
                  std::uint8_t* out) {
  const auto add = [](int a, int b) { return static_cast<std::uint8_t>(a + b); };
  switch (filter) {
    case 0:
      std::memmove(out, row, size);
      return true;
    case 1:
      for (std::size_t i = 0; i < kSamples; ++i) out[i] = row[i];
      for (std::size_t i = kSamples; i < size; ++i) out[i] = add(row[i], out[i - kSamples]);
      return true;
    case 2:
      for (std::size_t i = 0; i < size; ++i) out[i] = add(row[i], above[i]);
      return true;
    case 3:
      for (std::size_t i = 0; i < kSamples; ++i) out[i] = add(row[i], above[i] / 2);
      for (std::size_t i = kSamples; i < size; ++i) {
        out[i] = add(row[i], (out[i - kSamples] + above[i]) / 2);
      }
      return true;
    case 4:
      for (std::size_t i = 0; i < kSamples; ++i) out[i] = add(row[i], above[i]);
      for (std::size_t i = kSamples; i < size; ++i) {
        out[i] = add(row[i], paeth(out[i - kSamples], above[i], above[i - kSamples]));
      }
      return true;
    default:
      return false;
  }
}

/// Undoes the filters of all rows, [height, 1 + row_bytes], into [height, row_bytes].
template <std::size_t kSamples>
bool unfilter(const std::uint8_t* rows, std::size_t row_bytes, std::size_t height,
              std::vector<std::uint8_t>& zeros, std::uint8_t* out) {
  zeros.assign(row_bytes, 0);
  const std::uint8_t* above = zeros.data();
  for (std::size_t y = 0; y < height; ++y) {
    if (!unfilter_row<kSamples>(rows[0], rows + 1, above, row_bytes, out)) return false;
    above = out;
    out += row_bytes;
    rows += 1 + row_bytes;
  }
  return true;
}

}  // namespace

void PlainPngDecoder::Free::operator()(libdeflate_decompressor* decompressor) const {
  libdeflate_free_decompressor(decompressor);
}

PlainPngDecoder::PlainPngDecoder() : decompressor_(libdeflate_alloc_decompressor()) {
  if (decompressor_ == nullptr) fail(ErrorCode::kOutOfMemory, "cannot allocate a PNG reader");
}

std::optional<PlainPng> PlainPngDecoder::open(std::span<const std::byte> bytes) {
  constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", kSignatureBytes);
  if (!starts_with(bytes, kSignature)) return std::nullopt;
  std::span<const std::byte> rest = bytes.subspan(kSignatureBytes);
  const std::optional<Chunk> first = take_chunk(rest);
  if (!first) return std::nullopt;
  const std::optional<PlainPng> png = parse_header(*first);
  if (!png) return std::nullopt;
  stream_ = {};
  bool stream_ended = false;
  while (const std::optional<Chunk> chunk = take_chunk(rest)) {
    if (chunk->type == "IEND") {
      if (!chunk->data.empty() || stream_.empty()) return std::nullopt;
      png_ = *png;
      return png;
    }
    if (chunk->type != "IDAT") {
      if (!is_skipped(*chunk)) return std::nullopt;
      stream_ended = !stream_.empty();
    } else if (stream_ended || chunk->data.empty() || chunk->data.size() > kMostDataBytes) {
      return std::nullopt;
    } else if (stream_.empty()) {
      stream_ = chunk->data;
    } else {
      if (stream_.data() != joined_.data()) joined_.assign(stream_.begin(), stream_.end());
      joined_.insert(joined_.end(), chunk->data.begin(), chunk->data.end());
      stream_ = joined_;
    }
  }
  return std::nullopt;
}

bool PlainPngDecoder::inflate(std::size_t size) {
  // Deflate shrinks at most 1032-fold: a header that promises more is not worth the memory.
  if (stream_.size() < 2 || size / 1032 > stream_.size()) return false;
  // zlib holds a stream to the window that it declares, libdeflate does not.
  const std::size_t window = std::size_t{256} << (std::to_integer<unsigned>(stream_[0]) >> 4 & 15);
  if (window < std::min<std::size_t>(size, 32768)) return false;
  if (rows_.size() < size) rows_.resize(size);
  std::size_t consumed = 0;
  // Without a place for the size that was written, any other than `size` is an error.
  return libdeflate_zlib_decompress_ex(decompressor_.get(), stream_.data(), stream_.size(),
                                       rows_.data(), size, &consumed,
                                       nullptr) == LIBDEFLATE_SUCCESS &&
         consumed == stream_.size();
}

bool PlainPngDecoder::decode(std::uint8_t* destination) {
  const auto width = static_cast<std::size_t>(png_.width);
  const auto height = static_cast<std::size_t>(png_.height);
  const std::size_t row_bytes = width * static_cast<std::size_t>(png_.samples);
  if (!inflate((row_bytes + 1) * height)) return false;
  if (png_.samples == 1) return unfilter<1>(rows_.data(), row_bytes, height, above_, destination);
  if (png_.samples == 3) return unfilter<3>(rows_.data(), row_bytes, height, above_, destination);
  // With alpha the samples are put back in place of the rows, which they follow by a byte a row.
  std::uint8_t* const samples = rows_.data();
  const bool whole = png_.samples == 2 ? unfilter<2>(samples, row_bytes, height, above_, samples)
                                       : unfilter<4>(samples, row_bytes, height, above_, samples);
  if (!whole) return false;
  const auto channels = static_cast<std::size_t>(png_.channels);
  for (std::size_t i = 0; i < width * height; ++i) {
    for (std::size_t c = 0; c < channels; ++c) {
      destination[i * channels + c] = samples[i * (channels + 1) + c];
    }
  }
  return true;
}

}  // namespace prs::image
