#include <array>
#include <optional>
#include <string>

#include "image/file.hpp"
#include "image/records.hpp"
#include "image/text.hpp"
#include "prs/image.hpp"

namespace prs {

struct RecordFile::State {
  std::string name;
  std::optional<image::MappedFile> file;  // Kept while `records` point into it.
  image::Records records;
  Shape record_shape;
};

RecordFile RecordFile::open(const std::filesystem::path& path) {
  const auto state = std::make_shared<State>();
  state->name = path.native();
  state->file.emplace(path);
  state->records = image::parse_records(state->file->bytes(), state->name);
  if (!state->records.own.empty()) state->file.reset();
  state->record_shape = Shape(state->records.all.shape.extents().subspan(1));
  RecordFile file;
  file.state_ = state;
  return file;
}

bool RecordFile::is_record_file(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 5> kEndings = {".npy", ".idx", ".idx.gz", "-ubyte",
                                                        "-ubyte.gz"};
  const std::string name = image::lower_case(path.filename().native());
  for (const std::string_view ending : kEndings) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

DType RecordFile::dtype() const noexcept { return state_->records.all.dtype; }

std::int64_t RecordFile::count() const noexcept { return state_->records.all.shape[0]; }

const Shape& RecordFile::record_shape() const noexcept { return state_->record_shape; }

TensorView RecordFile::records(std::int64_t first, std::int64_t count) const {
  const TensorView& all = state_->records.all;
  if (first < 0 || count < 0 || first > all.shape[0] || count > all.shape[0] - first) {
    fail_argument("{}: {} records from record {} asked for; the file has {}", state_->name, count,
                  first, all.shape[0]);
  }
  const std::int64_t record_bytes = state_->record_shape.elements() * dtype_size(all.dtype);
  TensorView view = all;
  view.shape.set(0, count);
  view.data = all.as<std::byte>() + first * record_bytes;
  return view;
}

}  // namespace prs
