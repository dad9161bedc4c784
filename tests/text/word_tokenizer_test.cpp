#include "e5v/text/word_tokenizer.h"

#include <gmock/gmock.h>

#include "e5v/text/prompts.h"
#include "e5v/text/tokenizer.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;

const std::vector<std::string> kWords = {"above",    "in",    "one",     "red",
                                         "sentence", "small", "Summary", "word"};
constexpr int64_t kFirstByte = 6, kFirstWord = 262;

Tokenizer make_tokenizer() {
  return Tokenizer::from_json(word_tokenizer(kWords).dump(), "word tokenizer");
}

/// The id of a word of kWords.
int64_t id_of(const std::string& word, bool after_blank) {
  const auto place = std::find(kWords.begin(), kWords.end(), word) - kWords.begin();
  return kFirstWord + 2 * place + (after_blank ? 1 : 0);
}

int64_t byte_id(char byte) { return kFirstByte + static_cast<unsigned char>(byte); }

TEST(WordTokenizer, AKnownWordIsOneTokenWithOrWithoutABlank) {
  const Tokenizer tokenizer = make_tokenizer();
  EXPECT_THAT(tokenizer.encode("small red"),
              ElementsAre(1, id_of("small", true), id_of("red", true)));
  EXPECT_THAT(tokenizer.encode("red\n\"red", {.add_special_tokens = false}),
              ElementsAre(id_of("red", true), byte_id('\n'), byte_id('"'), id_of("red", false)));
}

TEST(WordTokenizer, ALetterAfterABlankIsOneToken) {
  const Tokenizer tokenizer =
      Tokenizer::from_json(word_tokenizer({"a", "red"}).dump(), "word tokenizer");
  EXPECT_THAT(tokenizer.encode("a red a", {.add_special_tokens = false}),
              ElementsAre(kFirstWord, kFirstWord + 2, kFirstWord));
}

TEST(WordTokenizer, AnythingElseIsTakenApartAndComesBack) {
  const Tokenizer tokenizer = make_tokenizer();
  EXPECT_THAT(tokenizer.encode("reds", {.add_special_tokens = false}),
              ElementsAre(byte_id(' '), byte_id('r'), byte_id('e'), byte_id('d'), byte_id('s')));
  for (const std::string text : {"small  reds, 12 \"words\"", "ünïcode 漢字 😀", "\n\t "}) {
    std::vector<int64_t> ids = tokenizer.encode(text);
    EXPECT_EQ(tokenizer.decode(std::span(ids).subspan(1)), text);
  }
}

TEST(WordTokenizer, APromptOfTheWorldHasATokenForEachWordAndMark) {
  const Tokenizer tokenizer = make_tokenizer();
  const Prompts prompts = find_prompts("retrieval", ChatTemplate::kPhi3);
  const auto spans = render_prompt(prompts.text, "small red", 0);
  // <s> <|user|> small red \n Summary above sentence in one word : <|end|> <|assistant|>: control
  // tokens swallow the line ends behind them.
  EXPECT_THAT(
      tokenizer.encode(text_spans(spans), true),
      ElementsAre(1, 3, id_of("small", true), id_of("red", true), byte_id('\n'),
                  id_of("Summary", false), id_of("above", true), id_of("sentence", true),
                  id_of("in", true), id_of("one", true), id_of("word", true), byte_id(':'), 2, 4));
}

TEST(WordTokenizer, DistinctWordsAreThoseOfTheTextSorted) {
  EXPECT_THAT(distinct_words("a red disc. the Red disc, red-hot"),
              ElementsAre("Red", "a", "disc", "hot", "red", "the"));
}

}  // namespace
}  // namespace e5v::detail
