#include <utility>

#include "e5v/families/llava_architecture.h"
#include "e5v/families/model_preset.h"
#include "e5v/text/preset_tokenizer.h"
#include "e5v/text/word_tokenizer.h"

namespace e5v::detail {
namespace {

constexpr int64_t kNumControlTokens = 256;  // as Llama-3 has them

/// [height, width] of each grid of tiles, in the order of the published models.
Json grid_pinpoints(int64_t tile) {
  return {
      {tile, 2 * tile}, {2 * tile, tile}, {2 * tile, 2 * tile}, {3 * tile, tile}, {tile, 3 * tile}};
}

Json clip_vit_large_336() {
  return {{"model_type", "clip_vision_model"},
          {"hidden_size", 1024},
          {"intermediate_size", 4096},
          {"num_hidden_layers", 24},
          {"num_attention_heads", 16},
          {"image_size", 336},
          {"patch_size", 14},
          {"projection_dim", 768},
          {"vocab_size", 32000}};
}

/// preprocessor_config.json of LLaVA-NeXT: tiles of the tower's size, cut by the pinpoints,
/// normalised as CLIP does.
Json anyres_preprocessor_config(const Json& config) {
  const Json& tile = config.at("vision_config").at("image_size");
  return {{"aspect_ratio_setting", "anyres"},
          {"crop_size", {{"height", tile}, {"width", tile}}},
          {"do_center_crop", true},
          {"do_convert_rgb", true},
          {"do_normalize", true},
          {"do_pad", true},
          {"do_rescale", true},
          {"do_resize", true},
          {"image_grid_pinpoints", config.at("image_grid_pinpoints")},
          {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
          {"image_processor_type", "LlavaNextImageProcessor"},
          {"image_std", {0.26862954, 0.26130258, 0.27577711}},
          {"processor_class", "LlavaNextProcessor"},
          {"resample", 3},
          {"rescale_factor", 1.0 / 255.0},
          {"size", {{"shortest_edge", tile}}}};
}

/// processor_config.json: what the reference needs to count an image's tokens.
Json processor_config(const Json& config) {
  return {{"image_token", "<image>"},
          {"num_additional_image_tokens", 1},
          {"patch_size", config.at("vision_config").at("patch_size")},
          {"processor_class",
           config.at("model_type") == "llava" ? "LlavaProcessor" : "LlavaNextProcessor"},
          {"vision_feature_select_strategy", config.at("vision_feature_select_strategy")}};
}

/// What both kinds of LLaVA have in common.
ModelPreset llava(std::string name, Json config) {
  ModelPreset preset;
  preset.name = std::move(name);
  preset.config = std::move(config);
  preset.processor_config = processor_config(preset.config);
  preset.visit_published = [](const Json& json, ParameterVisitor& visitor) {
    LlavaArchitecture::from_json(json)->visit_published(visitor);
  };
  preset.weight_names = LlavaArchitecture::from_json(preset.config)->weight_names();
  return preset;
}

ModelPreset llava_next(std::string name, int64_t num_text_tokens, Json text, Json vision) {
  const int64_t image_token = num_text_tokens + kNumControlTokens;
  text["architectures"] = Json::array({"LlamaForCausalLM"});
  text["model_type"] = "llama";
  text["hidden_act"] = "silu";
  text["rms_norm_eps"] = 1e-5;
  text["max_position_embeddings"] = 8192;
  text["tie_word_embeddings"] = false;
  text["bos_token_id"] = num_text_tokens;
  text["eos_token_id"] = num_text_tokens + 9;  // <|eot_id|>
  // `<image>` and `<pad>` are added, then the table is rounded up to a multiple of 64.
  text["vocab_size"] = (image_token + 2 + 63) / 64 * 64;
  Json config = {{"architectures", Json::array({"LlavaNextForConditionalGeneration"})},
                 {"model_type", "llava_next"},
                 {"ignore_index", -100},
                 {"image_token_index", image_token},
                 {"pad_token_id", image_token + 1},
                 {"image_grid_pinpoints", grid_pinpoints(vision["image_size"].get<int64_t>())},
                 {"projector_hidden_act", "gelu"},
                 {"tie_word_embeddings", false},
                 {"transformers_version", "4.41.2"},
                 {"use_image_newline_parameter", true},
                 {"vision_feature_layer", -2},
                 {"vision_feature_select_strategy", "default"}};
  config["vision_config"] = std::move(vision);
  config["text_config"] = std::move(text);
  ModelPreset preset = llava(std::move(name), std::move(config));
  preset.preprocessor_config = anyres_preprocessor_config(preset.config);
  preset.make_tokenizer = [num_text_tokens](const auto&) -> ModelPreset::Tokenizer {
    return {preset_tokenizer(num_text_tokens), preset_tokenizer_config()};
  };
  return preset;
}

ModelPreset shapes_mini() {
  const Json text = {{"architectures", Json::array({"LlamaForCausalLM"})},
                     {"model_type", "llama"},
                     {"hidden_act", "silu"},
                     {"hidden_size", 128},
                     {"intermediate_size", 384},
                     {"num_hidden_layers", 4},
                     {"num_attention_heads", 4},
                     {"num_key_value_heads", 4},
                     {"rms_norm_eps", 1e-5},
                     {"rope_theta", 10000.0},
                     {"max_position_embeddings", 512},
                     {"tie_word_embeddings", false},
                     {"bos_token_id", 1},
                     {"eos_token_id", 2},
                     {"pad_token_id", 0}};
  const Json vision = {{"model_type", "clip_vision_model"},
                       {"hidden_size", 128},
                       {"intermediate_size", 384},
                       {"num_hidden_layers", 4},
                       {"num_attention_heads", 4},
                       {"image_size", 48},
                       {"patch_size", 8},
                       {"projection_dim", 128}};
  Json config = {{"architectures", Json::array({"LlavaForConditionalGeneration"})},
                 {"model_type", "llava"},
                 {"ignore_index", -100},
                 {"image_token_index", 5},
                 {"pad_token_id", 0},
                 {"projector_hidden_act", "gelu"},
                 {"tie_word_embeddings", false},
                 {"transformers_version", "4.41.2"},
                 {"vision_feature_layer", -1},
                 {"vision_feature_select_strategy", "default"},
                 {"vision_config", vision},
                 {"text_config", text}};
  ModelPreset preset = llava("shapes-mini", std::move(config));
  preset.preprocessor_config = one_tile_preprocessor_config(preset.config, "LlavaProcessor");
  preset.has_words_as_tokens = true;
  preset.make_tokenizer = [](const auto& words) -> ModelPreset::Tokenizer {
    return {word_tokenizer(words), word_tokenizer_config()};
  };
  preset.for_training = true;
  return preset;
}

}  // namespace

std::vector<ModelPreset> llava_presets() {
  std::vector<ModelPreset> presets;
  presets.push_back(llava_next("tiny", 492,
                               {{"hidden_size", 64},
                                {"intermediate_size", 128},
                                {"num_hidden_layers", 2},
                                {"num_attention_heads", 4},
                                {"num_key_value_heads", 2},
                                {"rope_theta", 500000.0}},
                               {{"model_type", "clip_vision_model"},
                                {"hidden_size", 32},
                                {"intermediate_size", 64},
                                {"num_hidden_layers", 3},
                                {"num_attention_heads", 2},
                                {"image_size", 56},
                                {"patch_size", 14},
                                {"projection_dim", 16}}));
  presets.push_back(llava_next("1b", 32000 - kNumControlTokens,
                               {{"hidden_size", 2048},
                                {"intermediate_size", 5632},
                                {"num_hidden_layers", 22},
                                {"num_attention_heads", 32},
                                {"num_key_value_heads", 4},
                                {"rope_theta", 10000.0}},
                               clip_vit_large_336()));
  presets.push_back(llava_next("e5v-8b", 128000,
                               {{"hidden_size", 4096},
                                {"intermediate_size", 14336},
                                {"num_hidden_layers", 32},
                                {"num_attention_heads", 32},
                                {"num_key_value_heads", 8},
                                {"rope_theta", 500000.0}},
                               clip_vit_large_336()));
  presets.push_back(shapes_mini());
  return presets;
}

}  // namespace e5v::detail
