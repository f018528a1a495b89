// prs._engine: the engine (<prs/engine.hpp>) for Python. The package prs/ around it says what users
// see; prs/__init__.pyi describes every function.
//
// Arrays go in without a copy where they are contiguous, scores are written straight into a NumPy
// array, and the interpreter's lock is free while the engine computes or reads files.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <filesystem>
#include <limits>
#include <mutex>
#include <optional>
#include <prs/engine.hpp>
#include <prs/version.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace prs {
namespace {

namespace fs = std::filesystem;
namespace py = pybind11;
using namespace py::literals;

/// Pixels that run_files() holds at a time.
constexpr std::int64_t kMaxPixelBytes = std::int64_t{64} << 20;

/// Raises `error` as the exception of its code (prs/_errors.py).
void raise(const Error& error) {
  const py::object make = py::module_::import("prs._errors").attr("make_error");
  const py::object exception =
      make(py::str(std::string(error_code_name(error.code()))), error.message());
  PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
}

/// Inside a worker one thread is the default, as for the built-in entry: there are other workers.
bool inside_worker() {
  const py::dict modules = py::module_::import("sys").attr("modules");
  return modules.contains("prs_gpu_host") && !modules["prs_gpu_host"].attr("current")().is_none();
}

/// A shape of NumPy's as one of ours. Throws invalid argument past Shape::kMaxRank.
Shape shape_of(const py::array& array) {
  const std::vector<std::int64_t> extents(array.shape(), array.shape() + array.ndim());
  if (array.ndim() > Shape::kMaxRank) {
    throw Error(ErrorCode::kInvalidArgument,
                "images: " + std::to_string(array.ndim()) + " dimensions; an image has at most 4");
  }
  return Shape(extents);
}

/// `images` as the engine takes them: uint8 and float32 as they are, other floats as float32, in C
/// order; copied only when they are not that already. Raises TypeError for other element types.
py::array contiguous(const py::array& images) {
  const py::dtype type = images.dtype();
  if (type.equal(py::dtype::of<std::uint8_t>())) {
    return py::array_t<std::uint8_t, py::array::c_style>::ensure(images);
  }
  if (type.kind() == 'f') {
    return py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(images);
  }
  throw py::type_error("images: an array of " + py::cast<std::string>(py::str(py::handle(type))) +
                       "; give uint8 pixels (they are preprocessed as the model says), or "
                       "float32 values that are the model's input already");
}

/// The float32 array [images, classes] that scores are written to: `out`, or a new one.
py::array_t<float> scores_array(const std::optional<py::array>& out, std::int64_t images,
                                std::int64_t classes) {
  if (!out) return py::array_t<float>({images, classes});
  const bool fits = out->dtype().equal(py::dtype::of<float>()) && out->writeable() &&
                    (out->flags() & py::array::c_style) != 0 && out->ndim() == 2 &&
                    out->shape(0) == images && out->shape(1) == classes;
  if (!fits) {
    throw Error(ErrorCode::kInvalidArgument,
                "out: needs a writable float32 array in C order of shape (" +
                    std::to_string(images) + ", " + std::to_string(classes) + ")");
  }
  return py::reinterpret_borrow<py::array_t<float>>(*out);
}

/// Calls body(i) for i in [0, count) on `threads` threads; the first exception comes out here.
template <typename Body>
void parallel_for(std::int64_t count, int threads, const Body& body) {
  std::atomic<std::int64_t> next = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (std::int64_t i = 0; (i = next.fetch_add(1)) < count;) body(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, count); ++i) {
      helpers.emplace_back(work);
    }
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

/// Whether the error is one of the file alone, so that the others can still be scored.
bool is_of_file(const Error& error) {
  return error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kIo ||
         error.code() == ErrorCode::kUnsupported;
}

/// The extents of one image in the model's own layout.
std::vector<std::int64_t> extents(const ImageInput& input) {
  switch (input.layout) {
    case Layout::kChw:
      return {input.channels, input.height, input.width};
    case Layout::kHwc:
      return {input.height, input.width, input.channels};
    case Layout::kHw:
      return {input.height, input.width};
    case Layout::kFlat:
      break;
  }
  return {input.height * input.width * input.channels};
}

/// Scores image files, some at a time. Used without the interpreter's lock.
class FileScorer {
 public:
  FileScorer(const Engine& engine, bool resize, std::int64_t max_pixels)
      : engine_(engine),
        options_{.channels = engine.input().channels,
                 .height = engine.input().height,
                 .width = engine.input().width,
                 .resize = resize,
                 .max_pixels = max_pixels},
        image_bytes_(options_.height * options_.width * options_.channels) {}

