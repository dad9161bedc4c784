#include "e5v/image/image_processor_config.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr int64_t kMaxTileSide = 4096;
constexpr int64_t kMaxCanvasSide = 65536;
constexpr size_t kMaxPinpoints = 1024;
constexpr int64_t kMaxTiles = 1024;
constexpr int64_t kMaxCanvasPixels = int64_t{1} << 26;

enum class ProcessorKind { kAnyres, kLlava, kClip };

ProcessorKind find_kind(const Json& json) {
  std::string type = field_or<std::string>(json, "image_processor_type", "");
  if (type.empty()) type = field_or<std::string>(json, "feature_extractor_type", "");
  for (const std::string_view suffix : {"Fast", "Pil"}) {  // transformers' backends
    if (type.ends_with(suffix)) type.erase(type.size() - suffix.size());
  }
  if (type == "LlavaNextImageProcessor") return ProcessorKind::kAnyres;
  if (type == "LlavaImageProcessor") return ProcessorKind::kLlava;
  if (type == "CLIPImageProcessor" || type == "CLIPFeatureExtractor") return ProcessorKind::kClip;
  if (!type.empty()) {
    throw ConfigError(
        fmt::format("'image_processor_type' is '{}', expected "
                    "LlavaNextImageProcessor, LlavaImageProcessor or "
                    "CLIPImageProcessor",
                    printable(type)));
  }
  const auto pinpoints = json.find("image_grid_pinpoints");
  return pinpoints != json.end() && !pinpoints->is_null() ? ProcessorKind::kAnyres
                                                          : ProcessorKind::kClip;
}

int64_t parse_side(const Json& value, const std::string& field) {
  if (!value.is_number_integer()) {
    throw ConfigError(
        fmt::format("'{}' has {}, expected a number of pixels", field, printable(value.dump())));
  }
  return value.get<int64_t>();
}

/// [height, width].
std::optional<ImageSize> parse_pair(const Json& value, const std::string& field) {
  if (!value.is_array() || value.size() != 2) return std::nullopt;
  return ImageSize{parse_side(value[0], field), parse_side(value[1], field)};
}

/// {"height": h, "width": w}.
std::optional<ImageSize> parse_height_width(const Json& value) {
  if (!value.is_object()) return std::nullopt;
  const auto height = find_field<int64_t>(value, "height");
  const auto width = find_field<int64_t>(value, "width");
  if (!height || !width) return std::nullopt;
  return ImageSize{*height, *width};
}

void parse_size(const Json& value, ImageProcessorConfig& config) {
  config.shortest_edge = 0;
  if (value.is_number_integer()) {
    config.shortest_edge = value.get<int64_t>();
  } else if (const auto pair = parse_pair(value, "size")) {
    config.size = *pair;
  } else if (const auto size = parse_height_width(value)) {
    config.size = *size;
  } else if (value.is_object() && find_field<int64_t>(value, "shortest_edge") &&
             !find_field<int64_t>(value, "longest_edge")) {
    config.shortest_edge = require_field<int64_t>(value, "shortest_edge");
  } else {
    throw ConfigError(
        fmt::format("'size' is {}, expected a number, 'shortest_edge', or 'height' "
                    "and 'width'",
                    printable(value.dump())));
  }
}

ImageSize parse_crop_size(const Json& value) {
  if (value.is_number_integer()) return {value.get<int64_t>(), value.get<int64_t>()};
  if (const auto pair = parse_pair(value, "crop_size")) return *pair;
  if (const auto size = parse_height_width(value)) return *size;
  throw ConfigError(fmt::format("'crop_size' is {}, expected a number, or 'height' and 'width'",
                                printable(value.dump())));
}

std::vector<ImageSize> parse_pinpoints(const Json& value) {
  std::vector<ImageSize> pinpoints;
  if (!value.is_array()) {
    throw ConfigError(
        fmt::format("'image_grid_pinpoints' is a {}, expected a list of [height, "
                    "width]",
                    value.type_name()));
  }
  for (const Json& item : value) {
    const auto pair = parse_pair(item, "image_grid_pinpoints");
    if (!pair) {
      throw ConfigError(fmt::format("'image_grid_pinpoints' has {}, expected [height, width]",
                                    printable(item.dump())));
    }
    pinpoints.push_back(*pair);
  }
  return pinpoints;
}

void parse_channels(const Json& json, const std::string& field, std::array<double, 3>& channels) {
  const auto values = find_field<std::vector<double>>(json, field);
  if (!values) return;
  if (values->size() != 3) {
    throw ConfigError(
        fmt::format("'{}' has {} values, expected 3 (red, green, blue)", field, values->size()));
  }
  std::copy(values->begin(), values->end(), channels.begin());
}

void check_side(int64_t side, int64_t limit, const char* field) {
  if (side < 1 || side > limit) {
    throw ConfigError(fmt::format("'{}' has {}, expected 1 to {} pixels", field, side, limit));
  }
}

}  // namespace

void PixelScale::read(const Json& json) {
  do_rescale = field_or(json, "do_rescale", do_rescale);
  do_normalize = field_or(json, "do_normalize", do_normalize);
  rescale_factor = field_or(json, "rescale_factor", rescale_factor);
  parse_channels(json, "image_mean", image_mean);
  parse_channels(json, "image_std", image_std);
}

void PixelScale::validate() const {
  for (const double value : image_std) {
    if (!(std::abs(value) > 0)) throw ConfigError("'image_std' has 0, expected other values");
  }
}

