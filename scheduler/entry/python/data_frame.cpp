#include "entry/python/data_frame.hpp"

#include <pybind11/numpy.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>
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

/// Strings for the texts of one frame. Equal ones are mostly one object, as pandas.read_csv has
/// them: columns of a few distinct values then cost a look-up a row, not an allocation. What it
/// gives out must stay alive while it is used, and the texts too.
class StringPool {
 public:
  py::object operator()(std::string_view text) {
    const Ends ends(text);
    Slot& slot = slots_[ends.hash() >> (64 - kSlotBits)];
    // The ends are all of a text of 16 bytes.
    const bool is_same = slot.object != nullptr && slot.ends == ends &&
                         slot.text.size() == text.size() &&
                         (text.size() <= 16 || slot.text == text);
    if (is_same) return py::reinterpret_borrow<py::object>(slot.object);
    py::object made = string(text);
    slot = {ends, text, made.ptr()};
    return made;
  }

 private:
  static constexpr int kSlotBits = 12;

  /// The first eight bytes of a text and its last eight: they overlap in a shorter one.
  struct Ends {
    Ends() = default;
    explicit Ends(std::string_view text) {
      const char* const end = text.data() + text.size();
      if (text.size() >= 8) {
        std::memcpy(&first, text.data(), 8);
        std::memcpy(&last, end - 8, 8);
      } else if (text.size() >= 4) {
        std::memcpy(&first, text.data(), 4);
        std::memcpy(&last, end - 4, 4);
      } else if (!text.empty()) {
        std::memcpy(&first, text.data(), 1);
        last = static_cast<unsigned char>(text[text.size() / 2]) << 8 |
               static_cast<unsigned char>(text.back());
      }
    }
    bool operator==(const Ends&) const = default;
    std::uint64_t hash() const { return (first * 0x9E3779B97F4A7C15 ^ last) * 0xC2B2AE3D27D4EB4F; }
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  struct Slot {
    Ends ends;
    std::string_view text;
    PyObject* object = nullptr;
  };
  std::vector<Slot> slots_{std::size_t{1} << kSlotBits};
};

/// Takes the column's numbers; its texts stay.
py::array to_array(Column& column, std::int64_t rows, StringPool& strings) {
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
    return strings(column.text(row));
  });
}

}  // namespace

py::object to_data_frame(dataset::Table table) {
  const py::module_ pandas = py::module_::import("pandas");
  py::list names;
  py::dict columns;
  StringPool strings;
  bool repeated = false;
  for (Column& column : table.columns) {
    names.append(string(column.name));
    // A second column of one name goes by its number until all are there: no name is a number.
    py::object key = names[names.size() - 1];
    if (columns.contains(key)) {
      key = py::int_(columns.size());
      repeated = true;
    }
    columns[key] = to_array(column, table.rows, strings);
  }
  using namespace py::literals;
  py::object frame = pandas.attr("DataFrame")(columns, "copy"_a = false);
  if (repeated) frame.attr("columns") = names;
  return frame;
}

}  // namespace prs::entry
