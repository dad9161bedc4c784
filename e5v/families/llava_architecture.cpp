#include "e5v/families/llava_architecture.h"

#include <utility>

#include "e5v/base/error.h"
#include "e5v/families/llava_next.h"
#include "e5v/families/llava_picture_rules.h"
#include "e5v/model/model.h"
#include "e5v/model/vision_tower.h"

namespace e5v::detail {
namespace {

/// Canonical are the names of transformers up to 4.51.
WeightNames names_for(const LlavaConfig& config) {
  const std::string tower = fmt::format("vision_tower.{}", config.vision_tower_kind().prefix);
  WeightNames names;
  names.renamings = {
      // Published, transformers up to 4.51.
      {"language_model.model.", "language_model.model."},
      {"language_model.lm_head.", "language_model.lm_head."},
      {tower, tower},
      // 5.x, save_pretrained: as published, but for the tower.
      {"vision_tower.", tower},
      // 4.52 and later, in memory.
      {"model.language_model.", "language_model.model."},
      {"model." + tower, tower},
      {"model.multi_modal_projector.", "multi_modal_projector."},
      {"model.image_newline", "image_newline"},
      {"lm_head.", "language_model.lm_head."},
      // 5.x, in memory.
      {"model.vision_tower.", tower},
  };
  names.parts = {
      {"vision_tower.", PartKind::kVisionTower, "vision tower"},
      {"multi_modal_projector.", PartKind::kProjector, "projector"},
      {"image_newline", PartKind::kProjector, "image newline"},
      {"language_model.", PartKind::kTextModel, "language model"},
  };
  names.text_layers = "language_model.model.layers.";
  names.text_layers_alone = "model.layers.";
  names.embed_tokens = "language_model.model.embed_tokens.weight";
  names.lm_head = "language_model.lm_head.weight";
  return names;
}

std::string pinpoints_of(const LlavaConfig& config) {
  std::string list;
  for (const auto& [height, width] : config.image_grid_pinpoints) {
    list += fmt::format("{}{}x{}", list.empty() ? "" : ", ", width, height);
  }
  return list.empty() ? "one tile" : list + " (width x height)";
}

}  // namespace

LlavaArchitecture::LlavaArchitecture(const LlavaConfig& config)
    : config_(config), weight_names_(names_for(config)) {}

std::shared_ptr<const Architecture> LlavaArchitecture::from_json(const Json& json) {
  return std::make_shared<LlavaArchitecture>(LlavaConfig::from_json(json));
}

Architecture::Description LlavaArchitecture::describe() const {
  const VisionConfig& vision = config_.vision;
  const bool next = config_.kind == LlavaConfig::Kind::kLlavaNext;
  Description description;
  description.lines = {
      {"architecture", next ? "LLaVA-NeXT" : "LLaVA-1.5"},
      {"text", config_.text.describe()},
      {"vision", fmt::format("{}, {} of {} layers of width {}, {} heads, MLP {}, {} px in patches "
                             "of {}: {} features a tile",
                             config_.vision_tower_kind().title, config_.num_vision_layers(),
                             vision.num_hidden_layers, vision.hidden_size,
                             vision.num_attention_heads, vision.intermediate_size,
                             vision.image_size, vision.patch_size, config_.features_per_tile())},
      {"grids", pinpoints_of(config_)}};
  description.json = {{"architecture", next ? "llava_next" : "llava"},
                      {"vision",
                       {{"num_layers_used", config_.num_vision_layers()},
                        {"hidden_size", vision.hidden_size},
                        {"image_size", vision.image_size},
                        {"features_per_tile", config_.features_per_tile()}}},
                      {"image_grid_pinpoints", config_.image_grid_pinpoints}};
  return description;
}

std::unique_ptr<Model> LlavaArchitecture::make_model() const {
  return std::make_unique<LlavaNext>(config_);
}

void LlavaArchitecture::visit_published(ParameterVisitor& visitor) const {
  LlavaConfig config = config_;
  config.vision_feature_layer = -1;  // all of the tower's layers
  LlavaNext model(config);
  model.visit_parameters(visitor);
  model.visit_unneeded_parameters(visitor);
}

ChatTemplate LlavaArchitecture::chat_template(const std::filesystem::path&,
                                              const Tokenizer& tokenizer) const {
  if (tokenizer.token_to_id("<|start_header_id|>")) return ChatTemplate::kLlama3;
  if (config_.text.model_type == "mistral") return ChatTemplate::kMistral;
  if (tokenizer.token_to_id("<|assistant|>")) return ChatTemplate::kPhi3;
  if (config_.text.model_type == "llama") return ChatTemplate::kVicuna;
  return ChatTemplate::kPlain;
}

int64_t LlavaArchitecture::image_token_id(const Tokenizer& tokenizer) const {
  return tokenizer.special_token_ids().image.value_or(config_.image_token_index);
}

std::unique_ptr<PictureRules> LlavaArchitecture::load_picture_rules(
    const std::filesystem::path& model_dir, const PictureOptions& options) const {
  if (options.min_pixels != 0 || options.max_pixels != 0) {
    throw ConfigError("--min-pixels and --max-pixels are for models of pictures of any size");
  }
  return std::make_unique<LlavaPictureRules>(ImageProcessor::load(model_dir, options.processing),
                                             config_);
}

double LlavaArchitecture::picture_flops(const PreparedPicture& picture) const {
  const VisionConfig& vision = config_.vision;
  const auto D = static_cast<double>(vision.hidden_size);
  const auto I = static_cast<double>(vision.intermediate_size);
  const auto P = static_cast<double>(vision.num_patches());
  const double L = P + (config_.vision_tower_kind().has_class_token ? 1 : 0);
  const auto patch_values = static_cast<double>(3 * vision.patch_size * vision.patch_size);
  const double attention = 4 * L * L * D;  // q·k and weights·v
  const double layer = L * 2 * (4 * D * D + 2 * D * I) + attention;
  const auto width = static_cast<double>(config_.text.hidden_size);
  const double projector =
      static_cast<double>(config_.features_per_tile()) * 2 * (D * width + width * width);
  const double tile = P * 2 * patch_values * D +
                      static_cast<double>(config_.num_vision_layers()) * layer + projector;
  return static_cast<double>(picture.num_rows) * tile;
}

GgufNames LlavaArchitecture::gguf_names() const {
  if (config_.vision.model_type != "clip_vision_model") {
    throw ConfigError(
        fmt::format("a vision tower '{}' is not in llama.cpp's files, expected "
                    "clip_vision_model",
                    config_.vision.model_type));
  }
  GgufNames names;
  names.model_architecture = "llama";
  names.mmproj_architecture = "clip";
  names.interleaves_rotary = true;
  const std::string tower = "vision_tower.vision_model.";
  names.layers = {{weight_names_.text_layers, "blk.", gguf_llama_layer()},
                  {tower + "encoder.layers.", "v.blk.", gguf_clip_layer()}};
  names.others = {{"language_model.model.embed_tokens", "token_embd"},
                  {"language_model.model.norm", "output_norm"},
                  {"language_model.lm_head", "output"},
                  {tower + "embeddings.class_embedding", "v.class_embd"},
                  {tower + "embeddings.patch_embedding", "v.patch_embd"},
                  {tower + "embeddings.position_embedding", "v.position_embd"},
                  {tower + "pre_layrnorm", "v.pre_ln"},
                  {"multi_modal_projector.linear_1", "mm.0"},
                  {"multi_modal_projector.linear_2", "mm.2"},
                  {"image_newline", "model.image_newline"}};
  return names;
}

}  // namespace e5v::detail
