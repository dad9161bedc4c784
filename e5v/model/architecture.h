#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/checkpoint/weight_names.h"
#include "e5v/model/gguf_names.h"
#include "e5v/model/picture_rules.h"
#include "e5v/model/text_config.h"
#include "e5v/text/prompts.h"

namespace e5v::detail {

class Model;
class ParameterVisitor;

/// All that is particular to a family of models, for one config.json of it. Embedder, trainer,
/// quantiser, inspect and server see this and nothing else of a family; families/ has one file for
/// each, families/registry.h finds them.
///
/// Immutable; every method is const and thread-safe.
class Architecture {
 public:
  /// What inspect says of a model.
  struct Description {
    std::vector<std::pair<std::string, std::string>> lines;  ///< label, text
    Json json;                                               ///< an object
  };

  virtual ~Architecture() = default;

  virtual const TextConfig& text() const = 0;
  virtual const WeightNames& weight_names() const = 0;
  virtual Description describe() const = 0;

  /// The model; its parameters have no memory until loaded.
  virtual std::unique_ptr<Model> make_model() const = 0;

  /// Every tensor of a published checkpoint, those that embedding does not need last.
  virtual void visit_published(ParameterVisitor& visitor) const = 0;

  /// The turn of conversation that the backbone of MODEL_DIR was trained on.
  virtual ChatTemplate chat_template(const std::filesystem::path& model_dir,
                                     const Tokenizer& tokenizer) const = 0;

  /// Id of the placeholder of a picture in the text; may lie outside the embedding table.
  virtual int64_t image_token_id(const Tokenizer& tokenizer) const = 0;

  /// What a prompt's `<image>` becomes before it is tokenized: holds that placeholder once.
  virtual std::string image_text() const { return std::string(kImagePlaceholder); }

  /// How the pictures of MODEL_DIR's model are prepared. Throws FileError, FormatError, ConfigError
  /// where the folder does not say, or other than config.json, or the family has no bounds.
  virtual std::unique_ptr<PictureRules> load_picture_rules(const std::filesystem::path& model_dir,
                                                           const PictureOptions& options) const = 0;

  /// Position ids of an item's tokens, [axes][tokens]: axis after axis. Empty = one axis, 0, 1, 2
  /// ….
  virtual std::vector<int64_t> position_ids(std::span<const int64_t> input_ids,
                                            std::span<const PreparedPicture> pictures) const {
    return {};
  }

  /// Floating-point operations of tower and projector for one picture.
  virtual double picture_flops(const PreparedPicture& picture) const = 0;

  /// How llama.cpp's pair of files names the weights. Throws ConfigError if it has no such pair.
  virtual GgufNames gguf_names() const = 0;
};

}  // namespace e5v::detail
