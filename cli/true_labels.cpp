#include "true_labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "entry/row_writer.hpp"
#include "errors.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;

/// Finds classes by name or index.
class ClassIndex {
 public:
  explicit ClassIndex(const Scorer& scorer) : classes_(scorer.engine.classes()) {
    for (std::size_t i = 0; i < scorer.class_names.size(); ++i) {
      by_name_.emplace(scorer.class_names[i], static_cast<std::int64_t>(i));
    }
  }

  /// `where` begins the message when there is no such class.
  std::int64_t find(const std::string& label, std::string_view where) const {
    if (const auto found = by_name_.find(label); found != by_name_.end()) return found->second;
    std::int64_t index = 0;
    const char* const end = label.data() + label.size();
    const auto [rest, error] = std::from_chars(label.data(), end, index);
    if (error != std::errc() || rest != end) {
      fail(ErrorCode::kInvalidArgument, "{}: the model has no class '{}'{}", where, label,
           by_name_.empty() ? "; without class names, labels are numbers" : "");
    }
    check(index, where);
    return index;
  }

  void check(std::int64_t index, std::string_view where) const {
    if (index >= 0 && index < classes_) return;
    fail(ErrorCode::kInvalidArgument,
         "{}: label {} is out of range; the model's classes are 0 to {}", where, index,
         classes_ - 1);
  }

 private:
  std::int64_t classes_;
  std::unordered_map<std::string, std::int64_t> by_name_;
};

template <typename T>
std::vector<std::int64_t> widen(const TensorView& view) {
  return {view.as<T>(), view.as<T>() + view.shape.elements()};
}

TrueLabels labels_in_order(const fs::path& path, const ImageList& images,
                           const ClassIndex& classes) {
  for (const ImageList::ListedRecordFile& listed : images.record_files()) {
    if (listed.file) continue;
    fail(ErrorCode::kInvalidArgument, "{}; so it is not known which labels of {} are whose",
         listed.error, path.string());
  }
  std::vector<std::int64_t> labels = read_label_records(path, images.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    classes.check(labels[i], fmt::format("{}#{}", path.string(), i));
  }
  return [labels = std::move(labels)](std::int64_t item) {
    return labels[static_cast<std::size_t>(item)];
  };
}

TrueLabels labels_from_folders(const ImageList& images, const ClassIndex& classes) {
  std::vector<std::int64_t> labels;  // One an entry: its items lie in one folder.
  for (const ImageList::Entry& entry : images.entries()) {
    const std::string folder = fs::absolute(entry.path).lexically_normal().parent_path().filename();
    labels.push_back(classes.find(folder, entry.path.native()));
  }
  return [&images, labels = std::move(labels)](std::int64_t item) {
    return labels[static_cast<std::size_t>(&images.entry_of(item) - images.entries().data())];
  };
}

/// The rows of a CSV file by the name they give.
class LabelTable {
 public:
  LabelTable(const fs::path& path, const ClassIndex& classes) : folder_(path.parent_path()) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!file) fail(ErrorCode::kIo, "{}: cannot read the labels", path.string());
    const auto rows = parse_csv(text, path.string());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string where = fmt::format("{}: row {}", path.string(), i + 1);
      if (rows[i].size() < 2) {
        fail(ErrorCode::kInvalidArgument, "{}: expected name,label", where);
      }
      if (i == 0 && is_header(rows[i])) continue;
      const std::int64_t label = classes.find(rows[i][1], where);
      const auto [entry, added] = by_name_.emplace(rows[i][0], label);
      if (!added && entry->second != label) {
        fail(ErrorCode::kInvalidArgument, "{}: {} has another label in an earlier row", where,
             rows[i][0]);
      }
    }
  }

  std::optional<std::int64_t> find(const ImageItem& item) const {
    const std::string relative = item.path.lexically_relative(folder_).string();
    for (const std::string& name : {entry::short_name(item), item.name(), relative}) {
      if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
    }
    return std::nullopt;
  }

 private:
  static bool is_header(const std::vector<std::string>& row) {
    std::string last = row[1];
    std::transform(last.begin(), last.end(), last.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    return last == "label" || last == "class";
  }

  fs::path folder_;
  std::unordered_map<std::string, std::int64_t> by_name_;
};

}  // namespace

std::vector<std::int64_t> read_label_records(const fs::path& path, std::int64_t count) {
  const RecordFile file = RecordFile::open(path);
  if (file.record_shape().elements() != 1) {
    fail(ErrorCode::kInvalidArgument, "{}: records of shape {}; labels are one integer each",
         path.string(), file.record_shape().to_string());
  }
  if (file.count() != count) {
    fail(ErrorCode::kInvalidArgument, "{}: {} labels for {} images", path.string(),
         group_digits(file.count()), group_digits(count));
  }
  const TensorView view = file.records(0, count);
  switch (view.dtype) {
    case DType::kUint8:
      return widen<std::uint8_t>(view);
    case DType::kInt8:
      return widen<std::int8_t>(view);
    case DType::kInt16:
      return widen<std::int16_t>(view);
    case DType::kInt32:
      return widen<std::int32_t>(view);
    case DType::kInt64:
      return widen<std::int64_t>(view);
    default:
      fail(ErrorCode::kInvalidArgument, "{}: labels are {}; expected integers", path.string(),
           dtype_name(view.dtype));
  }
}

TrueLabels read_true_labels(const std::string& source, const ImageList& images,
                            const Scorer& scorer) {
  const ClassIndex classes(scorer);
  if (source == "folders" || fs::is_directory(source)) return labels_from_folders(images, classes);
  if (RecordFile::is_record_file(source)) return labels_in_order(source, images, classes);
  return [&images, table = LabelTable(source, classes)](std::int64_t item) {
    return table.find(images.item(item));
  };
}

}  // namespace prs::cli
