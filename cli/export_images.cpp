// prs-gpu export-images: the records of an IDX or NPY file as PNG files, and their labels as CSV.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <prs/image.hpp>

#include "commands.hpp"
#include "entry/record_images.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "text.hpp"
#include "true_labels.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExportImagesExamples = R"(Examples:
  prs-gpu export-images t10k-images-idx3-ubyte.gz --output photos
  prs-gpu export-images t10k-images-idx3-ubyte.gz --output photos --limit 100 \
      --labels t10k-labels-idx1-ubyte.gz

Writes 00000.png, 00001.png, ... and, with --labels, labels.csv with the columns name and label.
)";

struct ExportOptions {
  fs::path records;
  fs::path output;
  std::int64_t limit = std::numeric_limits<std::int64_t>::max();
  fs::path labels;
  bool overwrite = false;
};

void prepare_folder(const fs::path& folder, bool overwrite) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    fail(ErrorCode::kIo, "{}: cannot create the folder: {}", folder.string(), error.message());
  }
  if (!overwrite && !fs::is_empty(folder)) {
    fail(ErrorCode::kIo, "{}: is not empty; --overwrite writes into it", folder.string());
  }
}

void write_file(const fs::path& path, const std::vector<std::byte>& bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"),
                                                             std::fclose);
  const bool written = file &&
                       std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size() &&
                       std::fflush(file.get()) == 0;
  if (!written) {
    const int error = errno;
    fail(ErrorCode::kIo, "{}: cannot write: {}", path.string(),
         std::generic_category().message(error));
  }
}

int export_images(const ExportOptions& options) {
  const RecordFile file = RecordFile::open(options.records);
  if (!entry::image_extents(file)) {
    fail(ErrorCode::kInvalidArgument,
         "{}: records of {}{} are no images; expected u8 [H,W], [H,W,1], [H,W,3], [1,H,W] or "
         "[3,H,W]",
         options.records.string(), dtype_name(file.dtype()), file.record_shape().to_string());
  }
  std::vector<std::int64_t> labels;
  if (!options.labels.empty()) labels = read_label_records(options.labels, file.count());
  prepare_folder(options.output, options.overwrite);

  const std::int64_t count = std::min(options.limit, file.count());
  const std::size_t width =
      std::max<std::size_t>(5, fmt::formatted_size("{}", std::max<std::int64_t>(count - 1, 0)));
  const auto name = [&](std::int64_t i) { return fmt::format("{:0{}}.png", i, width); };
  const InterruptGuard guard;
  Progress progress(count, "images");
  for (std::int64_t i = 0; i < count; ++i) {
    if (interrupted()) {
      progress.clear();
      fmt::print(stderr, "prs-gpu: interrupted; {} of {} images are in {}\n", group_digits(i),
                 group_digits(count), options.output.string());
      return kExitInterrupted;
    }
    write_file(options.output / name(i), encode_png(entry::record_image(file, i)));
    progress.update(i + 1);
  }
  progress.clear();
  if (!options.labels.empty()) {
    Output table = Output::create(options.output / "labels.csv", options.overwrite);
    table.append("name,label\n");
    for (std::int64_t i = 0; i < count; ++i) {
      table.append(fmt::format("{},{}\n", name(i), labels[static_cast<std::size_t>(i)]));
    }
    table.commit();
  }
  spdlog::info("{}: {} images in {:.2f} s", options.output.string(), group_digits(count),
               progress.elapsed_s());
  return kExitDone;
}

}  // namespace

void add_export_images(CLI::App& app, Command& chosen) {
  CLI::App& command =
      *app.add_subcommand("export-images", "Write the images of an IDX or NPY file as PNG files");
  const auto options = std::make_shared<ExportOptions>();
  command.add_option("records", options->records, "IDX file (also .gz) or NPY file")
      ->required()
      ->type_name("FILE");
  command.add_option("--output", options->output, "Folder for the images")
      ->required()
      ->type_name("DIR");
  command.add_option("--limit", options->limit, "Only the first N images")
      ->type_name("N")
      ->check(
          CLI::Range(std::int64_t{0}, std::numeric_limits<std::int64_t>::max()).description(""));
  command.add_option("--labels", options->labels, "IDX or NPY file of labels, one an image")
      ->type_name("FILE");
  command.add_flag("--overwrite", options->overwrite, "Write into a folder that is not empty");
  command.footer(kExportImagesExamples);
  command.callback([options, &chosen] { chosen = [options] { return export_images(*options); }; });
}

}  // namespace prs::cli
