#include "config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

#include "config/refusal.hpp"

namespace prs::config {
namespace {

/// Insertions, deletions, replacements and exchanges of neighbours that make b of a.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row(b.size() + 1, i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last = std::move(last);
    last = std::move(row);
  }
  return last[b.size()];
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMaxBytes = 200;
  std::size_t length = std::min(text.size(), kMaxBytes);
  // Not in the middle of a UTF-8 sequence.
  while (length < text.size() && length > 0 &&
         (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) {
    --length;
  }
  std::string result = "'";
  for (const char c : text.substr(0, length)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  if (length < text.size()) result += "...";
  return result + "'";
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  // Two edits, or a third of a long word: more is another word, not a slip.
  std::size_t limit = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::string best;
  for (const std::string& candidate : candidates) {
    // The distance is at least the difference in length; long words need no further look.
    const std::size_t longer = std::max(word.size(), candidate.size());
    if (longer - std::min(word.size(), candidate.size()) >= limit) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < limit) {
      limit = distance;
      best = candidate;
    }
  }
  return best;
}

std::vector<std::string> split_command_line(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const std::size_t reference_end =
        text.substr(i).starts_with("${{") ? text.find("}}", i) : std::string_view::npos;
    if (reference_end != std::string_view::npos) {
      word += text.substr(i, reference_end + 2 - i);
      i = reference_end + 1;
      in_word = true;
    } else if (quote != '\0') {
      const bool escapes = quote == '"' && c == '\\' && i + 1 < text.size() &&
                           std::string_view("\"\\$`").find(text[i + 1]) != std::string_view::npos;
      if (c == quote) {
        quote = '\0';
      } else {
        word += escapes ? text[++i] : c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (is_blank(c)) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c == '\\' && i + 1 < text.size() ? text[++i] : c;
      in_word = true;
    }
  }
  if (quote != '\0')
    refuse(fmt::format("a quote ({}) is never closed in {}", quote, in_quotes(text)));
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace prs::config
