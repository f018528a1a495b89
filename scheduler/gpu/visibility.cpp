#include "gpu/visibility.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>

#include "prs/error.hpp"

namespace prs::gpu {
namespace {

constexpr int kMaxCount = 1024;

enum class Form { kIndex, kGpu, kMig };

/// What one entry names: a device (by a key equal for equal devices), or nothing.
struct Reading {
  std::string device = {};
  std::string problem = {};  ///< Why it names none, when `device` is empty.
};

std::string_view trimmed(std::string_view text) {
  const char* const space = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(space) - first + 1);
}

std::vector<std::string_view> split_at_commas(std::string_view list) {
  std::vector<std::string_view> entries;
  for (std::size_t comma = 0; comma != std::string_view::npos;) {
    comma = list.find(',');
    entries.push_back(trimmed(list.substr(0, comma)));
    if (comma != std::string_view::npos) list.remove_prefix(comma + 1);
  }
  return entries;
}

Form form_of(std::string_view entry) {
  if (entry.starts_with("GPU-")) return Form::kGpu;
  return entry.starts_with("MIG-") ? Form::kMig : Form::kIndex;
}

/// The integer an entry begins with, as strtol reads it; nothing when it begins with none.
std::optional<std::int64_t> leading_integer(std::string_view entry) {
  if (entry.starts_with('+')) {
    entry.remove_prefix(1);
    if (entry.starts_with('-')) return std::nullopt;
  }
  std::int64_t value = 0;
  const auto result = std::from_chars(entry.data(), entry.data() + entry.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    return std::numeric_limits<std::int64_t>::max();
  }
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<int> found_count(const Environment& environment) {
  if (!environment.gpu_count_found) return std::nullopt;
  const std::string& text = *environment.gpu_count_found;
  int count = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), count);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || count < 0 ||
      count > kMaxCount) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("AZ_BATCHAI_GPU_COUNT_FOUND is \"{}\"; expected a number in 0..{} (or "
                            "unset it, and the driver is asked)",
                            text, kMaxCount));
  }
  return count;
}

Reading read_index(std::string_view entry, std::int64_t device_count) {
  const std::optional<std::int64_t> index = leading_integer(entry);
  if (!index) return {.problem = "no index, GPU-UUID or MIG-UUID"};
  if (*index >= 0 && *index < device_count) return {.device = std::to_string(*index)};
  if (device_count == 0) return {.problem = "there is no GPU"};
  return {.problem = fmt::format("indices go from 0 to {}", device_count - 1)};
}

/// The only device whose UUID begins with `prefix`.
const Device* find_device(std::string_view prefix, std::span<const Device> devices,
                          std::string& problem) {
  const auto fits = [prefix](const Device& device) { return device.uuid.starts_with(prefix); };
  const auto count = std::count_if(devices.begin(), devices.end(), fits);
  if (count == 1) return &*std::find_if(devices.begin(), devices.end(), fits);
  problem = count == 0 ? std::string("no GPU has this UUID")
                       : fmt::format("{} GPUs have a UUID that begins so", count);
  return nullptr;
}

Reading read_mig(std::string_view entry, std::span<const Device> devices) {
  Reading reading;
  std::string name(entry);
  // The older form may abbreviate the UUID of the GPU.
  const std::size_t slash = entry.find('/');
  if (entry.starts_with("MIG-GPU-") && slash != std::string_view::npos) {
    const std::string_view gpu = entry.substr(4, slash - 4);
    const Device* device = find_device(gpu, devices, reading.problem);
    if (device == nullptr) return reading;
    name = fmt::format("MIG-{}{}", device->uuid, entry.substr(slash));
  }
  for (const Device& device : devices) {
    for (const MigDevice& part : device.mig_devices) {
      if (part.uuid == name || part.old_name == name) return {.device = part.uuid};
    }
  }
  return {.problem = "no MIG device has this name"};
}

/// The whole device that an index or GPU-UUID stands for.
const Device* whole_device(Form form, const Reading& reading, std::span<const Device> devices) {
  if (form == Form::kMig) return nullptr;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string key = form == Form::kIndex ? std::to_string(i) : devices[i].uuid;
    if (key == reading.device) return &devices[i];
  }
  return nullptr;
}

/// Reads the entries of one CUDA_VISIBLE_DEVICES.
class ListReader {
 public:
  ListReader(std::span<const Device> devices, std::optional<int> count)
      : devices_(devices), count_(count) {}

  VisibleDevices read(std::string_view list) {
    const std::vector<std::string_view> entries = split_at_commas(list);
    if (entries.size() == 1 && entries[0].empty()) {
      return {{}, {"CUDA_VISIBLE_DEVICES is empty: no GPU is used"}};
    }
    form_ = form_of(entries[0]);
    VisibleDevices visible;
    std::vector<std::string> seen;
    for (const std::string_view entry : entries) {
      const Reading reading = read_entry(entry);
      if (reading.device.empty()) {
        visible.notes.push_back(
            fmt::format("CUDA_VISIBLE_DEVICES={}: the list ends before \"{}\" ({})", list, entry,
                        reading.problem));
        break;
      }
      if (std::find(seen.begin(), seen.end(), reading.device) != seen.end()) {
        return {{},
                {fmt::format("CUDA_VISIBLE_DEVICES={}: \"{}\" repeats a GPU, which makes all of "
                             "them invisible to CUDA",
                             list, entry)}};
      }
      seen.push_back(reading.device);
      add(entry, reading, visible);
    }
    return visible;
  }

