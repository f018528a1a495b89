// How well predictions match the truth: accuracy, per-class figures, confusion matrix.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace prs::cli {

/// Precision is of the images predicted as the class, recall of those that belong to it; each is 0
/// where nothing counts.
struct ClassFigures {
  std::int64_t support = 0;  ///< Images that belong to the class.
  double precision = 0.0;
  double recall = 0.0;
  double f1 = 0.0;
};

/// Counts of (true class, predicted class). Not thread-safe.
class Evaluation {
 public:
  explicit Evaluation(std::int64_t classes);

  void add(std::int64_t truth, std::int64_t predicted);

  std::int64_t classes() const noexcept { return static_cast<std::int64_t>(support_.size()); }
  std::int64_t images() const noexcept { return images_; }
  std::int64_t correct() const noexcept { return correct_; }
  /// 0 without images.
  double accuracy() const noexcept;
  ClassFigures figures(std::int64_t index) const;
  std::int64_t count(std::int64_t truth, std::int64_t predicted) const;

  struct Confusion {
    std::int64_t truth = 0;
    std::int64_t predicted = 0;
    std::int64_t count = 0;
  };
  /// The mistakes, most frequent first, at most `limit`.
  std::vector<Confusion> confusions(std::size_t limit) const;

 private:
  std::int64_t images_ = 0;
  std::int64_t correct_ = 0;
  std::vector<std::int64_t> support_;
  std::vector<std::int64_t> predicted_;
  // Sparse: a model may have many thousand classes.
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> counts_;
};

}  // namespace prs::cli