  /// Writes `scores`, [paths, classes], NaN for a file that failed; gives its message, else "".
  std::vector<std::string> run(const std::vector<fs::path>& paths, float* scores) {
    const auto count = static_cast<std::int64_t>(paths.size());
    std::vector<std::string> errors(paths.size());
    const std::int64_t chunk =
        std::clamp<std::int64_t>(kMaxPixelBytes / std::max<std::int64_t>(1, image_bytes_), 1,
                                 std::max<std::int64_t>(1, count));
    pixels_.resize(static_cast<std::size_t>(chunk * image_bytes_));
    for (std::int64_t first = 0; first < count; first += chunk) {
      const std::int64_t size = std::min(chunk, count - first);
      read(&paths[static_cast<std::size_t>(first)], &errors[static_cast<std::size_t>(first)], size);
      score(&errors[static_cast<std::size_t>(first)], size, scores + first * engine_.classes());
    }
    return errors;
  }

 private:
  std::uint8_t* image(std::int64_t i) { return pixels_.data() + i * image_bytes_; }

  void read(const fs::path* paths, std::string* errors, std::int64_t count) {
    parallel_for(count, engine_.threads(), [&](std::int64_t i) {
      try {
        arrange_pixels(read_image(paths[i], options_), engine_.input().layout, image(i));
      } catch (const Error& error) {
        if (!is_of_file(error)) throw;
        errors[i] = error.message();
      }
    });
  }

  /// Images that could be read move together, are scored as one batch, and their scores move apart.
  void score(const std::string* errors, std::int64_t count, float* scores) {
    const std::int64_t classes = engine_.classes();
    std::int64_t good = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      if (!errors[i].empty()) continue;
      if (good != i) std::memcpy(image(good), image(i), static_cast<std::size_t>(image_bytes_));
      ++good;
    }
    engine_.run(
        {DType::kUint8, {good, options_.height, options_.width, options_.channels}, pixels_.data()},
        {scores, static_cast<std::size_t>(good * classes)});
    for (std::int64_t i = count - 1; i >= 0; --i) {
      float* const row = scores + i * classes;
      if (!errors[i].empty()) {
        std::fill_n(row, classes, std::numeric_limits<float>::quiet_NaN());
      } else if (--good != i) {
        std::memcpy(row, scores + good * classes,
                    static_cast<std::size_t>(classes) * sizeof(float));
      }
    }
  }

  const Engine& engine_;
  const DecodeOptions options_;
  const std::int64_t image_bytes_;
  std::vector<std::uint8_t> pixels_;  // [chunk, extents]
};

/// The engine and the path it came from.
struct LoadedModel {
  Engine engine;
  std::string path;
};

using Numbers = std::optional<std::vector<double>>;
using Count = std::optional<std::int64_t>;

LoadedModel load(const fs::path& model, const std::string& device, const std::string& precision,
                 std::optional<int> threads, std::int64_t max_batch, const std::string& output,
                 const std::optional<std::vector<std::string>>& labels, std::optional<double> scale,
                 const Numbers& mean, const Numbers& std, std::optional<bool> invert,
                 const std::optional<std::string>& channel_order,
                 const std::optional<std::string>& layout, Count channels, Count height,
                 Count width) {
  EngineOptions options;
  options.device = device;
  options.precision = parse_precision(precision);
  options.threads = threads ? *threads : inside_worker() ? 1 : 0;
  options.max_batch = max_batch;
  options.output = output;
  options.labels = labels;
  PreprocessOverrides& preprocess = options.preprocess;
  preprocess.scale = scale;
  preprocess.mean = mean;
  preprocess.std = std;
  preprocess.invert = invert;
  if (channel_order) {
    if (*channel_order != "rgb" && *channel_order != "bgr") {
      throw Error(ErrorCode::kInvalidArgument,
                  "channel_order: '" + *channel_order + "'; allowed: rgb, bgr");
    }
    preprocess.bgr = *channel_order == "bgr";
  }
  if (layout) preprocess.layout = parse_layout(*layout);
  preprocess.channels = channels;
  preprocess.height = height;
  preprocess.width = width;
  const py::gil_scoped_release unlocked;
  return {Engine::load(model, options), model.string()};
}

