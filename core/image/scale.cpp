// OpenCV is loaded at its first use. It brings libraries (OpenBLAS, TBB, X11) whose loading takes
// longer than the rest of a start, and images of the model's own size need none of it. Hence also
// its C interface: what is looked up by name has no part in headers.
#include "image/scale.hpp"

#include <dlfcn.h>

#include <opencv2/imgproc/imgproc_c.h>
#include <exception>
#include <new>

#include "image/codec.hpp"

namespace prs::image {
namespace {

struct OpenCv {
  decltype(&::cvCvtColor) convert = nullptr;
  decltype(&::cvResize) resize = nullptr;

  OpenCv() {
    void* const library = found(::dlopen(PRS_OPENCV_IMGPROC, RTLD_NOW | RTLD_LOCAL));
    convert = reinterpret_cast<decltype(convert)>(found(::dlsym(library, "cvCvtColor")));
    resize = reinterpret_cast<decltype(resize)>(found(::dlsym(library, "cvResize")));
  }

 private:
  static void* found(void* what) {
    if (what != nullptr) return what;
    fail(ErrorCode::kUnavailable,
         "images of another size or colour than the model's need OpenCV: {}; install Debian's "
         "libopencv-imgproc406",
         ::dlerror());
  }
};

/// Calls one of OpenCV's functions, whose exceptions derive from std::exception.
template <typename Call>
void with_opencv(const Call& call) {
  static const OpenCv opencv;  // Loaded once, and never unloaded.
  try {
    call(opencv);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorCode::kInternal, "OpenCV: {} [this is a bug]", error.what());
  }
}

/// OpenCV's view of the pixels; it never writes through the views of sources.
CvMat view_of(const Image& image) {
  return ::cvMat(static_cast<int>(image.height), static_cast<int>(image.width),
                 image.channels == 1 ? CV_8UC1 : CV_8UC3,
                 const_cast<std::uint8_t*>(image.pixels.data()));
}

}  // namespace

Image with_channels(Image image, std::int64_t channels) {
  if (image.channels == channels) return image;
  Image result = make_image(image.width, image.height, channels);
  const CvMat from = view_of(image);
  CvMat to = view_of(result);
  with_opencv([&](const OpenCv& opencv) {
    opencv.convert(&from, &to, channels == 1 ? CV_RGB2GRAY : CV_GRAY2RGB);
  });
  return result;
}

Image resized(const Image& image, std::int64_t width, std::int64_t height) {
  Image result = make_image(width, height, image.channels);
  const bool shrinks = width <= image.width && height <= image.height;
  const CvMat from = view_of(image);
  CvMat to = view_of(result);
  with_opencv([&](const OpenCv& opencv) {
    opencv.resize(&from, &to, shrinks ? CV_INTER_AREA : CV_INTER_LINEAR);
  });
  return result;
}

}  // namespace prs::image
