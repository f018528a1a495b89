// The settings of the built-in entry, from text: as the flags of prs-gpu score, by name.
#pragma once

#include <string_view>
#include <vector>

#include "config/step.hpp"
#include "entry/scorer.hpp"

namespace prs::entry {

/// "0.5" or "0.485,0.456,0.406". Throws invalid argument.
std::vector<double> parse_numbers(std::string_view text);

/// "224x224" (width, height) into the overrides. Throws invalid argument.
void parse_size(std::string_view text, PreprocessOverrides& overrides);

/// How the step's model is loaded: entry.path, device and model_options with the keys scale, mean,
/// std, invert, layout, channels, channel_order, resize, output, class_names, batch, threads,
/// max_pixels, columns, precision. A worker shares the machine with others: it takes one thread
/// unless `threads` says otherwise. Throws invalid argument naming key, value and what is allowed.
ScorerOptions scorer_options(const config::Step& step);

}  // namespace prs::entry
