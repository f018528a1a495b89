// The kinds of entries there are; see entry.hpp for what each function promises.
#pragma once

#include <memory>

#include "entry/entry.hpp"

namespace prs::entry {

std::unique_ptr<Entry> make_model_entry(const config::Step& step);
void check_model_entry(const config::Step& step);

std::unique_ptr<Entry> make_plugin_entry(const config::Step& step, const Context& context);
void check_plugin_entry(const config::Step& step);

}  // namespace prs::entry
