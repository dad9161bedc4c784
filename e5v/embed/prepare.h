#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "e5v/image/decode.h"
#include "e5v/item.h"
#include "e5v/model/architecture.h"
#include "e5v/model/picture_rules.h"
#include "e5v/text/prompts.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {

struct PackedBatch;

/// How items become tokens and tiles.
struct PrepareOptions {
  /// A named prompt set: retrieval, query, document, cirr, fashioniq-dress,
  /// fashioniq-shirt, fashioniq-toptee, sts.
  std::string task = "retrieval";
  /// A whole template instead, used verbatim; empty = the task's.
  std::string prompt;
  /// Let control tokens written out in a user's text (`<|eot_id|>`, `<image>`) be control tokens.
  bool allow_special = false;
  /// Cut the user's text where the prompt would be longer than the model allows. Otherwise that is
  /// an error.
  bool truncate = false;
  DecodeOptions decode;
};

/// An item as the model takes it, apart from any batch.
struct PreparedItem {
  /// Token ids; kImageFeature at each position of an image feature.
  std::vector<int64_t> input_ids;
  /// [axes][tokens], as Architecture::position_ids has them; empty = 0, 1, 2 ….
  std::vector<int64_t> position_ids;
  std::vector<PreparedPicture> pictures;

  int64_t num_tokens() const { return static_cast<int64_t>(input_ids.size()); }
};

/// Turns items into what the model takes: prompt, tokens, tiles. The one way from a user's item to
/// the model; training, evaluation, search and serving use it too.
///
/// Immutable; `prepare` is thread-safe.
class ItemPreparer {
 public:
  /// `model_dir` holds config.json, tokenizer.json and, for pictures, preprocessor_config.json.
  /// Throws FileError, FormatError or ConfigError; what is wrong with the last file only when a
  /// picture needs it.
  explicit ItemPreparer(const std::filesystem::path& model_dir, const PictureOptions& options = {});

  /// Throws InputError (empty item, text too long, `<image>` out of place), FileError or
  /// FormatError (pictures), ConfigError (unknown task).
  PreparedItem prepare(const Item& item, const PrepareOptions& options) const;

  /// The template that `prepare` fills in for this item.
  std::string choose_prompt(const Item& item, const PrepareOptions& options) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  ChatTemplate chat_template() const { return chat_template_; }
  const Architecture& architecture() const { return *architecture_; }
  /// Throws the error met when the folder's image processor was read, if it has no valid one.
  const PictureRules& picture_rules() const;
  /// Why it has none; empty if it has one.
  const std::string& picture_problem() const { return picture_rules_error_; }

  /// Puts prepared items end to end, in their order.
  PackedBatch collate(std::span<const PreparedItem> items) const;

 private:
  std::vector<int64_t> tokenize(const Item& item, const std::string& prompt,
                                const PrepareOptions& options) const;
  void check_length(const PreparedItem& item) const;

  std::shared_ptr<const Architecture> architecture_;
  Tokenizer tokenizer_;
  ChatTemplate chat_template_;
  std::unique_ptr<const PictureRules> picture_rules_;
  std::string picture_rules_error_;
  int64_t image_token_ = 0;
};

}  // namespace e5v::detail
