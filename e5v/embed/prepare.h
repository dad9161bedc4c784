#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "e5v/image/decode.h"
#include "e5v/image/image_processor.h"
#include "e5v/model/config.h"
#include "e5v/model/packed_batch.h"
#include "e5v/text/prompts.h"
#include "e5v/text/tokenizer.h"

namespace e5v {

/// A picture: a file, the bytes of one, or pixels.
using ImageSource = std::variant<std::filesystem::path, std::vector<std::byte>, Image>;

/// One thing to embed: a text, pictures, or pictures with a text that changes them.
struct Item {
  std::string id;  ///< names the item in results and errors; may be empty
  std::optional<std::string> text;
  std::vector<ImageSource> images;
  std::string task;    ///< a named prompt set; empty = PrepareOptions::task
  std::string prompt;  ///< a whole template with `<image>` and `<sent>`; empty = the task's
};

/// How items become tokens and tiles.
struct PrepareOptions {
  /// A named prompt set: retrieval, cirr, fashioniq-dress, fashioniq-shirt, fashioniq-toptee, sts.
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
  std::vector<ImageTiles> tiles;                     ///< of each picture
  std::vector<std::optional<AnyresLayout>> layouts;  ///< of each picture; see ImageSpan

  int64_t num_tokens() const { return static_cast<int64_t>(input_ids.size()); }
};

/// The id that stands for an image feature in PreparedItem and PackedBatch.
inline constexpr int64_t kImageFeature = -1;

/// Turns items into what the model takes: prompt, tokens, tiles. The one way from a user's item to
/// the model; training, evaluation, search and serving use it too.
///
/// Immutable; `prepare` is thread-safe.
class ItemPreparer {
 public:
  /// `model_dir` holds tokenizer.json and preprocessor_config.json. Throws FileError, FormatError
  /// or ConfigError. The image processor is only looked for when the first picture needs it.
  ItemPreparer(const std::filesystem::path& model_dir, const LlavaConfig& config,
               ImageProcessing rule = ImageProcessing::kCurrent);

  /// Throws InputError (empty item, text too long, `<image>` out of place), FileError or
  /// FormatError (pictures), ConfigError (unknown task).
  PreparedItem prepare(const Item& item, const PrepareOptions& options) const;

  /// The template that `prepare` fills in for this item.
  std::string choose_prompt(const Item& item, const PrepareOptions& options) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  ChatTemplate chat_template() const { return chat_template_; }
  /// Throws the error met when the folder's image processor was read, if it has no valid one.
  const ImageProcessor& image_processor() const;

 private:
  std::vector<int64_t> tokenize(const Item& item, const std::string& prompt,
                                const PrepareOptions& options) const;
  void check_length(const PreparedItem& item) const;

  LlavaConfig config_;
  Tokenizer tokenizer_;
  ChatTemplate chat_template_;
  std::optional<ImageProcessor> image_processor_;
  std::string image_processor_error_;
  int64_t image_token_ = 0;
};

/// The chat template of a backbone, told by its tokens and `model_type`.
ChatTemplate detect_chat_template(const LlavaConfig& config, const Tokenizer& tokenizer);

/// Puts prepared items end to end, in their order.
PackedBatch collate(std::span<const PreparedItem> items, const ImageProcessor* image_processor);

}  // namespace e5v
