// dump_scores MODEL IDX OUTPUT: scores every image of an IDX file and writes the scores as raw
// float32, row after row. The other side of the comparison with ONNX Runtime.
#include <cstdio>
#include <exception>
#include <fstream>
#include <vector>

#include <prs/engine.hpp>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: dump_scores MODEL IDX OUTPUT\n");
    return 2;
  }
  const prs::Engine engine = prs::Engine::load(argv[1]);
  const prs::RecordFile images = prs::RecordFile::open(argv[2]);
  const std::vector<float> scores = engine.run(images.records(0, images.count()));
  std::ofstream output(argv[3], std::ios::binary);
  output.write(reinterpret_cast<const char*>(scores.data()),
               static_cast<std::streamsize>(scores.size() * sizeof(float)));
  if (!output.flush()) {
    std::fprintf(stderr, "dump_scores: cannot write %s\n", argv[3]);
    return 1;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "dump_scores: %s\n", error.what());
  return 1;
}
