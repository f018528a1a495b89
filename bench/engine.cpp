// bench_engine: our engine as a contender (contender.hpp), from u8 images in memory to scores in
// memory, the preprocessing included. IMAGES is an IDX or NPY file, also compressed.
#include <vector>

#include <prs/engine.hpp>
#include <prs/version.hpp>

#include "contender.hpp"

namespace prs::bench {
namespace {

class OurEngine : public Contender {
 public:
  explicit OurEngine(const Arguments& arguments)
      : engine_(Engine::load(arguments.model, options(arguments))),
        images_(RecordFile::open(arguments.images)) {}

  nlohmann::ordered_json hello() const override {
    const BuildInfo build = build_info();
    return {{"name", "prs-gpu"},
            {"version", build.version},
            {"commit", build.commit},
            {"compiler", build.compiler + ", " + build.build_type},
            {"kernels", build.isa},
            {"flops_per_image", engine_.describe(1).flops_per_image},
            {"bytes_per_image",
             images_.record_shape().elements() + engine_.classes() * std::int64_t{sizeof(float)}}};
  }
  std::int64_t images() const override { return images_.count(); }
  std::span<const float> run(std::int64_t first, std::int64_t batch) override {
    scores_.resize(static_cast<std::size_t>(batch * engine_.classes()));
    engine_.run(images_.records(first, batch), scores_);
    return scores_;
  }

 private:
  static EngineOptions options(const Arguments& arguments) {
    EngineOptions options;
    options.precision = parse_precision(arguments.precision);
    options.device = "cpu";
    options.threads = arguments.threads;
    return options;
  }

  Engine engine_;
  RecordFile images_;
  std::vector<float> scores_;
};

}  // namespace
}  // namespace prs::bench

int main(int argc, char** argv) {
  return prs::bench::serve(argc, argv, [](const prs::bench::Arguments& arguments) {
    try {
      return std::make_unique<prs::bench::OurEngine>(arguments);
    } catch (const prs::Error& error) {
      if (error.code() != prs::ErrorCode::kUnsupported) throw;
      throw prs::bench::Unsupported(error.message());
    }
  });
}
