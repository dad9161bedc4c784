// What the Hugging Face tokenizers library makes of tricky texts, for one tiny tokenizer of each
// kind: tests/goldens/tokenizer_kinds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/tokenizer_kinds";

class TokenizerKindGoldenTest : public testing::TestWithParam<std::string> {
 protected:
  TokenizerKindGoldenTest()
      : tokenizer(Tokenizer::from_json(read_file(kFolder / (GetParam() + ".tokenizer.json")),
                                       GetParam())),
        strings(read_json(kFolder / "strings.json")),
        expected(read_json(kFolder / (GetParam() + ".ids.json"))) {}

  Tokenizer tokenizer;
  Json strings;
  Json expected;
};

TEST_P(TokenizerKindGoldenTest, EncodesAsTheReference) {
  ASSERT_EQ(strings.size(), expected.size());
  ASSERT_GT(strings.size(), 250u);
  for (size_t i = 0; i < strings.size(); ++i) {
    const auto text = strings[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = true, .allow_special = true}),
              expected[i]["ids"].get<std::vector<int64_t>>())
        << strings[i];
  }
}

TEST_P(TokenizerKindGoldenTest, LeavesControlTokensAsTextAsTheReferenceDoesOnRequest) {
  for (size_t i = 0; i < strings.size(); ++i) {
    const auto text = strings[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = false, .allow_special = false}),
              expected[i]["ids_without_control"].get<std::vector<int64_t>>())
        << strings[i];
  }
}

TEST_P(TokenizerKindGoldenTest, DecodesAsTheReference) {
  for (size_t i = 0; i < strings.size(); ++i) {
    const auto ids = expected[i]["ids"].get<std::vector<int64_t>>();
    const auto decoded = expected[i]["decoded"].get<std::string>();
    const auto without_special = expected[i]["decoded_without_special"].get<std::string>();
    EXPECT_EQ(tokenizer.decode(ids), decoded) << strings[i];
    EXPECT_EQ(tokenizer.decode(ids, true), without_special) << strings[i];
  }
}

TEST_P(TokenizerKindGoldenTest, SplittingATextIntoSpansOfOneKindChangesNothing) {
  for (const Json& string : strings) {
    const auto text = string.get<std::string>();
    const auto whole = tokenizer.encode(text, {.add_special_tokens = true, .allow_special = false});
    for (const size_t cut : {text.size() / 3, text.size() / 2, text.size() - text.size() / 5}) {
      const std::vector<TextSpan> spans = {{text.substr(0, 0), false},
                                           {std::string_view(text).substr(0, cut), false},
                                           {std::string_view(text).substr(cut), false}};
      EXPECT_EQ(tokenizer.encode(spans, true), whole) << string << " cut at " << cut;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerKindGoldenTest,
                         testing::Values("llama3", "qwen2", "gpt2", "spm_prepend", "spm_metaspace",
                                         "clip", "mixed"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace e5v::detail
