#include "dataset/number_text.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <system_error>

namespace prs::dataset {
namespace {

static_assert(std::endian::native == std::endian::little, "Digits lies as the text does");

constexpr std::uint64_t kZeros = 0x3030303030303030;

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// At most eight characters in a register, the last one in the highest byte, '0' before the first.
class Digits {
 public:
  explicit Digits(std::string_view text) {
    const std::size_t size = text.size();
    if (size == 0) return;
    const std::size_t shift = 8 * (8 - size);
    const char* const first = text.data();
    // Loads that overlap: nothing outside of the text is touched.
    if (size >= 4) {
      bytes_ = load4(first) << shift | load4(first + size - 4) << 32;
    } else {
      bytes_ = load1(first) << shift | load1(first + size / 2) << (shift + 8 * (size / 2)) |
               load1(first + size - 1) << 56;
    }
    if (size < 8) bytes_ |= kZeros >> (8 * size);
  }

  /// Takes the first '.' out, if there is one: gives how many characters stand behind it, or -1.
  int remove_point() {
    const std::uint64_t points = bytes_ ^ 0x2E2E2E2E2E2E2E2E;
    const std::uint64_t found = (points - 0x0101010101010101) & ~points & 0x8080808080808080;
    if (found == 0) return -1;
    const int at = std::countr_zero(found) / 8;
    const std::uint64_t before = bytes_ & ((std::uint64_t{1} << (8 * at)) - 1);
    const std::uint64_t behind = at == 7 ? 0 : bytes_ >> (8 * (at + 1)) << (8 * (at + 1));
    bytes_ = behind | before << 8 | '0';
    return 7 - at;
  }

  bool are_digits() const {
    const std::uint64_t high = 0xF0F0F0F0F0F0F0F0;
    return ((bytes_ & high) | ((bytes_ + 0x0606060606060606) & high) >> 4) == 0x3333333333333333;
  }

  /// Of eight digits: neighbours are added up, then pairs, then fours.
  std::uint64_t value() const {
    std::uint64_t sums = (bytes_ & 0x0F0F0F0F0F0F0F0F) * (10 * 0x100 + 1) >> 8;
    sums = (sums & 0x00FF00FF00FF00FF) * (100 * 0x10000 + 1) >> 16;
    return (sums & 0x0000FFFF0000FFFF) * (10000 * 0x100000000 + 1) >> 32;
  }

 private:
  static std::uint64_t load4(const char* text) {
    std::uint32_t bytes = 0;
    std::memcpy(&bytes, text, sizeof bytes);
    return bytes;
  }
  static std::uint64_t load1(const char* text) { return static_cast<unsigned char>(*text); }

  std::uint64_t bytes_ = kZeros;
};

constexpr double kPowersOfTen[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
constexpr std::uint64_t kEightDigits = 100'000'000;

/// "-12.345" and the like: the digits fit a double and 10^decimals is exact, so one division rounds
/// correctly (Clinger 1990). False for everything else.
bool parse_short_decimal(std::string_view text, double& value) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 16) return false;
  const std::size_t high_size = text.size() - std::min<std::size_t>(text.size(), 8);
  Digits low(text.substr(high_size));
  int decimals = low.remove_point();
  if (!low.are_digits()) return false;
  std::uint64_t digits = low.value();
  if (high_size > 0) {
    Digits high(text.substr(0, high_size));
    // With the point in `low` only seven of its characters are digits.
    const std::uint64_t scale = decimals >= 0 ? kEightDigits / 10 : kEightDigits;
    if (decimals < 0 && (decimals = high.remove_point()) >= 0) decimals += 8;
    if (!high.are_digits()) return false;
    digits += high.value() * scale;
  }
  if (decimals >= 0 && text.size() == 1) return false;
  const double number = static_cast<double>(digits) / kPowersOfTen[std::max(decimals, 0)];
  value = negative ? -number : number;
  return digits < (std::uint64_t{1} << 53);
}

/// "-12345" and the like, up to 16 digits. False for everything else.
bool parse_short_integer(std::string_view text, std::int64_t& value) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 16) return false;
  const std::size_t high_size = text.size() - std::min<std::size_t>(text.size(), 8);
  const Digits low(text.substr(high_size));
  if (!low.are_digits()) return false;
  auto magnitude = static_cast<std::int64_t>(low.value());
  if (high_size > 0) {
    const Digits high(text.substr(0, high_size));
    if (!high.are_digits()) return false;
    magnitude += static_cast<std::int64_t>(high.value() * kEightDigits);
  }
  value = negative ? -magnitude : magnitude;
  return true;
}

bool parse_infinity(std::string_view text, double& value) {
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  if (text.size() != 3 && text.size() != 8) return false;
  constexpr std::string_view kWord = "infinity";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] | 0x20) != kWord[i]) return false;
  }
  value =
      negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  return true;
}

}  // namespace

Integer parse_integer(std::string_view text, std::int64_t& value) {
  if (parse_short_integer(text, value)) return Integer::kValue;
  text = trimmed(text);
  const bool negative = !text.empty() && text.front() == '-';
  const bool positive = !text.empty() && text.front() == '+';
  if (negative || positive) text.remove_prefix(1);
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return Integer::kNone;
  std::uint64_t magnitude = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), magnitude);
  const std::uint64_t limit = (std::uint64_t{1} << 63) - (negative ? 0 : 1);
  if (result.ec != std::errc() || magnitude > limit) return Integer::kTooLarge;
  value = static_cast<std::int64_t>(negative ? ~magnitude + 1 : magnitude);
  return Integer::kValue;
}

bool parse_number(std::string_view text, double& value) {
  if (parse_short_decimal(text, value)) return true;
  text = trimmed(text);
  if (text.empty()) return false;
  if (parse_short_decimal(text, value)) return true;
  if (parse_infinity(text, value)) return true;
  std::string_view digits = text;
  if (digits.front() == '+') {
    digits.remove_prefix(1);
    if (digits.empty() || digits.front() == '-') return false;
  }
  // from_chars also reads words such as nan(1).
  const char first = digits.front() == '-' && digits.size() > 1 ? digits[1] : digits.front();
  if (!is_digit(first) && first != '.') return false;
  const char* const end = digits.data() + digits.size();
  const auto [last, error] = std::from_chars(digits.data(), end, value);
  if (last != end) return false;
  if (error == std::errc::result_out_of_range) {
    // As strtod: infinity, or what is left of a tiny number. (A copy: it wants a NUL.)
    value = std::strtod(std::string(digits).c_str(), nullptr);
    return true;
  }
  return error == std::errc();
}

}  // namespace prs::dataset
