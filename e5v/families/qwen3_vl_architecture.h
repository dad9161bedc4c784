#pragma once

#include <memory>
#include <string>

#include "e5v/families/qwen3_vl_config.h"
#include "e5v/model/architecture.h"

namespace e5v::detail {

/// Qwen3-VL and Qwen3-VL-Embedding, dense.
class Qwen3VlArchitecture final : public Architecture {
 public:
  explicit Qwen3VlArchitecture(const Qwen3VlConfig& config);
  static std::shared_ptr<const Architecture> from_json(const Json& json);

  const TextConfig& text() const override { return config_.text; }
  const WeightNames& weight_names() const override { return weight_names_; }
  Description describe() const override;
  std::unique_ptr<Model> make_model() const override;
  void visit_published(ParameterVisitor& visitor) const override;
  ChatTemplate chat_template(const std::filesystem::path& model_dir,
                             const Tokenizer& tokenizer) const override;
  int64_t image_token_id(const Tokenizer& tokenizer) const override;
  std::string image_text() const override;
  std::unique_ptr<PictureRules> load_picture_rules(const std::filesystem::path& model_dir,
                                                   const PictureOptions& options) const override;
  std::vector<int64_t> position_ids(std::span<const int64_t> input_ids,
                                    std::span<const PreparedPicture> pictures) const override;
  double picture_flops(const PreparedPicture& picture) const override;
  GgufNames gguf_names() const override;

 private:
  Qwen3VlConfig config_;
  WeightNames weight_names_;
};

}  // namespace e5v::detail
