// bench_opencv: OpenCV's DNN module as a contender.
#include <opencv2/core/version.hpp>
#include <opencv2/dnn.hpp>

#include "contender.hpp"
#include "images.hpp"

namespace prs::bench {
namespace {

class OpenCv : public Contender {
 public:
  explicit OpenCv(const Arguments& arguments)
      : images_(read_images(arguments.images)), net_(cv::dnn::readNetFromONNX(arguments.model)) {
    if (arguments.precision != "fp32") throw Unsupported("computes in fp32 only");
    cv::setNumThreads(arguments.threads);
    net_.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net_.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
  }
  nlohmann::ordered_json hello() const override {
    return {{"name", "OpenCV DNN"}, {"version", CV_VERSION}};
  }
  std::int64_t images() const override { return images_.count; }
  std::span<const float> run(std::int64_t first, std::int64_t batch) override {
    const int extents[] = {static_cast<int>(batch), 1, static_cast<int>(images_.height),
                           static_cast<int>(images_.width)};
    // A view: setInput() copies it, which belongs to what OpenCV offers.
    net_.setInput(cv::Mat(4, extents, CV_32F, const_cast<float*>(images_.image(first))));
    scores_ = net_.forward();
    return {scores_.ptr<float>(), scores_.total()};
  }

 private:
  Images images_;
  cv::dnn::Net net_;
  cv::Mat scores_;
};

}  // namespace
}  // namespace prs::bench

int main(int argc, char** argv) {
  return prs::bench::serve(argc, argv, [](const prs::bench::Arguments& arguments) {
    return std::make_unique<prs::bench::OpenCv>(arguments);
  });
}
