#include "engine/settings.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "check.hpp"
#include "file.hpp"
#include "graph/graph.hpp"

namespace prs {
namespace {

using nlohmann::json;

constexpr const char* kPixelRange = "Image.NominalPixelRange";
constexpr const char* kPixelFormat = "Image.BitmapPixelFormat";

constexpr std::int64_t kMaxSettingsBytes = std::int64_t{16} << 20;

/// One key of a settings object, converted; nothing when absent.
template <typename T>
std::optional<T> get(const json& object, const char* key, const std::string& origin,
                     const char* wanted) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  try {
    return found->get<T>();
  } catch (const json::exception&) {
    fail_argument("{}: \"{}\" must be {}, not {}", origin, key, wanted,
                  printable(found->dump(-1, ' ', true, json::error_handler_t::replace)));
  }
}

/// A number or a list of numbers.
std::optional<std::vector<double>> get_numbers(const json& object, const char* key,
                                               const std::string& origin) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_number()) return std::vector<double>{found->get<double>()};
  return get<std::vector<double>>(object, key, origin, "a number or a list of numbers");
}

void merge_json(const std::string& text, const std::string& origin, ModelSettings& settings) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) fail_argument("{}: not a JSON object", origin);
  static constexpr const char* kKnown[] = {"task",   "scale",         "mean",   "std",
                                           "invert", "channel_order", "layout", "channels",
                                           "height", "width",         "labels"};
  for (const auto& [key, unused] : object.items()) {
    bool known = false;
    for (const char* name : kKnown) known = known || key == name;
    if (!known) {
      fail_argument(
          "{}: unknown key \"{}\"; known are task, scale, mean, std, invert, channel_order, "
          "layout, channels, height, width, labels",
          origin, printable(key));
    }
  }
  PreprocessOverrides& preprocess = settings.preprocess;
  const auto set = [&](const char* key, auto& target, auto value) {
    if (!value) return;
    target = std::move(value);
    settings.origins[key] = origin;
  };
  set("scale", preprocess.scale, get<double>(object, "scale", origin, "a number"));
  set("mean", preprocess.mean, get_numbers(object, "mean", origin));
  set("std", preprocess.std, get_numbers(object, "std", origin));
  set("invert", preprocess.invert, get<bool>(object, "invert", origin, "true or false"));
  for (const auto& [key, target] : {std::pair{"channels", &preprocess.channels},
                                    {"height", &preprocess.height},
                                    {"width", &preprocess.width}}) {
    set(key, *target, get<std::int64_t>(object, key, origin, "a whole number"));
  }
  try {
    if (const auto layout = get<std::string>(object, "layout", origin, "a string")) {
      set("layout", preprocess.layout, std::optional(parse_layout(*layout)));
    }
  } catch (const Error& error) {
    fail_argument("{}: \"layout\": {}", origin, error.message());
  }
  if (const auto order = get<std::string>(object, "channel_order", origin, "a string")) {
    if (*order != "rgb" && *order != "bgr") {
      fail_argument("{}: \"channel_order\" is \"{}\"; expected \"rgb\" or \"bgr\"", origin,
                    printable(*order));
    }
    set("channel order", preprocess.bgr, std::optional(*order == "bgr"));
  }
  if (auto labels = get<std::vector<std::string>>(object, "labels", origin, "a list of strings")) {
    settings.labels = std::move(*labels);
  }
}

/// ONNX's image metadata (docs/MetadataProps.md of the ONNX project), as WinML exporters write it.
void merge_image_metadata(const std::map<std::string, std::string>& metadata,
                          ModelSettings& settings) {
  const auto value = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  PreprocessOverrides& preprocess = settings.preprocess;
  const std::string range = value(kPixelRange);
  if (range == "NominalRange_0_255") {
    preprocess.scale = 1.0;
  } else if (range == "Normalized_0_1") {
    preprocess.scale = 1.0 / 255.0;
  } else if (range == "Normalized_1_1") {
    preprocess.scale = 1.0 / 255.0;
    preprocess.mean = std::vector<double>{0.5};
    preprocess.std = std::vector<double>{0.5};
  } else {
    settings.unknown_range = range;
  }
  for (const char* name : {"scale", "mean", "std"}) {
    settings.origins[name] = std::string("the model's ") + kPixelRange;
  }
  settings.pixel_format = value(kPixelFormat);
  if (settings.pixel_format == "Rgb8" || settings.pixel_format == "Bgr8") {
    preprocess.bgr = settings.pixel_format == "Bgr8";
    settings.origins["channel order"] = std::string("the model's ") + kPixelFormat;
  }
}

std::int64_t square_root(std::int64_t value) {
  const auto root = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(value))));
  return root * root == value ? root : 0;
}

/// Collects settings with the place each came from.
class Resolver {
 public:
  Resolver(const PortInfo& port, const ModelSettings& settings,
           const PreprocessOverrides& overrides, const std::string& path)
      : port_(port),
        settings_(settings),
        overrides_(overrides),
        what_(path + ": input '" + printable(port.name) + "' " + port.to_string()) {}

