// The kinds of entries. Internal to the room.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "entry/entry.hpp"

namespace prs::entry {

std::unique_ptr<Entry> load_model(const config::Step& step, const Context& context);
void check_model(const config::Step& step, const std::optional<std::string>& gpuless);

std::unique_ptr<Entry> load_plugin(const config::Step& step, const Context& context);
void check_plugin(const config::Step& step);

std::unique_ptr<Entry> load_script(const config::Step& step, const Context& context);
void check_script(const config::Step& step);

}  // namespace prs::entry