 private:
  Reading read_entry(std::string_view entry) const {
    if (form_of(entry) != form_) {
      return {.problem = "indices, GPU-UUIDs and MIG-UUIDs cannot be mixed"};
    }
    if (form_ == Form::kIndex) {
      const auto known = static_cast<std::int64_t>(devices_.size());
      return read_index(entry, devices_.empty() ? count_.value_or(0) : known);
    }
    if (devices_.empty()) {
      if (!count_) return {.problem = "there is no GPU"};
      return {.device = std::string(entry)};
    }
    if (form_ == Form::kMig) return read_mig(entry, devices_);
    Reading reading;
    const Device* device = find_device(entry, devices_, reading.problem);
    if (device != nullptr) reading.device = device->uuid;
    return reading;
  }

  /// Adds the entry unless its device is partitioned into nothing.
  void add(std::string_view entry, const Reading& reading, VisibleDevices& visible) const {
    const Device* device = whole_device(form_, reading, devices_);
    if (device != nullptr && device->mig_mode) {
      if (device->mig_devices.empty()) {
        visible.notes.push_back(
            fmt::format("CUDA_VISIBLE_DEVICES: \"{}\" is left out: its MIG mode is on and it has "
                        "no MIG devices",
                        entry));
        return;
      }
      visible.notes.push_back(
          fmt::format("CUDA_VISIBLE_DEVICES: \"{}\" is partitioned, so CUDA takes the first of its "
                      "{} MIG devices; name them by MIG-UUID to use them all",
                      entry, device->mig_devices.size()));
    }
    visible.entries.emplace_back(entry);
  }

  std::span<const Device> devices_;
  std::optional<int> count_;
  Form form_ = Form::kIndex;
};

bool any_partitioned(std::span<const Device> devices) {
  return std::any_of(devices.begin(), devices.end(),
                     [](const Device& device) { return device.mig_mode; });
}

/// All devices of the driver.
VisibleDevices all_devices(std::span<const Device> devices) {
  VisibleDevices visible;
  const bool partitioned = any_partitioned(devices);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Device& device = devices[i];
    if (!device.mig_mode) {
      // Beside partitioned devices CUDA's indices are not defined.
      visible.entries.push_back(partitioned ? device.uuid : std::to_string(i));
      continue;
    }
    if (device.mig_devices.empty()) {
      visible.notes.push_back(fmt::format(
          "GPU {} ({}) is left out: its MIG mode is on and it has no MIG devices", i, device.name));
    }
    for (const MigDevice& part : device.mig_devices) visible.entries.push_back(part.uuid);
  }
  return visible;
}

/// AZ_BATCHAI_GPU_COUNT_FOUND's devices where the driver shows fewer or none.
void add_pretended(int count, std::span<const Device> devices, VisibleDevices& visible) {
  const auto shown = static_cast<int>(visible.entries.size());
  if (count <= shown) return;
  const bool partitioned = any_partitioned(devices);
  if (!devices.empty()) {
    visible.notes.push_back(fmt::format(
        "AZ_BATCHAI_GPU_COUNT_FOUND={}, but the driver shows {}{}", count, shown,
        partitioned ? ": the rest is ignored" : ": workers beyond them will find no GPU"));
  }
  // Names of MIG devices cannot be made up.
  if (partitioned) return;
  for (int i = shown; i < count; ++i) visible.entries.push_back(std::to_string(i));
}

}  // namespace

VisibleDevices visible_devices(const Environment& environment, std::span<const Device> devices) {
  const std::optional<int> count = found_count(environment);
  VisibleDevices visible;
  if (environment.cuda_visible_devices) {
    visible = ListReader(devices, count).read(*environment.cuda_visible_devices);
  } else {
    visible = all_devices(devices);
    if (count) add_pretended(*count, devices, visible);
  }
  if (count && visible.entries.size() > static_cast<std::size_t>(*count)) {
    visible.notes.push_back(fmt::format("AZ_BATCHAI_GPU_COUNT_FOUND={}: {} of {} GPUs are used",
                                        *count, *count, visible.entries.size()));
    visible.entries.resize(static_cast<std::size_t>(*count));
  }
  return visible;
}

std::string worker_value(const VisibleDevices& visible, std::span<const int> slots) {
  std::string value;
  for (const int slot : slots) {
    if (slot < 0 || static_cast<std::size_t>(slot) >= visible.entries.size()) {
      throw Error(ErrorCode::kInternal,
                  fmt::format("GPU slot {} of {} [this is a bug]", slot, visible.entries.size()));
    }
    if (!value.empty()) value += ',';
    value += visible.entries[static_cast<std::size_t>(slot)];
  }
  return value;
}

std::optional<std::string> device_order_for_workers(const Environment& environment,
                                                    std::span<const Device> devices) {
  if (devices.empty() || environment.cuda_device_order || environment.cuda_visible_devices) {
    return std::nullopt;
  }
  return "PCI_BUS_ID";
}

}  // namespace prs::gpu
