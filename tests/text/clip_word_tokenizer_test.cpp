#include "e5v/text/clip_word_tokenizer.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/text/tokenizer.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

Tokenizer load(const std::vector<std::string>& words) {
  TemporaryFolder folder;
  write_file(folder / "tokenizer.json", clip_word_tokenizer(words).dump());
  write_file(folder / "tokenizer_config.json", clip_word_tokenizer_config().dump());
  return Tokenizer::load(folder.path());
}

TEST(ClipWordTokenizerTest, EachWordIsOneTokenBetweenBeginAndEnd) {
  const std::vector<std::string> words = {"a",    "disc", "disco", "discs",  "background",
                                          "back", "bana", "anana", "banana", "Above"};
  const Tokenizer tokenizer = load(words);
  for (const std::string& word : words) {
    EXPECT_EQ(tokenizer.encode(word).size(), 3u) << word;
  }
  const auto ids = tokenizer.encode("A  disc above banana");
  EXPECT_EQ(ids.size(), 6u);
  EXPECT_EQ(ids.front(), tokenizer.token_to_id("<|startoftext|>"));
  EXPECT_EQ(ids.back(), tokenizer.token_to_id("<|endoftext|>"));
  EXPECT_EQ(ids[2], tokenizer.token_to_id("disc</w>"));
}

TEST(ClipWordTokenizerTest, OtherWordsAreTakenApartAndMarksAreThemselves) {
  const Tokenizer tokenizer = load({"disc"});
  const auto ids = tokenizer.encode("cid $, \xc3\xa9");
  // begin, "c", "i", "d</w>", "$", ",</w>", two bytes of a letter, end
  ASSERT_EQ(ids.size(), 9u);
  EXPECT_EQ(ids[1], tokenizer.token_to_id("c"));
  EXPECT_EQ(ids[3], tokenizer.token_to_id("d</w>"));
  EXPECT_EQ(ids[4], tokenizer.token_to_id("$"));
  EXPECT_EQ(tokenizer.encode("a $ of").at(2), tokenizer.token_to_id("$</w>"));
}

// The order of ids in CLIP's published tokenizer.json, in which the end token has the largest.
TEST(ClipWordTokenizerTest, IdsAreInTheOrderOfClips) {
  const Tokenizer tokenizer = load({"disc"});
  EXPECT_EQ(tokenizer.token_to_id("!"), 0);
  EXPECT_EQ(tokenizer.token_to_id("a"), 64);
  EXPECT_EQ(tokenizer.token_to_id("!</w>"), 256);
  EXPECT_EQ(tokenizer.token_to_id("<|endoftext|>"), tokenizer.vocab_size() - 1);
}

TEST(ClipWordTokenizerTest, ManyWordsAreRefused) {
  std::vector<std::string> words;
  for (size_t i = 0; i <= kMaxClipWords; ++i) {
    std::string word = "w";
    for (size_t rest = i; rest > 0; rest /= 26) word += static_cast<char>('a' + rest % 26);
    words.push_back(word);
  }
  EXPECT_THROW(clip_word_tokenizer(words), ConfigError);
}

}  // namespace
}  // namespace e5v::detail
