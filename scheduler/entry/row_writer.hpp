// The rows of scored images: one an image, as text, CSV or JSON lines.
//
//   text    7.png: Sneaker                     with top_k 2: 7.png: Sneaker (9.3), Sandal (4.1)
//   csv     name,class,score[,class2,score2...][,score_<class>...]
//   jsonl   {"name":..,"path":..[,"record":..],"top":[{"class":..,"index":..,"score":..}..]
//            [,"scores":[..]]}
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <prs/engine.hpp>
#include <prs/image.hpp>

#include "config/step.hpp"
#include "entry/scorer.hpp"

namespace prs::entry {

/// Whose row it is. Refers to the path.
struct RowItem {
  std::string_view path;
  std::int64_t record;  ///< -1: the file is the image.

  RowItem(const std::string& of, std::int64_t number) : path(of), record(number) {}
  RowItem(const ImageItem& item) : RowItem(item.path.native(), item.record) {}
};

/// Immutable; safe to use from several threads. `scorer` must outlive it.
class RowWriter {
 public:
  RowWriter(const Scorer& scorer, config::OutputFormat format, std::int64_t top_k, bool all_scores);

  /// The line before the first row; "" for formats without one.
  std::string header() const;
  /// Appends the row of `item` to `out`.
  void append(const RowItem& item, std::span<const float> scores, std::string& out) const;

 private:
  void append_text(const RowItem& item, const Prediction& best, std::string& out) const;
  void append_csv(const RowItem& item, const Prediction& best, std::span<const float> scores,
                  std::string& out) const;
  void append_json(const RowItem& item, const Prediction& best, std::span<const float> scores,
                   std::string& out) const;
  const std::string& class_cell(std::int64_t index) const {
    return class_cells_[static_cast<std::size_t>(index)];
  }

  const Scorer& scorer_;
  config::OutputFormat format_;
  std::int64_t top_k_;
  bool all_scores_;
  std::vector<std::string> class_cells_;  ///< The names of the classes, quoted for the format.
};

/// The base name of an image file, or "digits.idx#17".
std::string short_name(const RowItem& item);

}  // namespace prs::entry
