// One value that an entry script logged with Run.log() (E12).
#pragma once

#include <cstdint>
#include <string>

namespace prs::store {

struct Metric {
  std::int64_t time_us = 0;  ///< Unix time in microseconds.
  int node = 0;
  std::string process;           ///< "process000"
  std::int64_t mini_batch = -1;  ///< -1: logged outside of run().
  int attempt = 0;               ///< Which try of it, from 1; 0 outside of run().
  /// Whether the try is the one whose rows are in the output; true outside of run(). Found when it
  /// is read.
  bool accepted = true;
  std::string kind;  ///< "value", "list", "row", "tag"
  std::string name;
  std::string value;  ///< JSON.
};

}  // namespace prs::store