std::array<std::array<float, 256>, 3> PixelScale::values() const {
  std::array<std::array<float, 256>, 3> values;
  for (size_t c = 0; c < 3; ++c) {
    const auto mean = static_cast<float>(image_mean[c]), std = static_cast<float>(image_std[c]);
    for (int byte = 0; byte < 256; ++byte) {
      // The reference's precisions: the product in double, rounded; the rest in float.
      auto value = static_cast<float>(byte);
      if (do_rescale) value = static_cast<float>(byte * rescale_factor);
      if (do_normalize) value = (value - mean) / std;
      values[c][static_cast<size_t>(byte)] = value;
    }
  }
  return values;
}

Resample read_resample(const Json& json) {
  const auto resample = field_or<int64_t>(json, "resample", 3);
  if (resample < 0 || resample > 5) {
    throw ConfigError(fmt::format("'resample' is {}, expected 0 to 5 (PIL's filters)", resample));
  }
  return static_cast<Resample>(resample);
}

ImageProcessorFile find_image_processor(const std::filesystem::path& model_dir) {
  std::filesystem::path path = model_dir / "preprocessor_config.json";
  if (std::filesystem::exists(path)) return {path, read_json(path)};
  path = model_dir / "processor_config.json";
  if (!std::filesystem::exists(path)) {
    throw FileError(model_dir.string(), "cannot find the image processor",
                    "neither preprocessor_config.json nor processor_config.json exists");
  }
  const Json json = read_json(path);
  try {
    return {path, require_field<Json>(json, "image_processor")};
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", printable(path.native(), 4096), error.what()));
  }
}

int64_t ImageProcessorConfig::tile_size() const {
  if (do_center_crop) return crop_size.height;
  return shortest_edge != 0 ? shortest_edge : size.height;
}

ImageProcessorConfig ImageProcessorConfig::from_json(const Json& json) {
  if (!json.is_object()) {
    throw ConfigError(
        fmt::format("an image processor is a {}, expected an object", json.type_name()));
  }
  ImageProcessorConfig config;
  const ProcessorKind kind = find_kind(json);
  const auto field = [&](const char* name) -> const Json* {
    const auto found = json.find(name);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  };
  if (kind == ProcessorKind::kAnyres) {
    config.image_grid_pinpoints = {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
    if (const Json* value = field("image_grid_pinpoints")) {
      config.image_grid_pinpoints = parse_pinpoints(*value);
    }
    if (config.image_grid_pinpoints.empty()) {
      throw ConfigError("'image_grid_pinpoints' is empty, expected at least one [height, width]");
    }
  }
  if (const Json* value = field("size")) parse_size(*value, config);
  if (const Json* value = field("crop_size")) config.crop_size = parse_crop_size(*value);
  config.do_resize = field_or(json, "do_resize", true);
  config.do_center_crop = field_or(json, "do_center_crop", true);
  config.read(json);
  config.pad_to_square = (kind == ProcessorKind::kLlava && field_or(json, "do_pad", false)) ||
                         (kind != ProcessorKind::kAnyres &&
                          field_or<std::string>(json, "image_aspect_ratio", "") == "pad");
  config.resample = read_resample(json);
  config.validate();
  return config;
}

void ImageProcessorConfig::validate() const {
  if (shortest_edge != 0) {
    check_side(shortest_edge, kMaxTileSide, "size");
  } else {
    check_side(size.height, kMaxTileSide, "size");
    check_side(size.width, kMaxTileSide, "size");
  }
  if (do_center_crop) {
    check_side(crop_size.height, kMaxTileSide, "crop_size");
    if (crop_size.height != crop_size.width) {
      throw ConfigError(fmt::format("'crop_size' is {} x {} (w x h), expected a square",
                                    crop_size.width, crop_size.height));
    }
  } else if (shortest_edge == 0 && size.height != size.width) {
    throw ConfigError(
        fmt::format("'size' is {} x {} (w x h), expected a square", size.width, size.height));
  } else if (image_grid_pinpoints.empty() &&
             (!do_resize || (shortest_edge != 0 && !pad_to_square))) {
    throw ConfigError("'do_center_crop' is off and nothing else makes all pictures one size");
  }
  if (image_grid_pinpoints.size() > kMaxPinpoints) {
    throw ConfigError(fmt::format("'image_grid_pinpoints' has {} resolutions, expected at most {}",
                                  image_grid_pinpoints.size(), kMaxPinpoints));
  }
  const int64_t tile = tile_size();
  for (const ImageSize& pinpoint : image_grid_pinpoints) {
    check_side(pinpoint.height, kMaxCanvasSide, "image_grid_pinpoints");
    check_side(pinpoint.width, kMaxCanvasSide, "image_grid_pinpoints");
    if (pinpoint.height % tile != 0 || pinpoint.width % tile != 0 ||
        (pinpoint.height / tile) * (pinpoint.width / tile) > kMaxTiles ||
        pinpoint.height * pinpoint.width > kMaxCanvasPixels) {
      throw ConfigError(
          fmt::format("'image_grid_pinpoints' has [{}, {}], expected multiples of the "
                      "tile's {} pixels, at most {} tiles and {} pixels",
                      pinpoint.height, pinpoint.width, tile, kMaxTiles, kMaxCanvasPixels));
    }
  }
  PixelScale::validate();
}

}  // namespace e5v::detail
