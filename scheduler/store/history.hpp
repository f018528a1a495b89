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

/// Not thread-safe. All methods throw io naming the file and PRS_HOME, and unavailable when other
/// processes keep the file locked for longer than 10 s.
class History {
 public:
  /// Opens or creates, the folder too. Unsupported: the file of a newer version.
  explicit History(const std::filesystem::path& folder = default_folder());
  ~History();
  /// Throws io when none of PRS_HOME, XDG_STATE_HOME and HOME is set.
  static std::filesystem::path default_folder();

  void put(const RunRecord& run);  ///< Inserts or replaces by run_id.
  std::optional<RunRecord> find(const std::string& run_id) const;
  /// The run finished last with status "completed"; none for the identity "".
  std::optional<RunRecord> find_completed(const std::string& identity) const;
  /// Whether any completed run has an identity that begins so.
  bool any_completed(const std::string& beginning) const;
  std::vector<RunRecord> recent(std::int64_t limit) const;  ///< Newest first.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::store
