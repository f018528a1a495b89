#include "dataset/byte_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include <prs/error.hpp>

#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

using Encoding = TableFormat::Encoding;

constexpr std::size_t kChunkBytes = std::size_t{64} << 10;

void append_utf8(std::uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// Windows-1252 where it differs from Latin-1: 0x80 to 0x9F (WHATWG's table: no byte is undefined).
constexpr std::array<std::uint16_t, 32> kWindows1252 = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

/// A stream of zlib's that ends itself, also when what holds it is not finished being made.
struct InflateStream {
  InflateStream() = default;
  ~InflateStream() {
    if (begun) ::inflateEnd(&z);
  }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  /// Begins anew, for gzip data.
  void begin() {
    if (begun) ::inflateEnd(&z);
    begun = false;
    z = {};
    if (::inflateInit2(&z, 15 + 16) != Z_OK) throw std::bad_alloc();
    begun = true;
  }

  z_stream z{};
  bool begun = false;
};

}  // namespace

std::string to_utf8(std::string_view text, Encoding encoding) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    std::uint32_t code = static_cast<unsigned char>(c);
    if (encoding == Encoding::kWindows1252 && code >= 0x80 && code < 0xA0) {
      code = kWindows1252[code - 0x80];
    }
    append_utf8(code, out);
  }
  return out;
}

