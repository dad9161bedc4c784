#include "e5v/text/clip_word_tokenizer.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/text/byte_level.h"

namespace e5v::detail {
namespace {

constexpr const char *kStart = "<|startoftext|>", *kEnd = "<|endoftext|>", *kWordEnd = "</w>";

/// CLIP's, of its published tokenizer.json.
constexpr const char* kSplitRegex =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

using Symbols = std::vector<std::string>;
using Merge = std::pair<std::string, std::string>;

/// Bytes that print as themselves come first.
Symbols bytes_in_clip_order() {
  Symbols printable, others;
  for (int byte = 0; byte < 256; ++byte) {
    const bool prints =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    (prints ? printable : others).push_back(to_byte_level(std::string(1, static_cast<char>(byte))));
  }
  printable.insert(printable.end(), others.begin(), others.end());
  return printable;
}

Symbols letters_of(std::string_view word) {
  Symbols letters;
  for (const char letter : word) letters.emplace_back(1, letter);
  letters.back() += kWordEnd;
  return letters;
}

void apply(const Merge& merge, Symbols& symbols) {
  Symbols merged;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const bool matches =
        i + 1 < symbols.size() && symbols[i] == merge.first && symbols[i + 1] == merge.second;
    merged.push_back(matches ? symbols[i] + symbols[i + 1] : symbols[i]);
    if (matches) ++i;
  }
  symbols = std::move(merged);
}

/// The most frequent pair of neighbours, until there are none.
std::vector<Merge> learn_merges(const std::set<std::string>& words) {
  std::vector<Symbols> unfinished;
  for (const std::string& word : words) unfinished.push_back(letters_of(word));
  std::vector<Merge> merges;
  while (true) {
    std::erase_if(unfinished, [](const Symbols& symbols) { return symbols.size() < 2; });
    if (unfinished.empty()) return merges;
    std::map<Merge, int64_t> counts;
    for (const Symbols& symbols : unfinished) {
      for (size_t i = 0; i + 1 < symbols.size(); ++i) ++counts[{symbols[i], symbols[i + 1]}];
    }
    const auto most =
        std::max_element(counts.begin(), counts.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    merges.push_back(most->first);
    for (Symbols& symbols : unfinished) apply(most->first, symbols);
  }
}

Json control_token(size_t id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

}  // namespace

Json clip_word_tokenizer(const std::vector<std::string>& words) {
  std::set<std::string> lower_case;
  for (std::string word : words) {
    std::transform(word.begin(), word.end(), word.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    lower_case.insert(std::move(word));
  }
  if (lower_case.size() > kMaxClipWords) {
    throw ConfigError(fmt::format("{} words, expected a small world's (at most {})",
                                  lower_case.size(), kMaxClipWords));
  }
  Json vocabulary = Json::object(), merges = Json::array();
  size_t next_id = 0;
  for (const char* end : {"", kWordEnd}) {
    for (const std::string& byte : bytes_in_clip_order()) vocabulary[byte + end] = next_id++;
  }
  for (const auto& [left, right] : learn_merges(lower_case)) {
    merges.push_back(left + " " + right);
    vocabulary[left + right] = next_id++;
  }
  const size_t start_id = next_id, end_id = next_id + 1;
  vocabulary[kStart] = start_id;
  vocabulary[kEnd] = end_id;
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kSplitRegex}}},
                      {"behavior", "Removed"},
                      {"invert", true}};
  const Json to_bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  const Json to_blanks = {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", {control_token(start_id, kStart), control_token(end_id, kEnd)}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers", {{{"type", "NFC"}}, to_blanks, {{"type", "Lowercase"}}}}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, to_bytes}}}},
          {"post_processor",
           {{"type", "RobertaProcessing"},
            {"sep", {kEnd, end_id}},
            {"cls", {kStart, start_id}},
            {"trim_offsets", false},
            {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", kEnd},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", kWordEnd},
            {"fuse_unk", false},
            {"vocab", std::move(vocabulary)},
            {"merges", std::move(merges)}}}};
}

Json clip_word_tokenizer_config() {
  return {{"tokenizer_class", "CLIPTokenizerFast"},
          {"bos_token", kStart},
          {"eos_token", kEnd},
          {"unk_token", kEnd},
          {"pad_token", kEnd},
          {"do_lower_case", true},
          {"model_max_length", 77},
          {"clean_up_tokenization_spaces", false}};
}

}  // namespace e5v::detail
