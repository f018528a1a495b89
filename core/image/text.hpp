// File names and flags are compared without regard to ASCII case, whatever the locale.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace prs::image {

inline std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

}  // namespace prs::image
