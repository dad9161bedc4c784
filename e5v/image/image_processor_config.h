#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/image.h"
#include "e5v/image/resize.h"

namespace e5v::detail {

/// How bytes become pixel_values, in every kind of image processor.
struct PixelScale {
  bool do_rescale = true;
  double rescale_factor = 1.0 / 255.0;
  bool do_normalize = true;
  std::array<double, 3> image_mean{0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> image_std{0.26862954, 0.26130258, 0.27577711};

  /// Takes what `json` states of these fields. Throws ConfigError naming the field.
  void read(const Json& json);
  /// Throws ConfigError naming the field and the rule it breaks.
  void validate() const;
  /// The value of each byte in each channel, to the bit as the reference computes it.
  std::array<std::array<float, 256>, 3> values() const;
};

/// `resample` of an image processor, 3 (bicubic) where it is absent. Throws ConfigError.
Resample read_resample(const Json& json);

/// What preprocessor_config.json (or `image_processor` in processor_config.json) says. Absent
/// fields have the defaults of the transformers class that it names.
struct ImageProcessorConfig : PixelScale {
  /// [height, width] in pixels. Empty = no tiling: the picture becomes one tile (LLaVA-1.5, CLIP).
  std::vector<ImageSize> image_grid_pinpoints;

  /// Resize a tile (or the picture, without tiling) before the crop…
  bool do_resize = true;
  /// …so that its shorter side has this many pixels; 0 = to `size` instead.
  int64_t shortest_edge = 224;
  /// …to exactly this size; used where shortest_edge is 0.
  ImageSize size;
  Resample resample = Resample::kBicubic;

  bool do_center_crop = true;
  ImageSize crop_size{224, 224};

  /// Before all else, without tiling: pad with the mean colour to a square ("image_aspect_ratio":
  /// "pad", LlavaImageProcessor's do_pad).
  bool pad_to_square = false;

  /// Sides in pixels of the tiles that come out, which are square.
  int64_t tile_size() const;

  /// Reads the object; `validate`s it. Sizes may be numbers, pairs or objects.
  /// Throws ConfigError naming the field, also for the image processors of other model families.
  static ImageProcessorConfig from_json(const Json& json);
  /// Throws ConfigError naming the field and the rule it breaks.
  void validate() const;
};

/// The object that describes a folder's image processor, and its file.
struct ImageProcessorFile {
  std::filesystem::path path;
  Json json;
};

/// preprocessor_config.json of a checkpoint folder or, without one, `image_processor` in
/// processor_config.json. Throws FileError, FormatError or ConfigError.
ImageProcessorFile find_image_processor(const std::filesystem::path& model_dir);

/// What `read` makes of that object; its errors name the file.
template <class Read>
auto read_image_processor(const std::filesystem::path& model_dir, const Read& read) {
  const ImageProcessorFile file = find_image_processor(model_dir);
  try {
    return read(file.json);
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", printable(file.path.native(), 4096), error.what()));
  }
}

}  // namespace e5v::detail
