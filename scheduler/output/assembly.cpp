#include "output/assembly.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <map>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <prs/error.hpp>

#include "output/file_io.hpp"
#include "output/read_window.hpp"

namespace prs::output {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kBufferBytes = std::int64_t{1} << 20;

/// Rows of one mini-batch in .partial.
struct Piece {
  std::int64_t mini_batch;
  std::int64_t offset;
  std::int64_t size_bytes;
};

fs::path with_suffix(const fs::path& path, const char* suffix) { return path.string() + suffix; }

[[noreturn]] void fail_exists(const fs::path& final_path) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: exists already; --overwrite replaces it, or choose another output "
                          "folder",
                          final_path.string()));
}

std::int64_t length_of(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (!error) return static_cast<std::int64_t>(size);
  if (error == std::errc::no_such_file_or_directory) return -1;
  fail_io(path, "find the file's size", error.value());
}

void check(const Range& range, const fs::path& folder) {
  // The range comes from another process, which may have been hit by anything.
  const bool plain_name = range.segment.find('/') == std::string::npos && !range.segment.empty() &&
                          range.segment != "." && range.segment != "..";
  std::int64_t end = 0;
  if (!plain_name || range.offset < 0 || range.size_bytes < 0 ||
      __builtin_add_overflow(range.offset, range.size_bytes, &end)) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: bytes {} + {} are no range of a segment",
                            (folder / range.segment).string(), range.offset, range.size_bytes));
  }
}

/// A segment file that is open.
struct Segment {
  fs::path path;
  Descriptor file;
  ReadWindow window;
};

/// Whether both are names of one file.
bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

void remove_file(const fs::path& path) {
  if (::unlink(path.c_str()) != 0) fail_io(path, "remove the file", errno);
}

/// Renames without replacing a file of the new name.
void rename_new(const fs::path& from, const fs::path& to) {
  int result = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
  if (result != 0 && errno == EINVAL) {  // A file system without that flag.
    if (fs::exists(to)) fail_exists(to);
    result = ::rename(from.c_str(), to.c_str());
  }
  if (result == 0) return;
  const int error = errno;
  if (error == EEXIST) fail_exists(to);
  fail_io(from, fmt::format("rename to {}", to.string()), error);
}

}  // namespace

struct Assembly::State {
  AssemblyOptions options;
  fs::path partial;
  fs::path sorted;     ///< A copy of .partial in the making.
  fs::path converted;  ///< Of that, or of .partial.
  Descriptor file;     ///< .partial; none once published.
  std::int64_t length = 0;
  bool published = false;
  std::vector<Piece> pieces;  ///< Filled when ordered.
  std::vector<char> buffer;
  std::map<std::string, Segment> segments;  ///< Open ones, by name.

  void create();
  void reopen(std::int64_t resume_length);
  Segment& segment_of(const std::string& name);
  void copy_in(const Range& range);
  bool sort_pieces();
  void write_sorted();
  fs::path make_final();
  void replace_partial(const fs::path& made);
};

void Assembly::State::create() {
  if (fs::exists(fs::symlink_status(options.final_path))) fail_exists(options.final_path);
  file = open_file(partial, O_RDWR | O_CREAT | O_TRUNC);
  std::string line = options.header;
  if (!line.empty() && line.back() != '\n') line += '\n';
  write_at(file, partial, 0, line);
  length = static_cast<std::int64_t>(line.size());
}

void Assembly::State::reopen(std::int64_t resume_length) {
  const std::int64_t final_length = length_of(options.final_path);
  const std::int64_t partial_length = length_of(partial);
  if (final_length >= 0) {
    // publish() makes a file of just this length, unless it converts; any other is not the job's.
    if (!options.convert && final_length != resume_length) fail_exists(options.final_path);
    if (partial_length < 0) {
      published = true;
      return;
    }
    // Only a sorted or converted copy is there before .partial goes, under both of its names. It
    // can be made again.
    if (!is_same_file(options.final_path, sorted) && !is_same_file(options.final_path, converted)) {
      fail_exists(options.final_path);
    }
    remove_file(options.final_path);
  }
  if (partial_length < resume_length) {
    const std::string found =
        partial_length < 0 ? "is missing" : fmt::format("has {} bytes", partial_length);
    throw Error(ErrorCode::kIo, fmt::format("{}: {}, but the job's journal counts {} bytes in it; "
                                            "start the job again with --overwrite",
                                            partial.string(), found, resume_length));
  }
  file = open_file(partial, O_RDWR);
  truncate(file, partial, resume_length);
  length = resume_length;
}

