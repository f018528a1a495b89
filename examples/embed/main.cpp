// Scores images with a model from two threads that share one engine:
//
//   embed MODEL.onnx IMAGE...          image files (PNG, JPEG, ...) of any size
//   embed MODEL.onnx FILE.idx[.gz]     the first eight images of an IDX file
//
// Prints the three best classes of each image.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <future>
#include <string>
#include <vector>

#include <prs/engine.hpp>
#include <prs/image.hpp>

namespace {

// Images of the size and channels that the model wants, one after the other, rows of pixels.
struct Batch {
  std::vector<std::string> names;
  std::vector<std::uint8_t> pixels;  // [N, H, W, C]
};

Batch read_batch(const prs::ImageInput& input, const std::vector<std::string>& arguments) {
  const prs::DecodeOptions options{
      .channels = input.channels, .height = input.height, .width = input.width, .resize = true};
  Batch batch;
  for (const std::string& path : arguments) {
    if (prs::RecordFile::is_record_file(path)) {
      const prs::RecordFile file = prs::RecordFile::open(path);
      const std::int64_t count = std::min<std::int64_t>(8, file.count());
      const prs::TensorView records = file.records(0, count);
      batch.pixels.insert(batch.pixels.end(), records.as<std::uint8_t>(),
                          records.as<std::uint8_t>() + records.bytes());
      for (int i = 0; i < count; ++i) batch.names.push_back(path + "#" + std::to_string(i));
    } else {
      const prs::Image image = prs::read_image(path, options);
      batch.pixels.insert(batch.pixels.end(), image.pixels.begin(), image.pixels.end());
      batch.names.push_back(path);
    }
  }
  return batch;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::fprintf(stderr, "usage: embed MODEL.onnx IMAGE...\n");
    return 2;
  }
  const prs::Engine engine = prs::Engine::load(argv[1]);
  const prs::ImageInput& input = engine.input();
  const Batch batch = read_batch(input, {argv + 2, argv + argc});

  // An engine may be used from any number of threads at once: here each scores half of the images.
  const auto classify = [&](std::int64_t first, std::int64_t count) {
    const std::int64_t image_bytes = input.height * input.width * input.channels;
    const prs::TensorView images{prs::DType::kUint8,
                                 {count, input.height, input.width, input.channels},
                                 batch.pixels.data() + first * image_bytes};
    return engine.classify(images, 3);
  };
  const auto total = static_cast<std::int64_t>(batch.names.size());
  auto front = std::async(std::launch::async, classify, 0, total / 2);
  auto back = std::async(std::launch::async, classify, total / 2, total - total / 2);

  std::vector<prs::Prediction> predictions = front.get();
  for (prs::Prediction& prediction : back.get()) predictions.push_back(std::move(prediction));
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    std::printf("%s:", batch.names[i].c_str());
    for (const prs::Score& best : predictions[i].top) {
      std::printf("  %s (%.2f)", best.label.c_str(), static_cast<double>(best.score));
    }
    std::printf("\n");
  }
  return 0;
} catch (const prs::Error& error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}
