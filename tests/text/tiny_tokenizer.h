#pragma once

#include <string>

#include "e5v/base/json.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {

/// A byte-level tokenizer.json small enough to be read: `a`, `b`, `ab`, `abab`, the control tokens
/// `<eot>` and `<image>`, the ordinary added token `<br>`, and every byte as a token.
inline Json tiny_byte_level_json() {
  Json vocab;
  // Only printable ASCII, which byte-level spelling leaves as it is, and the space (Ġ).
  int id = 0;
  for (char c = '!'; c <= '~'; ++c) vocab[std::string(1, c)] = id++;
  vocab["Ġ"] = 94;
  vocab["ab"] = 95;
  vocab["abab"] = 96;
  const auto added = [](int token_id, const char* content, bool special) {
    return Json{{"id", token_id},  {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", special}};
  };
  return {
      {"version", "1.0"},
      {"added_tokens",
       {added(97, "<eot>", true), added(98, "<image>", false), added(99, "<br>", false)}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", nullptr},
        {"vocab", vocab},
        {"merges", Json::array({Json::array({"a", "b"}), Json::array({"ab", "ab"})})}}},
  };
}

inline Tokenizer tokenizer_from(const Json& json) {
  return Tokenizer::from_json(json.dump(), "tiny.json");
}

}  // namespace e5v::detail
