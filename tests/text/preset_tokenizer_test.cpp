#include "e5v/text/preset_tokenizer.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr int64_t kNumTextTokens = 32000;

Tokenizer make_tokenizer(const Json& json) {
  return Tokenizer::from_json(json.dump(), "preset tokenizer");
}

TEST(PresetTokenizer, ControlTokensFollowTheTextAsInLlama3) {
  const Tokenizer tokenizer = make_tokenizer(preset_tokenizer(492));
  EXPECT_EQ(tokenizer.vocab_size(), 492 + 258);
  EXPECT_EQ(tokenizer.token_to_id("<|begin_of_text|>"), 492);
  EXPECT_EQ(tokenizer.token_to_id("<|end_of_text|>"), 493);
  EXPECT_EQ(tokenizer.token_to_id("<|start_header_id|>"), 498);
  EXPECT_EQ(tokenizer.token_to_id("<|end_header_id|>"), 499);
  EXPECT_EQ(tokenizer.token_to_id("<|eot_id|>"), 501);
  EXPECT_EQ(tokenizer.token_to_id("<|reserved_special_token_250|>"), 747);
  EXPECT_EQ(tokenizer.token_to_id("<image>"), 748);
  EXPECT_EQ(tokenizer.token_to_id("<pad>"), 749);
}

TEST(PresetTokenizer, TextBeginsWithBosAndComesBack) {
  const Tokenizer tokenizer = make_tokenizer(preset_tokenizer(kNumTextTokens));
  for (const std::string text : {"a cat", "Summary above sentence in one word: ", "\n\n \n",
                                 "ünïcode 漢字 😀", "12345 don't"}) {
    std::vector<int64_t> ids = tokenizer.encode(text);
    ASSERT_EQ(ids.at(0), kNumTextTokens);
    ids.erase(ids.begin());
    EXPECT_EQ(tokenizer.decode(ids), text);
    for (const int64_t id : ids) EXPECT_LT(id, kNumTextTokens);
  }
  const EncodeOptions options{.add_special_tokens = false, .allow_special = true};
  EXPECT_THAT(tokenizer.encode("<|eot_id|><image>", options),
              ElementsAre(kNumTextTokens + 9, kNumTextTokens + 256));
}

TEST(PresetTokenizer, QwensHasItsControlTokensAndNothingAroundAText) {
  constexpr int64_t kQwenTextTokens = 151643;  // as many as Qwen has
  const Tokenizer tokenizer = make_tokenizer(qwen_preset_tokenizer(kQwenTextTokens));
  EXPECT_EQ(tokenizer.token_to_id("<|im_end|>"), 151645);
  EXPECT_EQ(tokenizer.token_to_id("<|vision_start|>"), 151652);
  EXPECT_EQ(tokenizer.token_to_id("<|image_pad|>"), 151655);
  EXPECT_EQ(tokenizer.encode("12").size(), 2u);  // a digit is a word
  EXPECT_EQ(tokenizer.encode("e\u0301"), tokenizer.encode("\u00e9"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("A photo of a dog.")), "A photo of a dog.");
  const EncodeOptions options{.add_special_tokens = true, .allow_special = true};
  EXPECT_THAT(tokenizer.encode("<|im_start|><|image_pad|>", options), ElementsAre(151644, 151655));
}

TEST(PresetTokenizer, MergesReachEveryToken) {
  Json json = preset_tokenizer(kNumTextTokens);
  ASSERT_EQ(json["model"]["vocab"].size(), static_cast<size_t>(kNumTextTokens));
  json["model"]["ignore_merges"] = false;  // otherwise a whole word is found without them
  const Tokenizer tokenizer = make_tokenizer(json);
  const EncodeOptions options{.add_special_tokens = false};
  for (int64_t id = 256; id < kNumTextTokens; ++id) {
    ASSERT_THAT(tokenizer.encode(tokenizer.decode({&id, 1}), options), ElementsAre(id));
  }
}

TEST(PresetTokenizer, SizesOutOfRangeAreRefused) {
  EXPECT_THROW(preset_tokenizer(kMinPresetTextTokens - 1), ConfigError);
  EXPECT_THROW(preset_tokenizer(kMaxPresetTextTokens + 1), ConfigError);
  EXPECT_EQ(preset_tokenizer(kMinPresetTextTokens)["model"]["vocab"].size(), 256u);
  EXPECT_EQ(preset_tokenizer(kMaxPresetTextTokens)["model"]["vocab"].size(),
            static_cast<size_t>(kMaxPresetTextTokens));
}

}  // namespace
}  // namespace e5v::detail
