// The one table of settings that are a single value: names, range, unit, where it goes in Step. And
// the register of all keys, with those that are more than a value, mean nothing here, or are
// refused.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/step.hpp"

namespace prs::config {

struct Setting {
  std::string key;                ///< The v1 name, or ours.
  std::vector<std::string> also;  ///< v2 names, dotted when nested.
  std::string unit;
  /// Parses and stores a value given under the name `spelled`. Throws Refusal.
  std::function<void(Step&, const std::string& value, const std::string& spelled)> read;
  /// The value as text, by which two values are compared; "" when not set and without default.
  std::function<std::string(const Step&)> show;
};

/// In the order of the table that is printed at start.
const std::vector<Setting>& settings();

/// What a key (of a flat file, or dotted) is.
struct KeyInfo {
  enum class Kind {
    kUnknown,
    kSetting,      ///< One of settings(): `name` is its key.
    kSpecial,      ///< Handled by name in builder.cpp.
    kMapping,      ///< Holds further keys: "task", "retry_settings", ...
    kNamed,        ///< A special whose keys are the user's: `name` is "environment_variables.", ...
    kCloudOnly,    ///< Means nothing here.
    kUnsupported,  ///< `name` is the reason.
  };
  Kind kind = Kind::kUnknown;
  std::string name;
};

KeyInfo find_key(const std::string& key);

/// "unknown key 'x'; did you mean 'y'?"
std::string unknown_key(const std::string& key);

/// The options that PRS takes among the entry's arguments, without "--". `error_threshold` is one
/// in v2 only; in v1 it is reserved like the other names of E9.
std::vector<std::string> argument_options(bool v2);

/// E9: the names that PRS itself passes to the entry; arguments must not.
const std::vector<std::string>& reserved_arguments();

/// Options that are checked and then mean nothing here.
bool is_idle_option(const std::string& option);

}  // namespace prs::config
