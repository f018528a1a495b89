// Items brought together by their partition values (D8), in a temporary database: in memory are the
// values of the groups, not the items.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataset/table_format.hpp"

namespace prs::dataset {

/// Files and pieces are added, then the groups are taken in the order in which they first appeared,
/// each with its items in the order of addition. Throws io when the database cannot be written.
class Grouping {
 public:
  struct Group {
    std::vector<std::string> values;
    std::vector<TablePiece> items;  ///< Of a file: `file` alone.
  };

  Grouping();
  ~Grouping();
  Grouping(const Grouping&) = delete;
  Grouping& operator=(const Grouping&) = delete;

  void add(const std::vector<std::string>& values, const TablePiece& item);
  std::optional<Group> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::dataset
