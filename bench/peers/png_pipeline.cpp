// A hand-written pipeline over a folder of 28 x 28 gray PNG files, the peer of `prs-gpu run`: list,
// read, decode with libspng, score in batches of 64, write "name: class" rows. No scheduler, no
// retries, no logs.
//
//   png_pipeline FOLDER OUTPUT THREADS LABELS MODEL|none
//   png_pipeline --version
//
// Each thread takes its part of the sorted names and has buffers of its own; the model is shared.
// "none" scores nothing and is the floor of reading and decoding.
#include <dirent.h>
#include <fcntl.h>
#include <spng.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "png_scorer.hpp"

namespace {

using prs::bench::kBatch;
using prs::bench::kClasses;
using prs::bench::kImageBytes;

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

std::vector<std::string> lines_of(const char* path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  if (lines.size() != kClasses) fail(path);
  return lines;
}

void decode(const std::vector<std::uint8_t>& file, std::size_t size, std::uint8_t* pixels) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  spng_set_png_buffer(context.get(), file.data(), size);
  if (spng_decode_image(context.get(), pixels, kImageBytes, SPNG_FMT_G8, 0) != 0) fail("spng");
}

struct Job {
  std::string folder;
  std::vector<std::string> names;
  std::vector<std::string> labels;
  std::unique_ptr<prs::bench::ScoringModel> model;  ///< Null: nothing is scored.
  std::FILE* rows = nullptr;
};

/// The names [first, last).
void work(const Job& job, std::size_t first, std::size_t last) try {
  const std::unique_ptr<prs::bench::Scorer> scorer = job.model ? job.model->scorer() : nullptr;
  const int folder = ::open(job.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail(job.folder);
  std::vector<std::uint8_t> file(std::size_t{1} << 16);
  std::vector<std::uint8_t> pixels(kBatch * kImageBytes);
  std::string rows;
  for (std::size_t begin = first; begin < last; begin += kBatch) {
    const std::size_t count = std::min(kBatch, last - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = ::openat(folder, job.names[begin + i].c_str(), O_RDONLY | O_CLOEXEC);
      const ssize_t size = ::read(fd, file.data(), file.size());
      ::close(fd);
      if (size <= 0) fail(job.names[begin + i]);
      decode(file, static_cast<std::size_t>(size), pixels.data() + i * kImageBytes);
    }
    if (!scorer) continue;
    const float* scores = scorer->score(pixels.data(), count);
    rows.clear();
    for (std::size_t i = 0; i < count; ++i, scores += kClasses) {
      rows += job.names[begin + i];
      rows += ": ";
      rows += job.labels[static_cast<std::size_t>(std::max_element(scores, scores + kClasses) -
                                                  scores)];
      rows += '\n';
    }
    // One call a batch: stdio keeps the calls of several threads apart.
    std::fwrite(rows.data(), 1, rows.size(), job.rows);
  }
  ::close(folder);
} catch (const std::exception& error) {
  fail(error.what());
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("%s, libspng %s\n", prs::bench::runtime_version().c_str(), spng_version_string());
    return 0;
  }
  if (argc != 6) fail("FOLDER OUTPUT THREADS LABELS MODEL|none");
  Job job{argv[1], names_in(argv[1]), lines_of(argv[4]), nullptr, std::fopen(argv[2], "w")};
  if (job.rows == nullptr) fail(argv[2]);
  if (std::string_view(argv[5]) != "none") job.model = prs::bench::load_model(argv[5]);
  const std::size_t count = std::strtoul(argv[3], nullptr, 10);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < count; ++t) {
    threads.emplace_back(work, std::cref(job), job.names.size() * t / count,
                         job.names.size() * (t + 1) / count);
  }
  for (std::thread& thread : threads) thread.join();
  if (std::fclose(job.rows) != 0) fail(argv[2]);
  return 0;
} catch (const std::exception& error) {
  fail(error.what());
}