Segment& Assembly::State::segment_of(const std::string& name) {
  const auto found = segments.find(name);
  if (found != segments.end()) return found->second;
  const fs::path path = options.segment_folder / name;
  return segments.emplace(name, Segment{path, open_file(path, O_RDONLY), {}}).first->second;
}

/// Copies the range's bytes behind `length`, checked: nothing of a range of one buffer is written
/// before its checksum is known to be right.
void Assembly::State::copy_in(const Range& range) {
  check(range, options.segment_folder);
  Segment& segment = segment_of(range.segment);
  std::uint32_t crc = 0;
  std::int64_t done = 0;
  do {
    const std::int64_t count = std::min(kBufferBytes, range.size_bytes - done);
    const std::string_view bytes =
        segment.window.read(segment.file, segment.path, range.offset + done, count);
    crc = crc32c(bytes, crc);
    if (done + count == range.size_bytes && crc != range.crc32c) {
      throw Error(
          ErrorCode::kIo,
          fmt::format("{}: bytes {} + {} are damaged: their checksum is {:08x}, the worker "
                      "wrote {:08x}",
                      segment.path.string(), range.offset, range.size_bytes, crc, range.crc32c));
    }
    write_at(file, partial, length + done, bytes);
    done += count;
  } while (done < range.size_bytes);
}

/// Sorts `pieces` by mini-batch; true when they lie in that order already.
bool Assembly::State::sort_pieces() {
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return a.mini_batch < b.mini_batch; });
  std::int64_t rows_begin = length;
  std::int64_t rows_size = 0;
  bool in_order = true;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    rows_begin = std::min(rows_begin, pieces[i].offset);
    rows_size += pieces[i].size_bytes;
    if (i == 0) continue;
    if (pieces[i].mini_batch == pieces[i - 1].mini_batch) {
      throw Error(ErrorCode::kInternal, fmt::format("{}: mini-batch {} is in it twice [this is a "
                                                    "bug]",
                                                    partial.string(), pieces[i].mini_batch));
    }
    in_order = in_order && pieces[i].offset >= pieces[i - 1].offset;
  }
  if (rows_begin + rows_size != length) {
    throw Error(ErrorCode::kInternal,
                fmt::format("{}: {} of {} bytes belong to known mini-batches [this is a bug]",
                            partial.string(), rows_size, length - rows_begin));
  }
  return in_order;
}

/// Copies the header and then the pieces, in their order, to a new file.
void Assembly::State::write_sorted() {
  const Descriptor target = open_file(sorted, O_WRONLY | O_CREAT | O_TRUNC);
  std::int64_t written = 0;
  std::int64_t filled = 0;
  const auto flush = [&] {
    write_at(target, sorted, written, {buffer.data(), static_cast<std::size_t>(filled)});
    written += std::exchange(filled, 0);
  };
  const auto copy = [&](std::int64_t offset, std::int64_t size_bytes) {
    while (size_bytes > 0) {
      const std::int64_t count = std::min(kBufferBytes - filled, size_bytes);
      read_at(file, partial, offset, buffer.data() + filled, count);
      filled += count;
      offset += count;
      size_bytes -= count;
      if (filled == kBufferBytes) flush();
    }
  };
  std::int64_t rows_begin = length;
  for (const Piece& piece : pieces) rows_begin = std::min(rows_begin, piece.offset);
  copy(0, rows_begin);
  for (const Piece& piece : pieces) copy(piece.offset, piece.size_bytes);
  flush();
}

/// Gives the finished copy the final name, then removes .partial. The copy keeps its old name for
/// so long, which tells a resume that the file of the final name is the job's.
void Assembly::State::replace_partial(const fs::path& made) {
  const fs::path& final_path = options.final_path;
  const bool linked = ::link(made.c_str(), final_path.c_str()) == 0;
  if (!linked) {
    if (errno == EEXIST) {
      remove_file(made);
      fail_exists(final_path);
    }
    rename_new(made, final_path);  // A file system without hard links.
  }
  sync_folder(final_path.parent_path());
  remove_file(partial);
  if (linked) remove_file(made);
}