  ImageInput run() {
    input_.name = port_.name;
    if (!port_.has_shape)
      fail_argument("{} has no declared shape; it is not an image input", what_);
    shape_ = port_.extents;
    resolve_layout();
    resolve_extents();
    resolve_preprocess();
    return std::move(input_);
  }

 private:
  /// The caller's value, else the model's, else none; notes the origin.
  template <typename T>
  std::optional<T> pick(std::optional<T> PreprocessOverrides::*member, const char* name) {
    if (overrides_.*member) {
      note(name, "given");
      return overrides_.*member;
    }
    if (settings_.preprocess.*member) {
      note(name, "from " + settings_.origins.at(name));
      return settings_.preprocess.*member;
    }
    return std::nullopt;
  }

  void note(const std::string& name, const std::string& from) {
    input_.origins.push_back(name + ": " + from);
  }

  static bool is_channels(std::int64_t extent) { return extent == 1 || extent == 3; }

  Layout infer_layout() const {
    switch (shape_.size()) {
      case 4:
        if (is_channels(shape_[1]) || !is_channels(shape_[3])) return Layout::kChw;
        return Layout::kHwc;
      case 3:
        return shape_[2] == 1 && shape_[1] != 1 ? Layout::kFlat : Layout::kHw;
      case 2:
        return Layout::kFlat;
      default:
        fail_argument(
            "{} is not an image input; expected [N,C,H,W], [N,H,W,C], [N,H,W], [N,H*W] or "
            "[N,H*W,1]",
            what_);
    }
  }

  void resolve_layout() {
    const Layout inferred = infer_layout();
    const auto wanted = pick(&PreprocessOverrides::layout, "layout");
    if (!wanted) {
      input_.layout = inferred;
      note("layout", "from the input's shape");
      return;
    }
    const bool wants_rank_4 = *wanted == Layout::kChw || *wanted == Layout::kHwc;
    const bool fits = wants_rank_4             ? shape_.size() == 4
                      : *wanted == Layout::kHw ? shape_.size() == 3
                                               : shape_.size() == 2 || inferred == Layout::kFlat;
    if (!fits) {
      fail_argument("layout {} does not fit {}; its shape reads as {}", layout_name(*wanted), what_,
                    layout_name(inferred));
    }
    input_.layout = *wanted;
  }

  void resolve_extents() {
    const auto channels = pick(&PreprocessOverrides::channels, "channels");
    const auto height = pick(&PreprocessOverrides::height, "height");
    const auto width = pick(&PreprocessOverrides::width, "width");
    switch (input_.layout) {
      case Layout::kChw:
        input_.channels = shape_[1];
        input_.height = shape_[2];
        input_.width = shape_[3];
        break;
      case Layout::kHwc:
        input_.height = shape_[1];
        input_.width = shape_[2];
        input_.channels = shape_[3];
        break;
      case Layout::kHw:
        input_.channels = 1;
        input_.height = shape_[1];
        input_.width = shape_[2];
        break;
      case Layout::kFlat:
        resolve_flat(channels.value_or(-1), height.value_or(-1), width.value_or(-1));
        break;
    }
    settle(input_.channels, channels, "channels");
    settle(input_.height, height, "height");
    settle(input_.width, width, "width");
    if (!is_channels(input_.channels)) {
      fail_argument("{} takes {} channels; images have 1 or 3", what_, input_.channels);
    }
    if (input_.height < 1 || input_.width < 1) {
      fail_argument("{} takes images of {}x{}", what_, input_.height, input_.width);
    }
  }

  /// [N, pixels]: a square image of one channel, else of three, unless the caller knows better.
  void resolve_flat(std::int64_t channels, std::int64_t height, std::int64_t width) {
    const std::int64_t pixels = shape_[1];
    input_.channels = channels;
    input_.height = height;
    input_.width = width;
    if (pixels < 1) {
      if (channels < 0) input_.channels = 1;
      return;
    }
    if (height > 0 && width > 0) {
      if (channels < 0) input_.channels = pixels / (height * width);
    } else {
      const std::int64_t planes = channels > 0 ? channels : square_root(pixels) > 0 ? 1 : 3;
      const std::int64_t side = pixels % planes == 0 ? square_root(pixels / planes) : 0;
      if (side == 0) {
        fail_argument("{} does not tell the image's size; give height and width", what_);
      }
      input_.channels = planes;
      input_.height = input_.width = side;
    }
    if (input_.channels < 1 || input_.height > pixels || input_.width > pixels ||
        input_.height * input_.width * input_.channels != pixels) {
      fail_argument("{} does not hold {} channels of {}x{}", what_, input_.channels, input_.height,
                    input_.width);
    }
  }

  /// A declared extent binds; an open one takes the wanted value.
  void settle(std::int64_t& extent, const std::optional<std::int64_t>& wanted, const char* name) {
    if (extent < 0 && !wanted) {
      fail_argument("{} leaves the {} open; give it (--{} {})", what_, name,
                    std::string(name) == "channels" ? "channels" : "resize",
                    std::string(name) == "channels" ? "1 or 3" : "WxH");
    }
    if (extent < 0) extent = *wanted;
    if (wanted && *wanted != extent) {
      fail_argument("{} {} does not fit {}", name, *wanted, what_);
    }
  }

