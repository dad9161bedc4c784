#include <utility>

#include "e5v/families/model_preset.h"
#include "e5v/families/qwen3_vl_architecture.h"
#include "e5v/model/model.h"
#include "e5v/text/preset_tokenizer.h"

namespace e5v::detail {
namespace {

/// The embedding models' template for one turn of a user; theirs has tools, videos and answers,
/// too.
constexpr const char* kChatTemplate =
    R"({%- set system = namespace(text='Represent the user\'s input.') -%}
{%- if messages[0].role == 'system' %}{% set system.text = messages[0].content %}{% endif -%}
{{- '<|im_start|>system\n' + system.text + '<|im_end|>\n' }}
{%- for message in messages if message.role == 'user' %}
    {{- '<|im_start|>user\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for content in message.content %}
            {%- if 'text' in content %}
                {{- content.text }}
            {%- else %}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
)";

/// preprocessor_config.json of Qwen3-VL-Embedding.
Json preprocessor_config(const Json& vision) {
  constexpr int64_t kMinPixels = 4096, kMaxPixels = 1310720;
  return {{"do_convert_rgb", true},
          {"do_normalize", true},
          {"do_rescale", true},
          {"do_resize", true},
          {"image_mean", {0.5, 0.5, 0.5}},
          {"image_processor_type", "Qwen2VLImageProcessorFast"},
          {"image_std", {0.5, 0.5, 0.5}},
          {"merge_size", vision.at("spatial_merge_size")},
          {"patch_size", vision.at("patch_size")},
          {"processor_class", "Qwen3VLProcessor"},
          {"resample", 3},
          {"rescale_factor", 1.0 / 255.0},
          {"size", {{"longest_edge", kMaxPixels}, {"shortest_edge", kMinPixels}}},
          {"temporal_patch_size", vision.at("temporal_patch_size")}};
}

ModelPreset qwen3_vl(std::string name, int64_t num_text_tokens, bool tie_word_embeddings, Json text,
                     Json vision) {
  // Behind the text's tokens, as qwen_preset_tokenizer has them.
  const auto control = [&](int64_t i) { return num_text_tokens + i; };
  text["model_type"] = "qwen3_vl_text";
  text["attention_bias"] = false;
  text["bos_token_id"] = control(0);
  text["eos_token_id"] = control(2);
  text["hidden_act"] = "silu";
  text["max_position_embeddings"] = 262144;
  text["rms_norm_eps"] = 1e-6;
  text["rope_theta"] = 5000000;
  vision["model_type"] = "qwen3_vl";
  vision["hidden_act"] = "gelu_pytorch_tanh";
  vision["in_channels"] = 3;
  vision["out_hidden_size"] = text["hidden_size"];
  vision["spatial_merge_size"] = 2;
  vision["temporal_patch_size"] = 2;
  ModelPreset preset;
  preset.name = std::move(name);
  preset.preprocessor_config = preprocessor_config(vision);
  preset.chat_template = kChatTemplate;
  preset.config = {{"architectures", Json::array({"Qwen3VLForConditionalGeneration"})},
                   {"model_type", "qwen3_vl"},
                   {"vision_start_token_id", control(9)},
                   {"vision_end_token_id", control(10)},
                   {"image_token_id", control(12)},
                   {"video_token_id", control(13)},
                   {"tie_word_embeddings", tie_word_embeddings},
                   {"transformers_version", "4.57.1"},
                   {"text_config", std::move(text)},
                   {"vision_config", std::move(vision)}};
  preset.make_tokenizer = [num_text_tokens](const auto&) -> ModelPreset::Tokenizer {
    return {qwen_preset_tokenizer(num_text_tokens), qwen_preset_tokenizer_config()};
  };
  preset.visit_published = [](const Json& json, ParameterVisitor& visitor) {
    // The embedding models are published without a head, be it tied or not.
    Qwen3VlArchitecture::from_json(json)->make_model()->visit_parameters(visitor);
  };
  preset.weight_names = Qwen3VlArchitecture::from_json(preset.config)->weight_names();
  return preset;
}

Json mrope(int64_t time, int64_t height, int64_t width) {
  return {{"mrope_interleaved", true},
          {"mrope_section", {time, height, width}},
          {"rope_type", "default"}};
}

Json published_text(int64_t hidden_size, int64_t intermediate_size, int64_t num_layers,
                    int64_t num_heads) {
  return {{"hidden_size", hidden_size},        {"intermediate_size", intermediate_size},
          {"num_hidden_layers", num_layers},   {"num_attention_heads", num_heads},
          {"num_key_value_heads", 8},          {"head_dim", 128},
          {"rope_scaling", mrope(24, 20, 20)}, {"vocab_size", 151936}};
}

Json published_vision(int64_t hidden_size, int64_t intermediate_size, int64_t depth,
                      std::vector<int64_t> deepstack) {
  return {{"depth", depth},
          {"deepstack_visual_indexes", deepstack},
          {"hidden_size", hidden_size},
          {"intermediate_size", intermediate_size},
          {"num_heads", 16},
          {"num_position_embeddings", 2304},
          {"patch_size", 16}};
}

constexpr int64_t kNumTextTokens = 151643;

}  // namespace

std::vector<ModelPreset> qwen3_vl_presets() {
  std::vector<ModelPreset> presets;
  presets.push_back(qwen3_vl("qwen3-vl-tiny", 492, true,
                             {{"hidden_size", 64},
                              {"intermediate_size", 128},
                              {"num_hidden_layers", 4},
                              {"num_attention_heads", 4},
                              {"num_key_value_heads", 2},
                              {"head_dim", 16},
                              {"rope_scaling", mrope(4, 2, 2)},
                              {"vocab_size", 512}},
                             {{"depth", 4},
                              {"deepstack_visual_indexes", {0, 2, 3}},
                              {"hidden_size", 32},
                              {"intermediate_size", 64},
                              {"num_heads", 2},
                              {"num_position_embeddings", 144},
                              {"patch_size", 16}}));
  presets.push_back(qwen3_vl("qwen3-vl-2b", kNumTextTokens, true,
                             published_text(2048, 6144, 28, 16),
                             published_vision(1024, 4096, 24, {5, 11, 17})));
  presets.push_back(qwen3_vl("qwen3-vl-8b", kNumTextTokens, false,
                             published_text(4096, 12288, 36, 32),
                             published_vision(1152, 4304, 27, {8, 16, 24})));
  return presets;
}

}  // namespace e5v::detail