/// The file that is to get the final name, on the disk: .partial, or a copy sorted or converted.
fs::path Assembly::State::make_final() {
  fs::path rows = partial;
  if (options.ordered && !sort_pieces()) rows = sorted;
  try {
    if (rows == sorted) write_sorted();
    if (options.convert) {
      options.convert(rows, converted);
      if (rows == sorted) ::unlink(sorted.c_str());
      rows = converted;
    }
    sync_data(open_file(rows, O_RDONLY), rows);
  } catch (...) {
    ::unlink(sorted.c_str());
    ::unlink(converted.c_str());
    throw;
  }
  return rows;
}

Assembly::Assembly(const AssemblyOptions& options, std::int64_t resume_length)
    : state_(std::make_unique<State>()) {
  state_->options = options;
  state_->partial = with_suffix(options.final_path, ".partial");
  state_->sorted = with_suffix(options.final_path, ".sorted");
  state_->converted = with_suffix(options.final_path, ".converted");
  state_->buffer.resize(static_cast<std::size_t>(kBufferBytes));
  create_folders(options.final_path.parent_path());
  create_folders(options.segment_folder);
  if (resume_length < 0) {
    state_->create();
  } else {
    state_->reopen(resume_length);
  }
  std::error_code ignored;
  fs::remove(state_->sorted, ignored);
  fs::remove(state_->converted, ignored);
}

Assembly::~Assembly() = default;

void Assembly::restore(std::int64_t mini_batch, std::int64_t offset, std::int64_t size_bytes) {
  if (state_->published) return;
  std::int64_t end = 0;
  if (offset < 0 || size_bytes < 0 || __builtin_add_overflow(offset, size_bytes, &end) ||
      end > state_->length) {
    throw Error(
        ErrorCode::kIo,
        fmt::format("{}: the job's journal places mini-batch {} at bytes {} + {} of {}; "
                    "start the job again with --overwrite",
                    state_->partial.string(), mini_batch, offset, size_bytes, state_->length));
  }
  if (state_->options.ordered) state_->pieces.push_back({mini_batch, offset, size_bytes});
}

Placement Assembly::accept(std::int64_t mini_batch, const Range& range) {
  State& state = *state_;
  if (state.published) fail_exists(state.options.final_path);
  try {
    state.copy_in(range);
  } catch (...) {
    // Where even this fails, `length` still says where the rows end: what follows writes from
    // there, and publish() and keep_partial() cut.
    static_cast<void>(::ftruncate(state.file.get(), state.length) == 0);
    throw;
  }
  const std::int64_t offset = state.length;
  if (state.options.ordered) state.pieces.push_back({mini_batch, offset, range.size_bytes});
  state.length += range.size_bytes;
  return {offset, state.length};
}

void Assembly::forget_segment(const std::string& name) { state_->segments.erase(name); }

void Assembly::publish() {
  State& state = *state_;
  const fs::path folder = state.options.final_path.parent_path();
  if (!state.published) {
    truncate(state.file, state.partial, state.length);
    const fs::path made = state.make_final();
    if (made == state.partial) {
      rename_new(state.partial, state.options.final_path);
    } else {
      state.replace_partial(made);
    }
    state.file = Descriptor();
    state.published = true;
  }
  sync_folder(folder);
}

void Assembly::keep_partial() {
  if (state_->published) return;
  truncate(state_->file, state_->partial, state_->length);
  sync_data(state_->file, state_->partial);
  sync_folder(state_->options.final_path.parent_path());
}

fs::path Assembly::partial_path() const { return state_->partial; }

std::int64_t Assembly::partial_length(const fs::path& final_path) {
  return length_of(with_suffix(final_path, ".partial"));
}

std::int64_t Assembly::kept_length(const fs::path& final_path) {
  const std::int64_t length = partial_length(final_path);
  const bool published = length < 0 && length_of(final_path) >= 0;
  return published ? std::numeric_limits<std::int64_t>::max() : length;
}

std::string Assembly::partial_head(const fs::path& final_path, std::int64_t size_bytes) {
  const fs::path partial = with_suffix(final_path, ".partial");
  std::string head(static_cast<std::size_t>(size_bytes), '\0');
  read_at(open_file(partial, O_RDONLY), partial, 0, head.data(), size_bytes);
  return head;
}

}  // namespace prs::output