py::array_t<float> run(const LoadedModel& self, const py::array& images,
                       const std::optional<py::array>& out) {
  const py::array pixels = contiguous(images);
  const TensorView view{pixels.dtype().kind() == 'u' ? DType::kUint8 : DType::kFloat32,
                        shape_of(pixels), pixels.data()};
  if (view.shape.rank() == 0) {
    throw Error(ErrorCode::kInvalidArgument, "images: a single number; give a batch of images");
  }
  py::array_t<float> scores = scores_array(out, view.shape[0], self.engine.classes());
  const std::span<float> destination(scores.mutable_data(),
                                     static_cast<std::size_t>(scores.size()));
  const py::gil_scoped_release unlocked;
  self.engine.run(view, destination);
  return scores;
}

py::object run_files(const LoadedModel& self, const std::vector<fs::path>& paths, bool resize,
                     std::int64_t max_pixels) {
  py::array_t<float> scores({static_cast<std::int64_t>(paths.size()), self.engine.classes()});
  float* const destination = scores.mutable_data();
  std::vector<std::string> failures;
  {
    const py::gil_scoped_release unlocked;
    failures = FileScorer(self.engine, resize, max_pixels).run(paths, destination);
  }
  py::list errors;
  for (const std::string& failure : failures) {
    // A message may name a file whose name is no UTF-8.
    errors.append(failure.empty() ? py::object(py::none())
                                  : py::bytes(failure).attr("decode")("utf-8", "surrogateescape"));
  }
  return py::module_::import("prs._errors").attr("FileScores")(scores, errors);
}

std::string label(const LoadedModel& self, std::int64_t index) {
  if (index < 0 || index >= self.engine.classes()) {
    throw py::index_error("class " + std::to_string(index) + " of " +
                          std::to_string(self.engine.classes()));
  }
  const std::span<const std::string> labels = self.engine.labels();
  return labels.empty() ? std::to_string(index) : labels[static_cast<std::size_t>(index)];
}

}  // namespace
}  // namespace prs

PYBIND11_MODULE(_engine, module) {
  namespace py = pybind11;
  using namespace py::literals;
  using prs::LoadedModel;
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const prs::Error& error) {
      prs::raise(error);
    }
  });
  module.attr("__version__") = std::string(prs::build_info().version);
  py::class_<LoadedModel> engine(module, "Engine");
  engine.attr("__module__") = "prs";
  const py::none unset;
  engine
      .def(py::init(&prs::load), "model"_a, py::kw_only(), "device"_a = "auto",
           "precision"_a = "fp32", "threads"_a = unset,
           "max_batch"_a = prs::EngineOptions().max_batch, "output"_a = "", "labels"_a = unset,
           "scale"_a = unset, "mean"_a = unset, "std"_a = unset, "invert"_a = unset,
           "channel_order"_a = unset, "layout"_a = unset, "channels"_a = unset, "height"_a = unset,
           "width"_a = unset)
      .def("run", &prs::run, "images"_a, py::kw_only(), "out"_a = unset)
      .def("run_files", &prs::run_files, "paths"_a, py::kw_only(), "resize"_a = false,
           "max_pixels"_a = prs::DecodeOptions().max_pixels)
      .def("label", &prs::label, "index"_a)
      .def_property_readonly("classes",
                             [](const LoadedModel& self) { return self.engine.classes(); })
      .def_property_readonly("labels",
                             [](const LoadedModel& self) {
                               const auto labels = self.engine.labels();
                               return std::vector<std::string>(labels.begin(), labels.end());
                             })
      .def_property_readonly("input_shape",
                             [](const LoadedModel& self) {
                               return py::tuple(py::cast(prs::extents(self.engine.input())));
                             })
      .def_property_readonly("device", [](const LoadedModel& self) { return self.engine.device(); })
      .def_property_readonly("precision",
                             [](const LoadedModel& self) {
                               return std::string(prs::precision_name(self.engine.precision()));
                             })
      .def_property_readonly("threads",
                             [](const LoadedModel& self) { return self.engine.threads(); })
      .def("__repr__", [](const LoadedModel& self) {
        return py::str("prs.Engine({!r}, device={!r}, precision={!r}, threads={})")
            .format(self.path, self.engine.device(),
                    std::string(prs::precision_name(self.engine.precision())),
                    self.engine.threads());
      });
}