  void check_per_channel(const std::vector<double>& values, const char* name) const {
    const auto count = static_cast<std::int64_t>(values.size());
    if (count != 1 && count != input_.channels) {
      fail_argument("{} has {} values; give one, or one for each of the {} channels", name, count,
                    input_.channels);
    }
    for (const double value : values) {
      if (!std::isfinite(value)) fail_argument("{} must be finite", name);
    }
  }

  void check_pixel_range() const {
    if (settings_.unknown_range.empty() || settings_.preprocess.scale || overrides_.scale) return;
    fail_argument(
        "{}: the model's {} is '{}'; known are NominalRange_0_255, Normalized_0_1 and "
        "Normalized_1_1. Give scale, mean and std",
        what_, kPixelRange, printable(settings_.unknown_range));
  }

  void resolve_channel_order() {
    const bool gray = input_.channels == 1;
    // One channel has no order; a format of three on it says nothing that could go wrong.
    if (!gray)
      input_.preprocess.bgr = pick(&PreprocessOverrides::bgr, "channel order").value_or(false);
    const bool told = overrides_.bgr || settings_.preprocess.bgr;
    const std::string& format = settings_.pixel_format;
    if (told || format.empty() || (gray && format == "Gray8")) return;
    fail_argument(
        "{}: the model's {} is '{}'; known are Gray8 for one channel, Rgb8 and Bgr8 for three. "
        "Give the channel order, rgb or bgr",
        what_, kPixelFormat, printable(format));
  }

  void resolve_preprocess() {
    Preprocess& preprocess = input_.preprocess;
    const bool raw = port_.dtype == DType::kUint8;
    if (raw) {
      // The model does its own arithmetic on pixels.
      preprocess.scale = 1.0;
      note("scale", "the model takes u8 pixels itself");
    }
    if (const auto scale = pick(&PreprocessOverrides::scale, "scale")) preprocess.scale = *scale;
    if (const auto mean = pick(&PreprocessOverrides::mean, "mean")) preprocess.mean = *mean;
    if (const auto std = pick(&PreprocessOverrides::std, "std")) preprocess.std = *std;
    if (const auto invert = pick(&PreprocessOverrides::invert, "invert")) {
      preprocess.invert = *invert;
    }
    check_pixel_range();
    resolve_channel_order();
    check_per_channel({preprocess.scale}, "scale");
    check_per_channel(preprocess.mean, "mean");
    check_per_channel(preprocess.std, "std");
    for (const double value : preprocess.std) {
      if (value != 0.0) continue;
      const auto origin = settings_.origins.find("std");
      const bool given = overrides_.std || origin == settings_.origins.end();
      fail_argument("{}: std must not be 0: pixels are divided by it",
                    given ? what_ : origin->second);
    }
    if (raw && (preprocess.scale != 1.0 || preprocess.mean != std::vector<double>{0.0} ||
                preprocess.std != std::vector<double>{1.0} || preprocess.invert)) {
      fail_argument("{} takes u8 pixels as they are; scale, mean, std and invert do not apply",
                    what_);
    }
  }

  const PortInfo& port_;
  const ModelSettings& settings_;
  const PreprocessOverrides& overrides_;
  std::string what_;
  std::vector<std::int64_t> shape_;
  ImageInput input_;
};

std::string read_small_file(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kMaxSettingsBytes) {
    fail_argument("{}: {} bytes are too many for a settings file", path.string(), file.size());
  }
  return file.read_all();
}

}  // namespace

ModelSettings read_settings(const std::filesystem::path& model,
                            const std::map<std::string, std::string>& metadata) {
  ModelSettings settings;
  merge_image_metadata(metadata, settings);
  if (const auto entry = metadata.find("prs"); entry != metadata.end()) {
    merge_json(entry->second, model.string() + " (metadata \"prs\")", settings);
  }
  std::filesystem::path sidecar = model;
  sidecar.replace_extension(".prs.json");
  if (std::filesystem::exists(sidecar)) {
    merge_json(read_small_file(sidecar), sidecar.string(), settings);
  }
  std::filesystem::path labels = model;
  labels.replace_extension(".labels.txt");
  if (settings.labels.empty() && std::filesystem::exists(labels)) {
    settings.labels = read_labels(labels);
  }
  return settings;
}

ImageInput resolve_image_input(const PortInfo& port, const ModelSettings& settings,
                               const PreprocessOverrides& overrides, const std::string& path) {
  return Resolver(port, settings, overrides, path).run();
}

std::vector<std::string> read_labels(const std::filesystem::path& path) {
  const std::string text = read_small_file(path);
  std::vector<std::string> labels;
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    std::string line = text.substr(begin, end - begin);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    labels.push_back(std::move(line));
    begin = end + 1;
  }
  if (labels.empty()) fail_argument("{}: no labels in it", path.string());
  return labels;
}

}  // namespace prs
