#include "e5v/model/presets.h"

#include <fmt/ranges.h>

#include <utility>

#include "e5v/base/error.h"

namespace e5v {
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
  return {std::move(name), std::move(config), num_text_tokens};
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
  return {"shapes-mini",
          {{"architectures", Json::array({"LlavaForConditionalGeneration"})},
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
           {"text_config", text}},
          0,
          true};
}

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
  return {"shapes-mini-clip",
          {{"architectures", Json::array({"CLIPModel"})},
           {"model_type", "clip"},
           {"logit_scale_init_value", 2.6592},
           {"projection_dim", 128},
           {"transformers_version", "4.41.2"},
           {"text_config", text},
           {"vision_config", vision}},
          0,
          true};
}

}  // namespace

const std::vector<std::string>& preset_names() {
  static const std::vector<std::string> names = {"tiny", "1b", "e5v-8b", "shapes-mini",
                                                 "shapes-mini-clip"};
  return names;
}

ModelPreset model_preset(std::string_view name) {
  if (name == "shapes-mini") return shapes_mini();
  if (name == "shapes-mini-clip") return shapes_mini_clip();
  if (name == "tiny") {
    return llava_next("tiny", 492,
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
                       {"projection_dim", 16}});
  }
  if (name == "1b") {
    return llava_next("1b", 32000 - kNumControlTokens,
                      {{"hidden_size", 2048},
                       {"intermediate_size", 5632},
                       {"num_hidden_layers", 22},
                       {"num_attention_heads", 32},
                       {"num_key_value_heads", 4},
                       {"rope_theta", 10000.0}},
                      clip_vit_large_336());
  }
  if (name == "e5v-8b") {
    return llava_next("e5v-8b", 128000,
                      {{"hidden_size", 4096},
                       {"intermediate_size", 14336},
                       {"num_hidden_layers", 32},
                       {"num_attention_heads", 32},
                       {"num_key_value_heads", 8},
                       {"rope_theta", 500000.0}},
                      clip_vit_large_336());
  }
  throw ConfigError(fmt::format("there is no preset '{}', expected one of {}", printable(name),
                                fmt::join(preset_names(), ", ")));
}

Json preprocessor_config_for(const Json& config) {
  const Json& tile = config.at("vision_config").at("image_size");
  const bool is_clip = config.at("model_type") == "clip";
  if (is_clip || config.at("model_type") == "llava") {
    // No resizing where pictures have the tower's size, and pixels from -1 to 1.
    return {{"crop_size", {{"height", tile}, {"width", tile}}},
            {"do_center_crop", true},
            {"do_convert_rgb", true},
            {"do_normalize", true},
            {"do_rescale", true},
            {"do_resize", true},
            {"image_mean", {0.5, 0.5, 0.5}},
            {"image_processor_type", "CLIPImageProcessor"},
            {"image_std", {0.5, 0.5, 0.5}},
            {"processor_class", is_clip ? "CLIPProcessor" : "LlavaProcessor"},
            {"resample", 3},
            {"rescale_factor", 1.0 / 255.0},
            {"size", {{"shortest_edge", tile}}}};
  }
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

Json processor_config_for(const Json& config) {
  return {{"image_token", "<image>"},
          {"num_additional_image_tokens", 1},
          {"patch_size", config.at("vision_config").at("patch_size")},
          {"processor_class",
           config.at("model_type") == "llava" ? "LlavaProcessor" : "LlavaNextProcessor"},
          {"vision_feature_select_strategy", config.at("vision_feature_select_strategy")}};
}

}  // namespace e5v
