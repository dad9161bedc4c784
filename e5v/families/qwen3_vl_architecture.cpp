#include "e5v/families/qwen3_vl_architecture.h"

#include <fmt/ranges.h>

#include <utility>

#include "e5v/base/error.h"
#include "e5v/families/qwen3_vl.h"
#include "e5v/families/qwen_vl_grid.h"
#include "e5v/families/qwen_vl_picture_rules.h"
#include "e5v/text/folder_chat_template.h"

namespace e5v::detail {
namespace {

/// One layout in all versions of transformers; adapters and parts saved alone lack `model.`.
WeightNames make_weight_names() {
  WeightNames names;
  names.renamings = {
      {"model.language_model.", "model.language_model."},
      {"model.visual.", "model.visual."},
      {"language_model.", "model.language_model."},
      {"visual.", "model.visual."},
  };
  names.parts = {
      {"model.visual.merger.", PartKind::kProjector, "merger"},
      {"model.visual.deepstack_merger_list.", PartKind::kProjector, "DeepStack mergers"},
      {"model.visual.", PartKind::kVisionTower, "vision tower"},
      {"model.language_model.", PartKind::kTextModel, "language model"},
      {"lm_head.", PartKind::kTextModel, "language model"},
  };
  names.text_layers = "model.language_model.layers.";
  names.text_layers_alone = "model.layers.";
  names.embed_tokens = "model.language_model.embed_tokens.weight";
  names.lm_head = "lm_head.weight";
  return names;
}

/// Rows must be cut as the tower takes them.
void require_matching(const QwenVlImageConfig& images, const Qwen3VlVisionConfig& vision) {
  const std::tuple<const char*, int64_t, int64_t> sizes[] = {
      {"patch_size", images.patch_size, vision.patch_size},
      {"temporal_patch_size", images.temporal_patch_size, vision.temporal_patch_size},
      {"merge_size", images.merge_size, vision.spatial_merge_size}};
  for (const auto& [name, of_images, of_vision] : sizes) {
    if (of_images == of_vision) continue;
    throw ConfigError(
        fmt::format("'{}' of the image processor is {}, but config.json's vision_config has {}",
                    name, of_images, of_vision));
  }
}

}  // namespace

Qwen3VlArchitecture::Qwen3VlArchitecture(const Qwen3VlConfig& config)
    : config_(config), weight_names_(make_weight_names()) {}

std::shared_ptr<const Architecture> Qwen3VlArchitecture::from_json(const Json& json) {
  return std::make_shared<Qwen3VlArchitecture>(Qwen3VlConfig::from_json(json));
}

Architecture::Description Qwen3VlArchitecture::describe() const {
  const Qwen3VlVisionConfig& vision = config_.vision;
  const int64_t cell = vision.patch_size * vision.spatial_merge_size;
  Description description;
  description.lines = {
      {"architecture", "Qwen3-VL"},
      {"text", config_.text.describe()},
      {"vision",
       fmt::format("Qwen3-VL ViT, {} layers of width {}, {} heads, MLP {}, patches of {} "
                   "px, {} positions, DeepStack from layers {}",
                   vision.depth, vision.hidden_size, vision.num_heads, vision.intermediate_size,
                   vision.patch_size, vision.num_position_embeddings,
                   fmt::join(vision.deepstack_visual_indexes, ", "))},
      {"pictures", fmt::format("any size, a token for each {} x {} px", cell, cell)}};
  description.json = {{"architecture", "qwen3_vl"},
                      {"vision",
                       {{"num_layers_used", vision.depth},
                        {"hidden_size", vision.hidden_size},
                        {"patch_size", vision.patch_size},
                        {"pixels_per_token_side", cell},
                        {"deepstack_visual_indexes", vision.deepstack_visual_indexes}}}};
  return description;
}

std::unique_ptr<Model> Qwen3VlArchitecture::make_model() const {
  return std::make_unique<Qwen3Vl>(config_);
}

void Qwen3VlArchitecture::visit_published(ParameterVisitor& visitor) const {
  Qwen3Vl model(config_);
  model.visit_parameters(visitor);
  model.visit_unneeded_parameters(visitor);
}

ChatTemplate Qwen3VlArchitecture::chat_template(const std::filesystem::path& model_dir,
                                                const Tokenizer&) const {
  // Base and embedding models differ in nothing else.
  const bool is_embedding =
      folder_chat_template(model_dir).find("Represent the user") != std::string::npos;
  return is_embedding ? ChatTemplate::kQwen3VlEmbedding : ChatTemplate::kChatMl;
}

int64_t Qwen3VlArchitecture::image_token_id(const Tokenizer&) const {
  return config_.image_token_id;
}

std::string Qwen3VlArchitecture::image_text() const {
  return "<|vision_start|><|image_pad|><|vision_end|>";
}

std::unique_ptr<PictureRules> Qwen3VlArchitecture::load_picture_rules(
    const std::filesystem::path& model_dir, const PictureOptions& options) const {
  return read_image_processor(model_dir, [&](const Json& json) {
    QwenVlImageConfig config = QwenVlImageConfig::from_json(json);
    require_matching(config, config_.vision);
    if (options.min_pixels != 0) config.min_pixels = options.min_pixels;
    if (options.max_pixels != 0) config.max_pixels = options.max_pixels;
    config.validate();
    return std::make_unique<QwenVlPictureRules>(config, options.processing);
  });
}

std::vector<int64_t> Qwen3VlArchitecture::position_ids(
    std::span<const int64_t> input_ids, std::span<const PreparedPicture> pictures) const {
  return mrope_position_ids(input_ids, pictures, config_.vision.spatial_merge_size);
}

double Qwen3VlArchitecture::picture_flops(const PreparedPicture& picture) const {
  const Qwen3VlVisionConfig& vision = config_.vision;
  const auto N = static_cast<double>(picture.num_rows), D = static_cast<double>(vision.hidden_size);
  const auto I = static_cast<double>(vision.intermediate_size);
  const auto depth = static_cast<double>(vision.depth);
  const auto joined = static_cast<double>(vision.patches_per_cell()) * D;
  const auto width = static_cast<double>(vision.out_hidden_size);
  const double attention = 4 * N * N * D;  // q·k and weights·v
  const double layer = N * 2 * (4 * D * D + 2 * D * I) + attention;
  const double cells = N / static_cast<double>(vision.patches_per_cell());
  const double merger = cells * 2 * (joined * joined + joined * width);
  const auto num_mergers = static_cast<double>(1 + vision.deepstack_visual_indexes.size());
  return N * 2 * static_cast<double>(vision.patch_values()) * D + depth * layer +
         num_mergers * merger;
}

GgufNames Qwen3VlArchitecture::gguf_names() const {
  GgufNames names;
  names.model_architecture = "qwen3vl";
  names.mmproj_architecture = "clip";
  std::vector<GgufNames::Name> text_layer = gguf_llama_layer();
  text_layer.push_back({"self_attn.q_norm", "attn_q_norm"});
  text_layer.push_back({"self_attn.k_norm", "attn_k_norm"});
  const std::string tower = "model.visual.";
  names.layers = {{weight_names_.text_layers, "blk.", std::move(text_layer)},
                  {tower + "blocks.",
                   "v.blk.",
                   {{"norm1", "ln1"},
                    {"norm2", "ln2"},
                    {"attn.qkv", "attn_qkv"},
                    {"attn.proj", "attn_out"},
                    {"mlp.linear_fc1", "ffn_up"},
                    {"mlp.linear_fc2", "ffn_down"}}}};
  names.others = {{"model.language_model.embed_tokens", "token_embd"},
                  {"model.language_model.norm", "output_norm"},
                  {"lm_head", "output"},
                  {tower + "patch_embed.proj", "v.patch_embd"},
                  {tower + "pos_embed", "v.position_embd"},
                  {tower + "merger.norm", "v.post_ln"},
                  {tower + "merger.linear_fc1", "mm.0"},
                  {tower + "merger.linear_fc2", "mm.2"}};
  // There they are numbered by the tower's layer that they stand behind.
  for (size_t k = 0; k < config_.vision.deepstack_visual_indexes.size(); ++k) {
    const std::string merger = fmt::format("{}deepstack_merger_list.{}.", tower, k);
    const std::string gguf =
        fmt::format("v.deepstack.{}.", config_.vision.deepstack_visual_indexes[k]);
    names.others.push_back({merger + "norm", gguf + "norm"});
    names.others.push_back({merger + "linear_fc1", gguf + "fc1"});
    names.others.push_back({merger + "linear_fc2", gguf + "fc2"});
  }
  return names;
}

}  // namespace e5v::detail
