#include "e5v/text/word_tokenizer.h"

#include <set>
#include <string_view>
#include <utility>

#include "e5v/text/byte_level.h"

namespace e5v::detail {
namespace {

/// Words and single marks, each with the blank before it; other space one by one.
constexpr const char* kSplitRegex = R"( ?\p{L}+| ?[^\s\p{L}]|\s)";

Json control_token(size_t id, std::string_view content) {
  return {{"id", id},
          {"content", content},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", content.starts_with("<|")},
          {"normalized", false},
          {"special", true}};
}

Json begin_every_text() {
  const std::string begin = kWordTokenizerControls[1];
  const Json special = {{"SpecialToken", {{"id", begin}, {"type_id", 0}}}};
  const auto sequence = [](const char* id, int type) -> Json {
    return {{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {special, sequence("A", 0)}},
          {"pair", {special, sequence("A", 0), sequence("B", 1)}},
          {"special_tokens",
           {{begin, {{"id", begin}, {"ids", {1}}, {"tokens", Json::array({begin})}}}}}};
}

}  // namespace

Json word_tokenizer(const std::vector<std::string>& words) {
  Json vocabulary = Json::object(), added_tokens = Json::array();
  size_t next_id = 0;
  for (const char* content : kWordTokenizerControls) {
    added_tokens.push_back(control_token(next_id, content));
    vocabulary[content] = next_id++;
  }
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[to_byte_level(std::string(1, static_cast<char>(byte)))] = next_id++;
  }
  for (const std::string& word : words) {
    if (word.size() > 1) vocabulary[word] = next_id++;  // a letter is a byte
    vocabulary[to_byte_level(" " + word)] = next_id++;
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kSplitRegex}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json to_bytes = {{"type", "ByteLevel"},
                         {"add_prefix_space", false},
                         {"trim_offsets", true},
                         {"use_regex", false}};
  const Json to_text = {{"type", "ByteLevel"},
                        {"add_prefix_space", true},
                        {"trim_offsets", true},
                        {"use_regex", true}};
  const Json without_first_blank = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added_tokens)},
          {"normalizer", {{"type", "Prepend"}, {"prepend", " "}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, to_bytes}}}},
          {"post_processor", begin_every_text()},
          {"decoder", {{"type", "Sequence"}, {"decoders", {to_text, without_first_blank}}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", true},  // a word that is in the vocabulary is one token
            {"vocab", std::move(vocabulary)},
            {"merges", Json::array()}}}};
}

Json word_tokenizer_config() {
  return {{"tokenizer_class", "PreTrainedTokenizerFast"},
          {"bos_token", "<s>"},
          {"eos_token", "<|end|>"},
          {"pad_token", "<pad>"},
          {"image_token", "<image>"},
          {"padding_side", "left"},
          {"clean_up_tokenization_spaces", false},
          {"model_input_names", {"input_ids", "attention_mask"}},
          {"model_max_length", 512},
          {"processor_class", "LlavaProcessor"}};
}

std::vector<std::string> distinct_words(std::string_view text) {
  std::set<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) words.insert(word);
    word.clear();
  };
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      word += c;
    } else {
      flush();
    }
  }
  flush();
  return {words.begin(), words.end()};
}

}  // namespace e5v::detail
