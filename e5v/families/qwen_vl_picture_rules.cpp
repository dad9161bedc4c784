#include "e5v/families/qwen_vl_picture_rules.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

constexpr int64_t kMaxSide = 4096;                // of a cell, in pixels
constexpr int64_t kMaxPixels = int64_t{1} << 29;  // of a resized picture
constexpr double kMaxRatio = 200;                 // of a picture's sides

void check_kind(const Json& json) {
  std::string type = field_or<std::string>(json, "image_processor_type", "");
  for (const std::string_view suffix : {"Fast", "Pil"}) {  // transformers' backends
    if (type.ends_with(suffix)) type.erase(type.size() - suffix.size());
  }
  // transformers has one class for all three; published folders name the others, too.
  for (const char* known :
       {"", "Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor", "Qwen3VLImageProcessor"}) {
    if (type == known) return;
  }
  throw ConfigError(fmt::format("'image_processor_type' is '{}', expected Qwen2VLImageProcessor",
                                printable(type)));
}

}  // namespace

QwenVlImageConfig QwenVlImageConfig::from_json(const Json& json) {
  if (!json.is_object()) {
    throw ConfigError(
        fmt::format("an image processor is a {}, expected an object", json.type_name()));
  }
  check_kind(json);
  QwenVlImageConfig config;
  const auto read = [](const Json& object, const char* key, int64_t& value) {
    value = field_or(object, key, value);
  };
  read(json, "patch_size", config.patch_size);
  read(json, "temporal_patch_size", config.temporal_patch_size);
  read(json, "merge_size", config.merge_size);
  if (const auto size = find_field<Json>(json, "size")) {
    if (!size->is_object()) {
      throw ConfigError("'size' is not an object with 'shortest_edge' and 'longest_edge'");
    }
    read(*size, "shortest_edge", config.min_pixels);
    read(*size, "longest_edge", config.max_pixels);
  }
  read(json, "min_pixels", config.min_pixels);
  read(json, "max_pixels", config.max_pixels);
  config.do_resize = field_or(json, "do_resize", true);
  config.resample = read_resample(json);
  config.PixelScale::read(json);
  config.validate();
  return config;
}

void QwenVlImageConfig::validate() const {
  const auto check = [](const char* name, int64_t value, int64_t limit) {
    if (value >= 1 && value <= limit) return;
    throw ConfigError(fmt::format("'{}' is {}, expected 1 to {}", name, value, limit));
  };
  check("patch_size", patch_size, kMaxSide);
  check("merge_size", merge_size, kMaxSide / patch_size);
  check("temporal_patch_size", temporal_patch_size, 16);
  check("max_pixels", max_pixels, kMaxPixels);
  check("min_pixels", min_pixels, max_pixels);
  PixelScale::validate();
}

ImageSize smart_resize(ImageSize original, int64_t cell_size, int64_t min_pixels,
                       int64_t max_pixels) {
  if (original.height < 1 || original.width < 1) {
    throw InputError(fmt::format("an image of {} x {} pixels (w x h) has nothing to embed",
                                 original.width, original.height));
  }
  const auto height = static_cast<double>(original.height);
  const auto width = static_cast<double>(original.width);
  if (std::max(height, width) / std::min(height, width) > kMaxRatio) {
    throw InputError(fmt::format(
        "an image of {} x {} pixels (w x h) is too thin: one side is over {} times the other",
        original.width, original.height, kMaxRatio));
  }
  const auto cell = static_cast<double>(cell_size);
  // Half to even, as Python rounds; a side may come out as 0.
  const auto sides = [&](double (*round)(double), double scale) {
    return ImageSize{static_cast<int64_t>(round(height * scale / cell)) * cell_size,
                     static_cast<int64_t>(round(width * scale / cell)) * cell_size};
  };
  ImageSize size = sides(std::nearbyint, 1);
  if (size.height * size.width > max_pixels) {
    const double beta = std::sqrt(height * width / static_cast<double>(max_pixels));
    const auto fit = [&](double side) {
      return std::max(cell_size, static_cast<int64_t>(std::floor(side / beta / cell)) * cell_size);
    };
    size = {fit(height), fit(width)};
  } else if (size.height * size.width < min_pixels) {
    const double beta = std::sqrt(static_cast<double>(min_pixels) / (height * width));
    size = sides(std::ceil, beta);
  }
  return size;
}

