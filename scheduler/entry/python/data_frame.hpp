// From a table in memory to what a script gets: a pandas DataFrame (E4).
#pragma once

#include <pybind11/pybind11.h>

#include "dataset/table.hpp"

namespace prs::entry {

/// Numbers and timestamps are the table's own memory, which the frame takes over; text becomes
/// Python strings. Missing values are NaN, or NaT, as pandas.read_csv has them. The frame is the
/// caller's alone and may be changed. Needs the interpreter's lock. Throws error_already_set,
/// naming pandas where it is not installed.
pybind11::object to_data_frame(dataset::Table table);

}  // namespace prs::entry
