#include "entry/python/data_frame.hpp"

#include <pybind11/numpy.h>

#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace prs::entry {
namespace {

namespace py = pybind11;
using dataset::Column;

/// An array over the memory of `values`, which lives as long as the array does.
template <typename T>
py::array adopt(std::vector<T> values, const py::dtype& type) {
  auto owner = std::make_unique<std::vector<T>>(std::move(values));
  const auto size = static_cast<py::ssize_t>(owner->size());
  const T* const data = owner->data();
  const py::capsule capsule(owner.release(),
                            [](void* memory) { delete static_cast<std::vector<T>*>(memory); });
  return py::array(type, py::array::ShapeContainer{size},
                   py::array::StridesContainer{static_cast<py::ssize_t>(sizeof(T))}, data, capsule);
}

/// An array of objects, the one of row i from `make(i)`.
template <typename Make>
py::array objects(std::int64_t rows, const Make& make) {
  py::array array(py::dtype("O"), py::array::ShapeContainer{static_cast<py::ssize_t>(rows)});
  auto* const cells = static_cast<PyObject**>(array.mutable_data());
  for (std::int64_t row = 0; row < rows; ++row) {
    PyObject* const old = std::exchange(cells[row], make(row).release().ptr());
    Py_XDECREF(old);
  }
  return array;
}

py::object string(std::string_view text) {
  PyObject* const object =
      PyUnicode_DecodeUTF8(text.data(), static_cast<py::ssize_t>(text.size()), "surrogateescape");
  if (object == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(object);
}

py::array to_array(Column column, std::int64_t rows) {
  const py::float_ missing(std::numeric_limits<double>::quiet_NaN());
  switch (column.type) {
    case Column::Type::kInt64:
      return adopt(std::move(column.integers), py::dtype("int64"));
    case Column::Type::kFloat64:
      return adopt(std::move(column.floats), py::dtype("float64"));
    case Column::Type::kTimestamp:
      for (std::int64_t row = 0; row < rows; ++row) {
        // NumPy's NaT.
        if (!column.is_valid(row)) {
          column.integers[static_cast<std::size_t>(row)] = std::numeric_limits<std::int64_t>::min();
        }
      }
      return adopt(std::move(column.integers), py::dtype("datetime64[ns]"));
    case Column::Type::kBool:
      if (column.valid.empty()) return adopt(std::move(column.bools), py::dtype("bool"));
      return objects(rows, [&](std::int64_t row) -> py::object {
        if (!column.is_valid(row)) return missing;
        return py::bool_(column.bools[static_cast<std::size_t>(row)] != 0);
      });
    case Column::Type::kString:
      break;
  }
  return objects(rows, [&](std::int64_t row) -> py::object {
    if (!column.is_valid(row)) return missing;
    return string(column.text(row));
  });
}

}  // namespace

py::object to_data_frame(dataset::Table table) {
  const py::module_ pandas = py::module_::import("pandas");
  // By number first: a table may have two columns of one name.
  py::dict columns;
  py::list names;
  for (Column& column : table.columns) {
    names.append(string(column.name));
    columns[py::int_(columns.size())] = to_array(std::move(column), table.rows);
  }
  using namespace py::literals;
  py::object frame = pandas.attr("DataFrame")(columns, "copy"_a = false);
  frame.attr("columns") = names;
  return frame;
}

}  // namespace prs::entry
