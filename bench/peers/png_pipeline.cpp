// A hand-written pipeline over a folder of 28 x 28 gray PNG files, the peer of `prs-gpu run`: read,
// decode with libspng or libpng, score in batches of 64, write "name: class" rows. No scheduler, no
// retries, no logs.
//
//   png_pipeline FOLDER OUTPUT PROCESSES spng|libpng MODEL|none
//
// Each process takes its part of the sorted names. The scores come from our own engine, since
// no registry brings ONNX Runtime's C header: the peer is as fast in computing as we are. "none"
// scores nothing and is the floor of reading and decoding. Prints the seconds that all took.
#include <dirent.h>
#include <fcntl.h>
#include <png.h>
#include <spng.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <prs/engine.hpp>

namespace {

constexpr std::size_t kSide = 28;
constexpr std::size_t kPixels = kSide * kSide;
constexpr std::size_t kBatch = 64;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "png_pipeline: %s\n", what.c_str());
  std::exit(1);
}

std::vector<std::string> names_in(const char* folder) {
  std::vector<std::string> names;
  DIR* const open = ::opendir(folder);
  if (open == nullptr) fail(folder);
  while (const dirent* entry = ::readdir(open)) {
    if (std::string_view(entry->d_name).ends_with(".png")) names.emplace_back(entry->d_name);
  }
  ::closedir(open);
  std::sort(names.begin(), names.end());
  return names;
}

void decode_spng(const std::vector<std::uint8_t>& file, std::size_t size, std::uint8_t* pixels) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  spng_set_png_buffer(context.get(), file.data(), size);
  if (spng_decode_image(context.get(), pixels, kPixels, SPNG_FMT_G8, 0) != 0) fail("spng");
}

void decode_libpng(const std::vector<std::uint8_t>& file, std::size_t size, std::uint8_t* pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, file.data(), size) == 0) fail("libpng");
  image.format = PNG_FORMAT_GRAY;
  if (png_image_finish_read(&image, nullptr, pixels, 0, nullptr) == 0) fail("libpng");
}

void work(const std::string& folder, const std::vector<std::string>& names, std::size_t first,
          std::size_t last, bool spng, const std::string& model, const std::string& output) {
  std::optional<prs::Engine> engine;
  if (model != "none") {
    prs::EngineOptions options;
    options.threads = 1;
    options.device = "cpu";
    engine = prs::Engine::load(model, options);
  }
  std::FILE* const rows = std::fopen(output.c_str(), "w");
  if (rows == nullptr) fail(output);
  std::vector<std::uint8_t> file(std::size_t{1} << 16);
  std::vector<std::uint8_t> pixels(kBatch * kPixels);
  for (std::size_t begin = first; begin < last; begin += kBatch) {
    const std::size_t count = std::min(kBatch, last - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = ::open((folder + "/" + names[begin + i]).c_str(), O_RDONLY | O_CLOEXEC);
      const ssize_t size = ::read(fd, file.data(), file.size());
      ::close(fd);
      if (size <= 0) fail(names[begin + i]);
      (spng ? decode_spng : decode_libpng)(file, static_cast<std::size_t>(size),
                                           pixels.data() + i * kPixels);
    }
    if (!engine) continue;
    const auto images = static_cast<std::int64_t>(count);
    const auto best =
        engine->classify({prs::DType::kUint8, {images, 1, kSide, kSide}, pixels.data()});
    for (std::size_t i = 0; i < count; ++i) {
      std::fprintf(rows, "%s: %s\n", names[begin + i].c_str(), best[i].top[0].label.c_str());
    }
  }
  std::fclose(rows);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) fail("FOLDER OUTPUT PROCESSES spng|libpng MODEL|none");
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> names = names_in(argv[1]);
  const std::size_t processes = std::strtoul(argv[3], nullptr, 10);
  std::vector<pid_t> children;
  for (std::size_t p = 0; p < processes; ++p) {
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      work(argv[1], names, names.size() * p / processes, names.size() * (p + 1) / processes,
           std::strcmp(argv[4], "spng") == 0, argv[5], argv[2] + std::to_string(p));
      return 0;
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) fail("a process failed");
  }
  std::printf("%.6f\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return 0;
}
