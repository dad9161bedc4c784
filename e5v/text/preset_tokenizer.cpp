#include "e5v/text/preset_tokenizer.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/text/byte_level.h"

namespace e5v::detail {
namespace {

/// Llama-3's: contractions, words with one character before them, up to three digits, punctuation,
/// line ends, other space.
constexpr const char* kSplitRegex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Qwen's: the same, but each digit is a word.
constexpr const char* kQwenSplitRegex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Pieces = std::vector<std::string>;

/// A vocabulary that grows merge by merge until it is full.
class SyllableVocabulary {
 public:
  explicit SyllableVocabulary(size_t size) : size_(size) {
    for (int byte = 0; byte < 256; ++byte) {
      add(to_byte_level(std::string(1, static_cast<char>(byte))));
    }
  }

  /// Every piece of `left` followed by every piece of `right`.
  Pieces merge_all(const Pieces& left, const Pieces& right) {
    Pieces merged;
    for (const std::string& a : left) {
      for (const std::string& b : right) {
        if (num_tokens_ == size_) return merged;
        merges_.push_back(Json::array({a, b}));
        merged.push_back(a + b);
        add(merged.back());
      }
    }
    return merged;
  }

  Json take_vocabulary() { return std::move(vocabulary_); }
  Json take_merges() { return std::move(merges_); }

 private:
  void add(const std::string& piece) { vocabulary_[piece] = num_tokens_++; }

  size_t size_;
  size_t num_tokens_ = 0;
  Json vocabulary_ = Json::object();
  Json merges_ = Json::array();
};

Pieces letters(std::string_view all) {
  Pieces pieces;
  for (const char letter : all) pieces.emplace_back(1, letter);
  return pieces;
}

/// No two of these make the same piece, so that each has one id.
SyllableVocabulary grow_vocabulary(size_t size) {
  SyllableVocabulary vocabulary(size);
  const Pieces space = {to_byte_level(" ")};
  const Pieces consonants = letters("tnsrhldcmfpgwybvkxjqz"), vowels = letters("eaoiu");
  const Pieces open = vocabulary.merge_all(consonants, vowels);  // ba
  vocabulary.merge_all(space, vowels);
  vocabulary.merge_all(space, consonants);
  const Pieces first = vocabulary.merge_all(space, open);         // Ġba
  const Pieces closed = vocabulary.merge_all(open, consonants);   // bam
  const Pieces firsts = vocabulary.merge_all(first, consonants);  // Ġbam
  vocabulary.merge_all(open, open);                               // baba
  vocabulary.merge_all(first, open);                              // Ġbaba
  vocabulary.merge_all(firsts, open);                             // Ġbamba
  return vocabulary;
}

std::vector<std::string> control_tokens() {
  std::vector<std::string> tokens;
  int num_reserved = 0;
  for (int i = 0; i < 256; ++i) {
    tokens.push_back(i == 0   ? "<|begin_of_text|>"
                     : i == 1 ? "<|end_of_text|>"
                     : i == 6 ? "<|start_header_id|>"
                     : i == 7 ? "<|end_header_id|>"
                     : i == 9 ? "<|eot_id|>"
                              : fmt::format("<|reserved_special_token_{}|>", num_reserved++));
  }
  tokens.insert(tokens.end(), {"<image>", "<pad>"});
  return tokens;
}

std::vector<std::string> qwen_control_tokens() {
  return {"<|endoftext|>",      "<|im_start|>",     "<|im_end|>",     "<|object_ref_start|>",
          "<|object_ref_end|>", "<|box_start|>",    "<|box_end|>",    "<|quad_start|>",
          "<|quad_end|>",       "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
          "<|image_pad|>",      "<|video_pad|>"};
}

Json post_processor(int64_t begin_of_text) {
  const std::string token = "<|begin_of_text|>";
  const auto special = [&](int type) -> Json {
    return {{"SpecialToken", {{"id", token}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* id, int type) -> Json {
    return {{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {special(0), sequence("A", 0)}},
          {"pair", {special(0), sequence("A", 0), special(1), sequence("B", 1)}},
          {"special_tokens",
           {{token,
             {{"id", token},
              {"ids", Json::array({begin_of_text})},
              {"tokens", Json::array({token})}}}}}};
}

/// What tokenizers of presets have in common. Throws ConfigError.
Json byte_level_bpe(int64_t num_text_tokens, const std::vector<std::string>& control_tokens,
                    const char* split_regex) {
  if (num_text_tokens < kMinPresetTextTokens || num_text_tokens > kMaxPresetTextTokens) {
    throw ConfigError(fmt::format("a preset tokenizer has {} to {} text tokens, not {}",
                                  kMinPresetTextTokens, kMaxPresetTextTokens, num_text_tokens));
  }
  SyllableVocabulary vocabulary = grow_vocabulary(static_cast<size_t>(num_text_tokens));
  Json added_tokens = Json::array();
  for (const std::string& token : control_tokens) {
    added_tokens.push_back({{"id", num_text_tokens + static_cast<int64_t>(added_tokens.size())},
                            {"content", token},
                            {"single_word", false},
                            {"lstrip", false},
                            {"rstrip", false},
                            {"normalized", false},
                            {"special", true}});
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", split_regex}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json to_bytes = {{"type", "ByteLevel"},
                         {"add_prefix_space", false},
                         {"trim_offsets", true},
                         {"use_regex", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added_tokens)},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, to_bytes}}}},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "ByteLevel"},
            {"add_prefix_space", true},
            {"trim_offsets", true},
            {"use_regex", true}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocabulary.take_vocabulary()},
            {"merges", vocabulary.take_merges()}}}};
}

}  // namespace

Json preset_tokenizer(int64_t num_text_tokens) {
  Json json = byte_level_bpe(num_text_tokens, control_tokens(), kSplitRegex);
  json["post_processor"] = post_processor(num_text_tokens);
  json["model"]["ignore_merges"] = true;
  return json;
}

Json qwen_preset_tokenizer(int64_t num_text_tokens) {
  Json json = byte_level_bpe(num_text_tokens, qwen_control_tokens(), kQwenSplitRegex);
  json["normalizer"] = {{"type", "NFC"}};
  return json;
}

Json qwen_preset_tokenizer_config() {
  return {{"tokenizer_class", "Qwen2Tokenizer"},
          {"bos_token", nullptr},
          {"eos_token", "<|im_end|>"},
          {"pad_token", "<|endoftext|>"},
          {"add_bos_token", false},
          {"clean_up_tokenization_spaces", false},
          {"model_max_length", 262144},
          {"processor_class", "Qwen3VLProcessor"}};
}

Json preset_tokenizer_config() {
  return {{"tokenizer_class", "PreTrainedTokenizerFast"},
          {"bos_token", "<|begin_of_text|>"},
          {"eos_token", "<|eot_id|>"},
          {"pad_token", "<pad>"},
          {"image_token", "<image>"},
          {"padding_side", "left"},
          {"clean_up_tokenization_spaces", false},
          {"model_input_names", {"input_ids", "attention_mask"}},
          {"model_max_length", 8192},
          {"processor_class", "LlavaNextProcessor"}};
}

}  // namespace e5v::detail
