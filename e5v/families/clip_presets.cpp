#include <cmath>
#include <utility>

#include "e5v/families/model_preset.h"
#include "e5v/model/clip.h"
#include "e5v/text/clip_word_tokenizer.h"

namespace e5v::detail {
namespace {

ModelPreset shapes_mini_clip() {
  const Json tower = {{"hidden_size", 128},         {"intermediate_size", 384},
                      {"num_hidden_layers", 4},     {"num_attention_heads", 4},
                      {"hidden_act", "quick_gelu"}, {"layer_norm_eps", 1e-5},
                      {"projection_dim", 128}};
  Json text = tower, vision = tower;
  text["model_type"] = "clip_text_model";
  text["max_position_embeddings"] = 77;
  vision["model_type"] = "clip_vision_model";
  vision["image_size"] = 48;
  vision["patch_size"] = 8;
  Json config = {{"architectures", Json::array({"CLIPModel"})},
                 {"model_type", "clip"},
                 {"logit_scale_init_value", 2.6592},
                 {"projection_dim", 128},
                 {"transformers_version", "4.41.2"},
                 {"text_config", text},
                 {"vision_config", vision}};
  ModelPreset preset;
  preset.name = "shapes-mini-clip";
  preset.config = std::move(config);
  preset.preprocessor_config = one_tile_preprocessor_config(preset.config, "CLIPProcessor");
  preset.has_words_as_tokens = true;
  preset.make_tokenizer = [](const auto& words) -> ModelPreset::Tokenizer {
    return {clip_word_tokenizer(words), clip_word_tokenizer_config()};
  };
  preset.set_num_tokens = [](Json& json, size_t num_tokens) {
    json["text_config"]["bos_token_id"] = num_tokens - 2;
    json["text_config"]["eos_token_id"] = num_tokens - 1;
    json["text_config"]["pad_token_id"] = num_tokens - 1;
  };
  preset.visit_published = [](const Json& json, ParameterVisitor& visitor) {
    Clip(ClipConfig::from_json(json)).visit_parameters(visitor);
  };
  preset.weight_names = clip_weight_names();
  preset.constants = {{"logit_scale", std::log(1 / 0.07f)}};
  preset.for_training = true;
  return preset;
}

}  // namespace

std::vector<ModelPreset> clip_presets() {
  std::vector<ModelPreset> presets;
  presets.push_back(shapes_mini_clip());
  return presets;
}

}  // namespace e5v::detail
