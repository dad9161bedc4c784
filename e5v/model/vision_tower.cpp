#include "e5v/model/vision_tower.h"

#include <fmt/ranges.h>

#include "e5v/base/error.h"

namespace e5v::detail {

// Of towers/.
const VisionTowerKind& clip_vision_tower();
const VisionTowerKind& siglip_vision_tower();
const VisionTowerKind& vit_vision_tower();

namespace {

const std::vector<const VisionTowerKind*>& kinds() {
  static const std::vector<const VisionTowerKind*> all = {
      &clip_vision_tower(), &siglip_vision_tower(), &vit_vision_tower()};
  return all;
}

}  // namespace

const VisionTowerKind& vision_tower_kind(std::string_view model_type) {
  std::vector<std::string> known;
  for (const VisionTowerKind* kind : kinds()) {
    if (kind->defaults.model_type == model_type) return *kind;
    known.push_back(kind->defaults.model_type);
  }
  throw ConfigError(fmt::format("model_type '{}' is not supported, expected {}",
                                printable(model_type), fmt::join(known, " or ")));
}

std::unique_ptr<VisionTower> make_vision_tower(const VisionConfig& config,
                                               const VisionFeatures& features) {
  return vision_tower_kind(config.model_type).make(config, features);
}

}  // namespace e5v::detail
