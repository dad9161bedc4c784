#pragma once

#include <memory>

#include "e5v/families/llava_config.h"
#include "e5v/model/architecture.h"

namespace e5v::detail {

/// LLaVA-1.5 and LLaVA-NeXT, with a text model that is llama, mistral or qwen2 and any vision tower
/// of vision_tower.h.
class LlavaArchitecture final : public Architecture {
 public:
  explicit LlavaArchitecture(const LlavaConfig& config);
  static std::shared_ptr<const Architecture> from_json(const Json& json);

  const TextConfig& text() const override { return config_.text; }
  const WeightNames& weight_names() const override { return weight_names_; }
  Description describe() const override;
  std::unique_ptr<Model> make_model() const override;
  void visit_published(ParameterVisitor& visitor) const override;
  ChatTemplate chat_template(const std::filesystem::path& model_dir,
                             const Tokenizer& tokenizer) const override;
  int64_t image_token_id(const Tokenizer& tokenizer) const override;
  std::unique_ptr<PictureRules> load_picture_rules(const std::filesystem::path& model_dir,
                                                   const PictureOptions& options) const override;
  double picture_flops(const PreparedPicture& picture) const override;
  GgufNames gguf_names() const override;

 private:
  LlavaConfig config_;
  WeightNames weight_names_;
};

}  // namespace e5v::detail