QwenVlPictureRules::QwenVlPictureRules(const QwenVlImageConfig& config, ImageProcessing rule)
    : config_(config),
      order_(rule == ImageProcessing::kCurrent ? ResizeOrder::kPillow13 : ResizeOrder::kRowsFirst),
      pixel_value_of_byte_(config.values()) {}

PreparedPicture QwenVlPictureRules::prepare(const Image& image) const {
  const int64_t cell = config_.cell_size();
  ImageSize size = smart_resize(image.size(), cell, config_.min_pixels, config_.max_pixels);
  if (!config_.do_resize) {
    size = image.size();
    if (size.height % cell != 0 || size.width % cell != 0) {
      throw InputError(fmt::format(
          "an image has {} x {} pixels (w x h), expected multiples of {}; the image processor's "
          "configuration does not resize",
          size.width, size.height, cell));
    }
  }
  if (size.height * size.width > kMaxPixels || size.height * size.width == 0) {
    throw InputError(fmt::format("an image of {} x {} pixels (w x h) becomes one of {} x {}",
                                 image.width, image.height, size.width, size.height));
  }
  Image resized = resize(image, size, config_.resample, order_);
  const ImageSize grid{size.height / config_.patch_size, size.width / config_.patch_size};
  return {.original = image.size(),
          .num_rows = grid.height * grid.width,
          .rgb = std::move(resized.rgb),
          .layout = {.anyres = {}, .grid = grid}};
}

std::vector<int64_t> QwenVlPictureRules::row_shape() const {
  return {3 * config_.temporal_patch_size * config_.patch_size * config_.patch_size};
}

void QwenVlPictureRules::write_pixel_values(const PreparedPicture& picture,
                                            std::span<float> out) const {
  const ImageSize grid = picture.layout.grid.value();
  const int64_t p = config_.patch_size, m = config_.merge_size;
  const int64_t frames = config_.temporal_patch_size, row_bytes = grid.width * p * 3;
  E5V_ASSERT(out.size() >= picture.rgb.size() * static_cast<size_t>(frames));
  float* value = out.data();
  const auto write_patch = [&](int64_t patch_y, int64_t patch_x) {
    const uint8_t* corner = picture.rgb.data() + patch_y * p * row_bytes + patch_x * p * 3;
    for (size_t channel = 0; channel < 3; ++channel) {
      for (int64_t frame = 0; frame < frames; ++frame) {
        for (int64_t y = 0; y < p; ++y) {
          const uint8_t* byte = corner + y * row_bytes + channel;
          for (int64_t x = 0; x < p; ++x, byte += 3) {
            *value++ = pixel_value_of_byte_[channel][*byte];
          }
        }
      }
    }
  };
  for (int64_t top = 0; top < grid.height; top += m) {
    for (int64_t left = 0; left < grid.width; left += m) {
      for (int64_t i = 0; i < m * m; ++i) write_patch(top + i / m, left + i % m);
    }
  }
}

std::vector<int64_t> QwenVlPictureRules::tokens(const PreparedPicture& picture) const {
  const int64_t count = picture.num_rows / (config_.merge_size * config_.merge_size);
  return std::vector<int64_t>(static_cast<size_t>(count), kImageFeature);
}

ImageSize QwenVlPictureRules::resolution(const PreparedPicture& picture) const {
  const ImageSize grid = picture.layout.grid.value();
  return {grid.height * config_.patch_size, grid.width * config_.patch_size};
}

}  // namespace e5v::detail
