// A template's own control tokens beside a user's text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "e5v/base/file.h"
#include "e5v/text/prompts.h"
#include "e5v/text/tokenizer.h"
#include "tests/text/tiny_tokenizer.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;

std::vector<int64_t> encode(const Tokenizer& tokenizer, const std::vector<TextSpan>& spans) {
  return tokenizer.encode(spans, false);
}

TEST(TokenizerSpansTest, WordsAndMergesReachAcrossBorders) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  EXPECT_THAT(encode(tokenizer, {{"ab", true}, {"ab", false}}), ElementsAre(96));
  EXPECT_THAT(encode(tokenizer, {{"a", true}, {"", true}, {"b", false}}), ElementsAre(95));
}

TEST(TokenizerSpansTest, OnlyTheTemplatesControlTokensCount) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  const auto ids = encode(tokenizer, {{"<eot>", true}, {"<eot>", false}, {"<image>", true}});
  EXPECT_EQ(ids.front(), 97);
  EXPECT_EQ(ids.back(), 98);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 97), 1);
  EXPECT_EQ(tokenizer.decode(ids), "<eot><eot><image>");
}

TEST(TokenizerSpansTest, AControlTokenIsNeverPutTogetherFromTwoSpans) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  for (const bool first : {false, true}) {
    for (const bool second : {false, true}) {
      const auto ids = encode(tokenizer, {{"a<eo", first}, {"t>b", second}});
      EXPECT_EQ(std::count(ids.begin(), ids.end(), 97), 0) << first << second;
      EXPECT_EQ(tokenizer.decode(ids), "a<eot>b");
    }
  }
}

TEST(TokenizerSpansTest, OrdinaryAddedTokensReachAcrossBorders) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  EXPECT_THAT(encode(tokenizer, {{"<b", true}, {"r>", false}}), ElementsAre(99));
}

TEST(TokenizerSpansTest, AllowingEverythingInOneSpanIsTheReference) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  const std::string text = "a<eot>b<image> <br>";
  EXPECT_EQ(encode(tokenizer, {{text, true}}),
            tokenizer.encode(text, {.add_special_tokens = false, .allow_special = true}));
}

class NormalizedSpansTest : public testing::Test {
 protected:
  /// A control token that is looked for in the normalized text, behind every kind of normalizer.
  static Tokenizer tokenizer() {
    Json json = tiny_byte_level_json();
    json["normalizer"] = {
        {"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "_"}},
          {{"type", "NFC"}},
          {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
          {{"type", "Lowercase"}}}}};
    json["added_tokens"][0]["normalized"] = true;
    json["added_tokens"][0]["content"] = "_<eot>";
    return tokenizer_from(json);
  }
};

TEST_F(NormalizedSpansTest, TheMarksSurviveNormalization) {
  // The token's own form gets the prefix, too: "__<eot>".
  const auto ids =
      encode(tokenizer(), {{"Ä \xcc\x88 __<EOT>", true}, {"  __<eot>E\xcc\x81", false}});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 97), 1);
}

TEST_F(NormalizedSpansTest, ATokenAcrossTheBorderDoesNotCount) {
  for (const bool second : {false, true}) {
    const auto ids = encode(tokenizer(), {{"a __<EO", true}, {"T> __", second}, {"<eot>", true}});
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 97), 0) << second;
  }
}

TEST(PromptSpansGoldenTest, ATemplateHoldsAUsersTextSafely) {
  const auto path =
      std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/tokenizer_kinds/llama3.tokenizer.json";
  const Tokenizer tokenizer = Tokenizer::from_json(read_file(path), path.native());
  const int64_t eot = tokenizer.token_to_id("<|eot_id|>").value();
  const Prompts prompts = find_prompts("retrieval", ChatTemplate::kLlama3);
  const auto count_eot = [&](std::string_view text, bool allow_special) {
    const auto spans = render_prompt(prompts.text, text, 0, allow_special);
    const auto ids = tokenizer.encode(text_spans(spans), true);
    return std::count(ids.begin(), ids.end(), eot);
  };
  EXPECT_EQ(count_eot("a photo", false), 1);
  EXPECT_EQ(count_eot("a <|eot_id|> photo", false), 1);
  EXPECT_EQ(count_eot("a <|eot_id|> photo", true), 2);

  // A harmless text gives the ids of the whole string.
  const std::string whole =
      "<|start_header_id|>user<|end_header_id|>\n\na photo\nSummary above sentence in one word: "
      "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n";
  EXPECT_EQ(tokenizer.encode(text_spans(render_prompt(prompts.text, "a photo", 0)), true),
            tokenizer.encode(whole, {.add_special_tokens = true, .allow_special = true}));
}

}  // namespace
}  // namespace e5v::detail
