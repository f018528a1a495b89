// NPY, NumPy's file of one array, versions 1.0 to 3.0:
//
//   0  "\x93NUMPY", major u8, minor u8, header length (u16 in 1.0, u32 later, little-endian)
//   .. the header: {'descr': '<f4', 'fortran_order': False, 'shape': (60000, 28, 28), }
//   .. elements, row-major
//
// The header is a Python literal; exactly these three keys, in any order, are taken.
#include <optional>
#include <string>

#include "image/bytes.hpp"
#include "image/records.hpp"

namespace prs::image {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::int64_t kMostHeaderBytes = 1 << 16;

class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view name) : rest_(text), name_(name) {}

  void parse(RecordHeader& header) {
    std::optional<std::string_view> descr;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !descr) {
        if (peek() == '[') fail_argument("{}: NPY with a structured element type", name_);
        descr = string();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        refuse("an unknown or repeated key");
      }
      if (!accept(',') && peek() != '}') refuse("expected , or }");
    }
    if (peek() != '\0' || !rest_.empty()) refuse("text after the header's }");
    if (!descr || !fortran_order || !shape) refuse("descr, fortran_order or shape is missing");
    if (*fortran_order) {
      fail_argument("{}: the array is in Fortran order; save np.ascontiguousarray(array) instead",
                    name_);
    }
    header.shape = *shape;
    set_element_type(*descr, header);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail_argument("{}: corrupt NPY header ({})", name_, what);
  }

  /// The next character after white space; '\0' at the end.
  char peek() {
    const std::size_t start = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(start == std::string_view::npos ? rest_.size() : start);
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool accept(char c) {
    if (rest_.empty() || peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) refuse(std::string("expected ") + c);
  }
  std::string_view string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') refuse("expected a string");
    const std::size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) refuse("a string without an end");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool boolean() {
    peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    refuse("expected True or False");
  }
  std::int64_t number() {
    constexpr std::int64_t kMost = std::int64_t{1} << 60;
    if (peek() < '0' || peek() > '9') refuse("expected an extent");
    std::int64_t value = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; rest_.remove_prefix(1)) {
      if (value > kMost / 10) refuse("an extent above 2^60");
      value = value * 10 + (rest_.front() - '0');
    }
    return value;
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      if (shape.rank() == Shape::kMaxRank) {
        fail_argument("{}: more than {} dimensions", name_, Shape::kMaxRank);
      }
      shape.push_back(number());
      if (!accept(',') && peek() != ')') refuse("expected , or )");
    }
    if (shape.rank() == 0) fail_argument("{}: a scalar; expected an array of records", name_);
    return shape;
  }

  void set_element_type(std::string_view descr, RecordHeader& header) const {
    struct Type {
      std::string_view code;
      DType dtype;
    };
    constexpr Type kTypes[] = {{"u1", DType::kUint8},   {"i1", DType::kInt8},
                               {"b1", DType::kBool},    {"i2", DType::kInt16},
                               {"i4", DType::kInt32},   {"i8", DType::kInt64},
                               {"f4", DType::kFloat32}, {"f8", DType::kFloat64}};
    const bool ordered = !descr.empty() && std::string_view("<>|=").find(descr[0]) != descr.npos;
    for (const Type& type : kTypes) {
      if (!ordered || descr.substr(1) != type.code) continue;
      if (descr[0] == '|' && dtype_size(type.dtype) != 1) break;
      header.dtype = type.dtype;
      header.big_endian = descr[0] == '>';
      return;
    }
    fail_argument(
        "{}: NPY elements of type \"{}\"; expected u1, i1, b1, i2, i4, i8, f4 or f8 (use "
        "array.astype)",
        name_, descr);
  }

  std::string_view rest_;
  std::string_view name_;
};

}  // namespace

bool is_npy(std::span<const std::byte> bytes) noexcept { return starts_with(bytes, kMagic); }

RecordHeader parse_npy_header(std::span<const std::byte> bytes, std::string_view name) {
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (size < 12) fail_argument("{}: truncated NPY header", name);
  const int major = std::to_integer<int>(bytes[6]);
  const int minor = std::to_integer<int>(bytes[7]);
  if (major < 1 || major > 3 || minor != 0) {
    fail_argument("{}: NPY version {}.{}; expected 1.0, 2.0 or 3.0", name, major, minor);
  }
  const std::int64_t text_offset = major == 1 ? 10 : 12;
  const std::int64_t text_bytes = major == 1 ? load_little<std::uint16_t>(bytes.data() + 8)
                                             : load_little<std::uint32_t>(bytes.data() + 8);
  if (text_bytes > kMostHeaderBytes) {
    fail_argument("{}: corrupt NPY (a header of {} bytes)", name, text_bytes);
  }
  if (text_offset + text_bytes > size) fail_argument("{}: truncated NPY header", name);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + text_offset,
                              static_cast<std::size_t>(text_bytes));
  RecordHeader header;
  HeaderParser(text, name).parse(header);
  header.data_offset = text_offset + text_bytes;
  return header;
}

}  // namespace prs::image
