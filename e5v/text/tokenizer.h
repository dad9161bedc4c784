#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace e5v::detail {

struct EncodeOptions {
  /// Put the tokens that the model expects around a text (its BOS, usually).
  bool add_special_tokens = true;
  /// Let control tokens written out in the text (`<|eot_id|>`, `<image>`) be control tokens, as the
  /// reference does. Otherwise they are ordinary characters.
  bool allow_special = false;
};

/// A part of a text and whether control tokens written out in it are meant as such.
struct TextSpan {
  std::string_view text;
  bool allow_special = false;
};

/// Ids with a special meaning, where the folder says which they are.
struct SpecialTokenIds {
  std::optional<int64_t> bos;
  std::optional<int64_t> eos;
  std::optional<int64_t> pad;
  std::optional<int64_t> unk;
  /// The placeholder of a picture, `<image>`.
  std::optional<int64_t> image;
};

/// A tokenizer.json as the Hugging Face tokenizers library writes it for byte-pair encodings:
/// byte-level (Llama-3, GPT-2, Qwen2, CLIP) and SentencePiece-style with byte fallback (Llama-2,
/// Vicuna, Mistral, Phi-3). Ids equal that library's. Its `truncation` and `padding` are ignored.
///
/// Control tokens are the added tokens flagged special, those that the folder names as bos, eos,
/// pad, unk or image token, and `<s>`, `</s>`, `<unk>`, `<pad>`, `<image>`. A text makes one only
/// where that is allowed; other added tokens are found everywhere.
///
/// A value: immutable, cheap to copy; every method is const and thread-safe.
class Tokenizer {
 public:
  /// Reads `model_dir`/tokenizer.json and, where they exist, tokenizer_config.json and
  /// special_tokens_map.json (names of special tokens, added tokens missing from tokenizer.json).
  /// Throws FileError if there is no tokenizer.json, FormatError naming file and JSON path if a
  /// file is malformed, inconsistent, or of a kind that is not supported.
  static Tokenizer load(const std::filesystem::path& model_dir);

  /// The same from the text of a tokenizer.json alone; `source` names it in errors.
  static Tokenizer from_json(std::string_view content, std::string_view source);

  /// The ids of `text`, which must be UTF-8.
  /// Throws InputError naming the byte offset where it is not, or if it is longer than 1 GiB.
  std::vector<int64_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The ids of the spans' concatenation, tokenized as one text: words and merges reach across
  /// borders. A control token is found only inside a single span that allows it.
  std::vector<int64_t> encode(std::span<const TextSpan> spans, bool add_special_tokens) const;

  /// The text of `ids`. Bytes that are no UTF-8 become U+FFFD.
  /// Throws InputError for an id that is in no vocabulary.
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens = false) const;

  std::optional<int64_t> token_to_id(std::string_view token) const;
  /// The token as tokenizer.json spells it (`Ġphoto`, `▁photo`, `<0x0A>`), or nullopt.
  std::optional<std::string> id_to_token(int64_t id) const;

  /// One more than the largest id, added tokens included.
  int64_t vocab_size() const;
  const SpecialTokenIds& special_token_ids() const;

 private:
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace e5v::detail
