// How a model wants its images: merged from the model's input shape, its metadata, a sidecar file
// and the caller's overrides, each later one winning.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "prs/engine.hpp"

namespace prs {

/// A model's own statements about its images and classes.
struct ModelSettings {
  PreprocessOverrides preprocess;
  std::vector<std::string> labels;
  /// Where each setting came from by its name: "the model's metadata", "lenet.prs.json".
  std::map<std::string, std::string> origins;
  std::string unknown_range;  ///< An Image.NominalPixelRange that is not known here, or "".
  std::string pixel_format;   ///< Image.BitmapPixelFormat as it stands, or "".
};

/// Reads metadata entry "prs" (JSON, see docs/models.md), or ONNX's image metadata
/// (Image.NominalPixelRange, Image.BitmapPixelFormat), then the sidecar <model stem>.prs.json,
/// which wins. Labels may also come from <model stem>.labels.txt. Throws invalid argument naming
/// file and key.
ModelSettings read_settings(const std::filesystem::path& model,
                            const std::map<std::string, std::string>& metadata);

/// The image input that `port` (the model's only one) describes under these settings.
/// Throws invalid argument when it is no image input or the settings contradict its shape.
ImageInput resolve_image_input(const PortInfo& port, const ModelSettings& settings,
                               const PreprocessOverrides& overrides, const std::string& path);

/// One label a line; a trailing empty line is ignored. Throws io, invalid argument (empty file).
std::vector<std::string> read_labels(const std::filesystem::path& path);

}  // namespace prs
