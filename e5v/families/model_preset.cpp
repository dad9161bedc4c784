#include "e5v/families/model_preset.h"

#include <fmt/ranges.h>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

std::vector<ModelPreset> all_presets() {
  std::vector<ModelPreset> presets;
  for (const auto& of_family : {&llava_presets, &clip_presets, &qwen3_vl_presets}) {
    for (ModelPreset& preset : of_family()) presets.push_back(std::move(preset));
  }
  return presets;
}

}  // namespace

Json one_tile_preprocessor_config(const Json& config, std::string_view processor_class) {
  const Json& tile = config.at("vision_config").at("image_size");
  return {{"crop_size", {{"height", tile}, {"width", tile}}},
          {"do_center_crop", true},
          {"do_convert_rgb", true},
          {"do_normalize", true},
          {"do_rescale", true},
          {"do_resize", true},
          {"image_mean", {0.5, 0.5, 0.5}},
          {"image_processor_type", "CLIPImageProcessor"},
          {"image_std", {0.5, 0.5, 0.5}},
          {"processor_class", processor_class},
          {"resample", 3},
          {"rescale_factor", 1.0 / 255.0},
          {"size", {{"shortest_edge", tile}}}};
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const ModelPreset& preset : all_presets()) names.push_back(preset.name);
  return names;
}

ModelPreset model_preset(std::string_view name) {
  for (ModelPreset& preset : all_presets()) {
    if (preset.name == name) return std::move(preset);
  }
  throw ConfigError(fmt::format("there is no preset '{}', expected one of {}", printable(name),
                                fmt::join(preset_names(), ", ")));
}

}  // namespace e5v::detail