/// The file's own bytes one after the other, unpacked; and from them UTF-8.
struct ByteSource::State {
  State(const std::filesystem::path& the_path, Encoding wanted) : path(the_path), encoding(wanted) {
    // O_NONBLOCK: opening a FIFO without a writer would wait for one, whatever is asked to stop.
    file = output::open_file(path, O_RDONLY | O_NONBLOCK);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) output::fail_io(path, "inspect the file", errno);
    if (!S_ISREG(status.st_mode)) {
      throw Error(ErrorCode::kIo, fmt::format("{}: not a regular file", path.string()));
    }
    std::array<char, 3> head{};
    const std::size_t held = read_file(0, head.data(), head.size());
    is_gzip = held >= 2 && head[0] == '\x1f' && head[1] == '\x8b';
    if (is_gzip) start_inflate();
    std::array<char, 3> mark{};
    const std::string_view text(mark.data(), read_unpacked(mark.data(), mark.size()));
    rewind();
    if (text.starts_with("\xEF\xBB\xBF")) {
      encoding = Encoding::kUtf8;
      begin = 3;
    } else if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
      is_big_endian = text[0] == '\xFE';
      is_utf16 = true;
    } else {
      is_utf16 = wanted == Encoding::kUtf16;
    }
    if (is_utf16) encoding = Encoding::kUtf8;
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", path.string(), what));
  }

  std::size_t read_file(std::int64_t offset, char* destination, std::size_t size) const {
    std::size_t held = 0;
    while (held < size) {
      const ssize_t got = ::pread(file.get(), destination + held, size - held,
                                  offset + static_cast<std::int64_t>(held));
      if (got == 0) break;
      if (got > 0) {
        held += static_cast<std::size_t>(got);
      } else if (errno != EINTR) {
        output::fail_io(path, "read", errno);
      }
    }
    return held;
  }

  void start_inflate() {
    inflate.begin();
    packed.resize(kChunkBytes);
    in_member = false;
  }

  void rewind() {
    file_position = 0;
    decoded_position = 0;
    decoded.clear();
    decoded_taken = 0;
    at_text_start = true;
    if (is_gzip) start_inflate();
  }

  /// The next bytes, unpacked; fewer only at the end.
  std::size_t read_unpacked(char* destination, std::size_t size) {
    if (!is_gzip) {
      const std::size_t held = read_file(file_position, destination, size);
      file_position += static_cast<std::int64_t>(held);
      return held;
    }
    std::size_t held = 0;
    while (held < size) {
      if (zlib.avail_in == 0) {
        const std::size_t got = read_file(file_position, packed.data(), packed.size());
        if (got == 0) {
          if (in_member) fail("the gzip data ends too early; the file is not whole");
          break;
        }
        file_position += static_cast<std::int64_t>(got);
        zlib.next_in = reinterpret_cast<Bytef*>(packed.data());
        zlib.avail_in = static_cast<uInt>(got);
      }
      in_member = true;
      const std::size_t room = std::min<std::size_t>(size - held, std::size_t{1} << 30);
      zlib.next_out = reinterpret_cast<Bytef*>(destination + held);
      zlib.avail_out = static_cast<uInt>(room);
      const int code = ::inflate(&zlib, Z_NO_FLUSH);
      held += room - zlib.avail_out;
      if (code == Z_STREAM_END) {
        // Another member may follow, as `cat a.gz b.gz` makes them.
        in_member = false;
        if (::inflateReset(&zlib) != Z_OK) fail("the gzip data is damaged");
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        fail(fmt::format("the gzip data is damaged ({})", zlib.msg == nullptr ? "" : zlib.msg));
      }
    }
    return held;
  }

  /// Makes `decoded` the next UTF-8 from UTF-16; false at the end.
  bool decode_more() {
    std::array<char, kChunkBytes + 2> raw;
    std::size_t held = read_unpacked(raw.data(), kChunkBytes);
    const auto unit = [&](std::size_t at) {
      const auto low = static_cast<unsigned char>(raw[at + (is_big_endian ? 1 : 0)]);
      const auto high = static_cast<unsigned char>(raw[at + (is_big_endian ? 0 : 1)]);
      return static_cast<std::uint32_t>(high << 8 | low);
    };
    const auto is_high = [](std::uint32_t code) { return code >= 0xD800 && code < 0xDC00; };
    if (held % 2 != 0) fail("UTF-16 with an odd number of bytes");
    if (held == kChunkBytes && is_high(unit(held - 2))) {
      held += read_unpacked(raw.data() + held, 2);  // The pair's other half.
    }
    decoded.clear();
    decoded_taken = 0;
    for (std::size_t at = 0; at < held; at += 2) {
      std::uint32_t code = unit(at);
      if (at_text_start && code == 0xFEFF) {
        at_text_start = false;
        continue;
      }
      at_text_start = false;
      if (is_high(code) && at + 2 < held && unit(at + 2) >= 0xDC00 && unit(at + 2) < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (unit(at + 2) - 0xDC00);
        at += 2;
      } else if (code >= 0xD800 && code < 0xE000) {
        fail("half of a UTF-16 surrogate pair");
      }
      append_utf8(code, decoded);
    }
    return held > 0;
  }

  /// The next bytes of the text; fewer only at the end.
  std::size_t read_text(char* destination, std::size_t size) {
    std::size_t held = 0;
    if (!is_utf16) {
      held = read_unpacked(destination, size);
    } else {
      while (held < size) {
        if (decoded_taken == decoded.size() && !decode_more()) break;
        const std::size_t part = std::min(size - held, decoded.size() - decoded_taken);
        if (part > 0) std::memcpy(destination + held, decoded.data() + decoded_taken, part);
        decoded_taken += part;
        held += part;
      }
    }
    decoded_position += static_cast<std::int64_t>(held);
    return held;
  }

  std::filesystem::path path;
  output::Descriptor file;
  Encoding encoding;
  std::int64_t begin = 0;
  bool is_gzip = false;
  bool is_utf16 = false;
  bool is_big_endian = false;

  std::int64_t file_position = 0;
  InflateStream inflate;
  z_stream& zlib = inflate.z;
  bool in_member = false;  ///< Within a member of the gzip file, so that an end is too early.
  std::vector<char> packed;

  std::int64_t decoded_position = 0;  ///< Of the text that read_text() gives out next.
  std::string decoded;                ///< From UTF-16, of which
  std::size_t decoded_taken = 0;      ///< so much was given out.
  bool at_text_start = true;
};

ByteSource::ByteSource(const std::filesystem::path& path, Encoding encoding)
    : state_(std::make_unique<State>(path, encoding)) {}

ByteSource::~ByteSource() = default;

Encoding ByteSource::encoding() const { return state_->encoding; }

std::int64_t ByteSource::begin() const { return state_->begin; }

std::int64_t ByteSource::read(std::int64_t offset, char* destination, std::int64_t size_bytes) {
  State& state = *state_;
  const auto size = static_cast<std::size_t>(size_bytes);
  if (!state.is_gzip && !state.is_utf16) {
    return static_cast<std::int64_t>(state.read_file(offset, destination, size));
  }
  if (offset < state.decoded_position) state.rewind();
  std::vector<char> skipped;
  while (state.decoded_position < offset) {
    skipped.resize(kChunkBytes);
    const auto part =
        std::min<std::int64_t>(offset - state.decoded_position, std::int64_t{kChunkBytes});
    if (state.read_text(skipped.data(), static_cast<std::size_t>(part)) == 0) return 0;
  }
  return static_cast<std::int64_t>(state.read_text(destination, size));
}

}  // namespace prs::dataset
