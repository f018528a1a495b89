#include "dataset/partition_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include <prs/error.hpp>

#include "dataset/refusal.hpp"

namespace prs::dataset {
namespace {}  // namespace

PartitionFormat::PartitionFormat(const std::string& format) : format_(format) {
  const auto fail = [&format](std::string_view what) {
    fail_argument(fmt::format(
        "partition_format: '{}': {}; expected one such as 'root/{{user}}/{{season}}.csv'", format,
        what));
  };
  std::string_view rest = format_;
  while (rest.starts_with('/')) rest.remove_prefix(1);
  components_ = 1 + static_cast<std::size_t>(std::count(rest.begin(), rest.end(), '/'));
  for (;;) {
    const std::size_t open = rest.find('{');
    literals_.emplace_back(rest.substr(0, open));
    if (literals_.back().find('}') != std::string::npos) fail("a '}' without its '{'");
    if (open == std::string_view::npos) break;
    if (!names_.empty() && literals_.back().empty()) {
      fail("two names touch: where one ends cannot be told");
    }
    const std::size_t close = rest.find('}', open);
    if (close == std::string_view::npos) fail("a '{' without its '}'");
    const std::string name(rest.substr(open + 1, close - open - 1));
    if (name.empty() || name.find_first_of("{/") != std::string::npos) fail("a name is empty");
    if (name.find(':') != std::string::npos) {
      fail("dates ({name:yyyy/MM/dd}) are not supported; write {year}/{month}/{day}");
    }
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
      fail(fmt::format("the name '{}' stands in it twice", name));
    }
    names_.push_back(name);
    rest.remove_prefix(close + 1);
  }
  if (names_.empty()) fail("it has no name in braces");
}

std::vector<std::string> PartitionFormat::values(const std::filesystem::path& path) const {
  const auto fail = [&] {
    fail_argument(fmt::format("{}: its path does not have the partition_format '{}'", path.string(),
                              format_));
  };
  const std::string_view whole = path.native();
  std::size_t begin = whole.size();
  for (std::size_t i = 0; i < components_; ++i) {
    const std::size_t slash = begin == 0 ? std::string_view::npos : whole.rfind('/', begin - 1);
    if (slash == std::string_view::npos) {
      if (i + 1 < components_) fail();
      begin = 0;
      break;
    }
    begin = i + 1 < components_ ? slash : slash + 1;
  }
  std::string_view rest = whole.substr(begin);
  if (!rest.starts_with(literals_.front())) fail();
  rest.remove_prefix(literals_.front().size());
  std::vector<std::string> values;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const std::string& behind = literals_[i + 1];
    const bool is_last = i + 1 == names_.size();
    const bool ends = is_last && rest.ends_with(behind);
    const std::size_t end =
        is_last ? (ends ? rest.size() - behind.size() : std::string_view::npos) : rest.find(behind);
    if (end == std::string_view::npos || end == 0) fail();
    const std::string_view value = rest.substr(0, end);
    if (value.find('/') != std::string_view::npos) fail();
    values.emplace_back(value);
    rest.remove_prefix(end + behind.size());
  }
  return values;
}

}  // namespace prs::dataset
