#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "e5v/model/text_config.h"
#include "e5v/model/vision_config.h"

namespace e5v::detail {

struct VisionFeatures;
struct VisionTowerKind;

/// config.json of a LLaVA-1.5 or LLaVA-NeXT checkpoint, of transformers 4.39 to 5.x.
struct LlavaConfig {
  enum class Kind { kLlava, kLlavaNext };
  Kind kind = Kind::kLlavaNext;
  TextConfig text;
  VisionConfig vision;
  /// Id of the `<image>` placeholder; may lie outside the embedding table.
  int64_t image_token_index = 32000;
  /// [height, width] in pixels; empty for LLaVA-1.5.
  std::vector<std::pair<int64_t, int64_t>> image_grid_pinpoints;
  /// Index into the tower's hidden states (0 = embeddings); negative counts from the end.
  int64_t vision_feature_layer = -2;
  /// `vision_feature_select_strategy`: "default" drops the class token, "full" keeps it. False for
  /// a tower that has none.
  bool keep_class_token = false;
  Activation projector_hidden_act = Activation::kGelu;
  bool multimodal_projector_bias = true;

  const VisionTowerKind& vision_tower_kind() const;
  /// Which of the tower's states are wanted.
  VisionFeatures vision_features() const;
  /// Number of encoder layers that the chosen feature layer needs.
  int64_t num_vision_layers() const;
  /// Feature vectors that one tile gives.
  int64_t features_per_tile() const { return vision.num_patches() + (keep_class_token ? 1 : 0); }

  static LlavaConfig from_json(const Json& json);
  /// Reads DIR/config.json; errors name the file.
  static LlavaConfig load(const std::filesystem::path& model_dir);
  void validate() const;
};

}  // namespace e5v::detail
