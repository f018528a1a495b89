#include "dataset/mltable.hpp"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <utility>

#include <prs/error.hpp>

#include "config/text.hpp"
#include "config/yaml.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;
using config::Entry;
using config::Node;
using Encoding = TableFormat::Encoding;
using Kind = TableFormat::Kind;

class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(file) {}

  MlTable read() {
    const config::NodePtr root = config::read_yaml(file_);
    for (const Entry& entry : root->entries) {
      if (entry.key == "paths") read_paths(*entry.value);
      if (entry.key == "transformations") read_transformations(*entry.value);
      if (entry.key == "paths" || entry.key == "transformations" || entry.key == "type" ||
          entry.key == "$schema" || entry.key == "metadata") {
        continue;
      }
      refuse(entry.line, fmt::format("'{}' is not supported", entry.key), ErrorCode::kUnsupported);
    }
    if (table_.files.empty() && table_.folders.empty()) {
      refuse(root->line, "paths: missing; give a list of file, folder or pattern");
    }
    if (!partition_format_.empty()) {
      if (!table_.format) refuse(root->line, "extract_columns_from_partition_format needs a read_");
      table_.format->partition_format = partition_format_;
    }
    return std::move(table_);
  }

 private:
  [[noreturn]] void refuse(int line, std::string_view what,
                           ErrorCode code = ErrorCode::kInvalidArgument) const {
    throw Error(code, fmt::format("{}:{}: {}", file_.string(), line, what));
  }

  void read_paths(const Node& list) {
    for (const config::NodePtr& item : list.items) {
      for (const Entry& entry : item->entries) {
        const std::string& text = entry.value->text;
        if (text.find("://") != std::string::npos) {
          refuse(entry.line, fmt::format("{} is not on this machine; give a local path", text),
                 ErrorCode::kUnsupported);
        }
        const fs::path path = (fs::absolute(file_).parent_path() / text).lexically_normal();
        if (entry.key == "file" || entry.key == "pattern") {
          table_.files.push_back(path);
        } else if (entry.key == "folder") {
          table_.folders.push_back(path);
        } else {
          refuse(entry.line, fmt::format("'{}'; expected file, folder or pattern", entry.key));
        }
      }
    }
  }

  void read_transformations(const Node& list) {
    for (const config::NodePtr& item : list.items) {
      if (item->kind == Node::Kind::kScalar) read_transformation(item->text, item->line, Node{});
      for (const Entry& entry : item->entries) {
        read_transformation(entry.key, entry.line, *entry.value);
      }
    }
  }

  void read_transformation(const std::string& name, int line, const Node& options) {
    static const std::map<std::string, Kind> kReaders = {{"read_delimited", Kind::kDelimited},
                                                         {"read_json_lines", Kind::kJsonLines},
                                                         {"read_parquet", Kind::kParquet}};
    if (name == "extract_columns_from_partition_format") {
      partition_format_ = options.text;
      return;
    }
    const auto reader = kReaders.find(name);
    if (reader == kReaders.end()) {
      refuse(line,
             fmt::format("the transformation '{}' is not supported; supported are read_delimited, "
                         "read_json_lines, read_parquet, extract_columns_from_partition_format",
                         name),
             ErrorCode::kUnsupported);
    }
    if (table_.format) refuse(line, fmt::format("'{}' is a second read_", name));
    table_.format.emplace();
    table_.format->kind = reader->second;
    for (const Entry& option : options.entries) read_option(name, option);
  }

  void read_option(const std::string& reader, const Entry& option) {
    TableFormat& format = *table_.format;
    const std::string value = config::lower_case(option.value->text);
    const bool delimited = format.kind == Kind::kDelimited;
    if (option.key == "include_path_column") {
      format.include_path_column = flag(option);
    } else if (option.key == "encoding" && format.kind != Kind::kParquet) {
      format.encoding = encoding(option);
    } else if (option.key == "delimiter" && delimited) {
      format.delimiter = delimiter(option);
    } else if (option.key == "header" && delimited) {
      read_header(option);
    } else if (option.key == "empty_as_string" && delimited) {
      format.empty_as_string = flag(option);
    } else if (option.key == "support_multi_line" && delimited) {
      flag(option);  // Quoted line breaks belong to their field either way.
    } else if (option.key == "infer_column_types" && delimited && value == "true") {
      return;
    } else if (option.key == "invalid_lines" && format.kind == Kind::kJsonLines &&
               value == "error") {
      return;
    } else if (option.key == "invalid_lines" && format.kind == Kind::kJsonLines &&
               value == "drop") {
      refuse(option.line,
             fmt::format("{}: invalid_lines: drop is not supported, as a line that is dropped in "
                         "silence is a row that is missing: give invalid_lines: error, or take "
                         "such lines out of the file",
                         reader),
             ErrorCode::kUnsupported);
    } else {
      refuse(option.line,
             fmt::format("{}: {}: {} is not supported", reader, option.key, option.value->text),
             ErrorCode::kUnsupported);
    }
  }

  bool flag(const Entry& option) const {
    const std::string value = config::lower_case(option.value->text);
    if (value != "true" && value != "false") {
      refuse(option.line,
             fmt::format("{}: '{}'; expected true or false", option.key, option.value->text));
    }
    return value == "true";
  }

  char delimiter(const Entry& option) const {
    const std::string& text = option.value->text;
    if (text == "\\t") return '\t';
    if (text.size() != 1 || text == "\"" || text == "\n" || text == "\r") {
      refuse(option.line, fmt::format("delimiter: '{}'; expected one character", text));
    }
    return text[0];
  }

  void read_header(const Entry& option) {
    const std::string value = config::lower_case(option.value->text);
    table_.format->header =
        value == "all_files_same_headers" || value == "all_files_different_headers";
    if (table_.format->header || value == "no_header") return;
    refuse(option.line,
           fmt::format("header: '{}'; supported are no_header, all_files_same_headers and "
                       "all_files_different_headers",
                       option.value->text),
           ErrorCode::kUnsupported);
  }

  Encoding encoding(const Entry& option) const {
    static const std::map<std::string, Encoding> kEncodings = {
        {"utf8", Encoding::kUtf8},
        {"utf-8", Encoding::kUtf8},
        {"utf8bom", Encoding::kUtf8},
        {"ascii", Encoding::kUtf8},
        {"latin1", Encoding::kLatin1},
        {"iso88591", Encoding::kLatin1},
        {"utf16", Encoding::kUtf16},
        {"utf-16", Encoding::kUtf16},
        {"windows1252", Encoding::kWindows1252}};
    const auto found = kEncodings.find(config::lower_case(option.value->text));
    if (found == kEncodings.end()) {
      refuse(option.line,
             fmt::format("encoding: '{}'; supported are utf8, utf8bom, ascii, latin1, iso88591, "
                         "windows1252, utf16",
                         option.value->text),
             ErrorCode::kUnsupported);
    }
    return found->second;
  }

  const fs::path file_;
  MlTable table_;
  std::string partition_format_;
};

}  // namespace

std::optional<fs::path> mltable_of(const fs::path& input) {
  std::error_code error;
  const fs::path file = fs::is_directory(input, error) ? input / "MLTable" : input;
  if (file.filename() != "MLTable" || !fs::is_regular_file(file, error)) return std::nullopt;
  return file;
}

MlTable read_mltable(const fs::path& file) { return Reader(file).read(); }

}  // namespace prs::dataset
