// All runs of this user, for `prs-gpu runs` and reuse (R1): $PRS_HOME/runs.sqlite, by default
// $XDG_STATE_HOME/prs-gpu or ~/.local/state/prs-gpu. Several processes may use it at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace prs::store {

struct RunRecord {
  std::string run_id;
  std::string name;
  std::string status;
  std::string reason;
  std::string output;    ///< Absolute output folder.
  std::string identity;  ///< Hash of entry, settings and inputs; "" when not to be reused.
  std::int64_t created_us = 0;
  std::int64_t finished_us = 0;
  std::int64_t mini_batches = 0;
  std::int64_t items = 0;
  std::int64_t failed_items = 0;
};

class History {
 public:
  /// Opens or creates; throws io naming the path.
  explicit History(const std::filesystem::path& folder = default_folder());
  ~History();
  static std::filesystem::path default_folder();

  void put(const RunRecord& run);  ///< Inserts or replaces by run_id.
  std::optional<RunRecord> find_completed(const std::string& identity) const;  ///< The newest.
  std::vector<RunRecord> recent(std::int64_t limit) const;                     ///< Newest first.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::store
