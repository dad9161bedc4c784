#include "e5v/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"
#include "tests/text/tiny_tokenizer.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr EncodeOptions kBare = {.add_special_tokens = false, .allow_special = false};
constexpr EncodeOptions kBareAllowed = {.add_special_tokens = false, .allow_special = true};

std::string load_error(const std::filesystem::path& folder) {
  try {
    Tokenizer::load(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(TokenizerTest, MergesTheLowestRankFirstAndLeftmost) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  EXPECT_THAT(tokenizer.encode("abab", kBare), ElementsAre(96));
  EXPECT_THAT(tokenizer.encode("ababab", kBare), ElementsAre(96, 95));
  EXPECT_THAT(tokenizer.encode("ba", kBare), ElementsAre(65, 64));
}

TEST(TokenizerTest, EmptyTextHasOnlyTheTokensAround) {
  Json json = tiny_byte_level_json();
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<eot>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"<eot>", {{"id", "<eot>"}, {"ids", {97}}}}}}};
  EXPECT_THAT(tokenizer_from(json).encode(""), ElementsAre(97));
  EXPECT_THAT(tokenizer_from(json).encode("", kBare), IsEmpty());
}

TEST(TokenizerTest, ControlTokensInATextAreTextUnlessAllowed) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  EXPECT_THAT(tokenizer.encode("<eot><image>", kBareAllowed), ElementsAre(97, 98));
  const auto as_text = tokenizer.encode("<eot><image>", kBare);
  EXPECT_EQ(as_text.size(), 12u);
  EXPECT_EQ(tokenizer.decode(as_text), "<eot><image>");
}

TEST(TokenizerTest, OrdinaryAddedTokensAreFoundEverywhere) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  EXPECT_THAT(tokenizer.encode("a<br>b", kBare), ElementsAre(64, 99, 65));
}

TEST(TokenizerTest, NoMergeMakesAControlTokenOutOfText) {
  // "abab" is a merge's result here, and flagged special.
  Json json = tiny_byte_level_json();
  json["added_tokens"].push_back(
      {{"id", 96}, {"content", "abab"}, {"normalized", false}, {"special", true}});
  const Tokenizer tokenizer = tokenizer_from(json);
  EXPECT_THAT(tokenizer.encode("abab", kBare), ElementsAre(95, 95));
  EXPECT_THAT(tokenizer.encode("abab", kBareAllowed), ElementsAre(96));
}

TEST(TokenizerTest, NoLookUpOfAWordMakesAControlTokenOutOfText) {
  Json json = tiny_byte_level_json();
  json["model"]["ignore_merges"] = true;
  json["model"]["vocab"]["cab"] = 100;
  json["added_tokens"].push_back(
      {{"id", 100}, {"content", "cab"}, {"normalized", false}, {"special", true}});
  const Tokenizer tokenizer = tokenizer_from(json);
  EXPECT_THAT(tokenizer.encode("cab", kBare), ElementsAre(66, 95));
  EXPECT_THAT(tokenizer.encode("cab", kBareAllowed), ElementsAre(100));
}

TEST(TokenizerTest, RefusesInvalidUtf8NamingTheByte) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  for (const std::string text : {"ab\xff", "ab\xc3", "ab\xed\xa0\x80", "ab\xc0\x80"}) {
    try {
      tokenizer.encode(text);
      ADD_FAILURE() << "accepted " << printable(text);
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("UTF-8 at byte 2"));
    }
  }
}

TEST(TokenizerTest, RefusesToDecodeAnIdOfNoVocabulary) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  for (const int64_t id : {int64_t{-1}, int64_t{100}, INT64_MAX, INT64_MIN}) {
    EXPECT_THROW(tokenizer.decode(std::vector<int64_t>{id}), InputError) << id;
    EXPECT_EQ(tokenizer.id_to_token(id), std::nullopt);
  }
}

TEST(TokenizerTest, KnowsItsTokensBothWays) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  EXPECT_EQ(tokenizer.vocab_size(), 100);
  EXPECT_EQ(tokenizer.token_to_id("Ġ"), 94);
  EXPECT_EQ(tokenizer.id_to_token(94), "Ġ");
  EXPECT_EQ(tokenizer.token_to_id("<image>"), 98);
  EXPECT_EQ(tokenizer.id_to_token(98), "<image>");
  EXPECT_EQ(tokenizer.token_to_id(" "), std::nullopt);
  EXPECT_EQ(tokenizer.special_token_ids().image, 98);
  EXPECT_EQ(tokenizer.special_token_ids().bos, std::nullopt);
}

TEST(TokenizerTest, ReadsTheNamesOfSpecialTokensBesideTokenizerJson) {
  const TemporaryFolder folder;
  write_file(folder / "tokenizer.json", tiny_byte_level_json().dump());
  write_file(folder / "tokenizer_config.json",
             R"({"bos_token": "<br>", "eos_token": {"content": "<eot>"}, "pad_token": null,
                 "add_bos_token": true,
                 "added_tokens_decoder": {"97": {"content": "<eot>"},
                                          "105": {"content": "<late>", "special": true}}})");
  write_file(folder / "special_tokens_map.json", R"({"pad_token": "<late>"})");
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.special_token_ids().bos, 99);
  EXPECT_EQ(tokenizer.special_token_ids().eos, 97);
  EXPECT_EQ(tokenizer.special_token_ids().pad, 105);
  EXPECT_EQ(tokenizer.vocab_size(), 106);
  EXPECT_THAT(tokenizer.encode("<late>", kBareAllowed), ElementsAre(105));
  // <br> is not flagged special, but the folder says that it is the BOS.
  EXPECT_EQ(tokenizer.encode("<br>", kBare).size(), 4u);
}

TEST(TokenizerTest, SaysWhichFileIsMissing) {
  const TemporaryFolder folder;
  EXPECT_THAT(load_error(folder.path()), HasSubstr("tokenizer.json"));
  EXPECT_THAT(load_error(folder / "no-such-folder"), HasSubstr("no-such-folder"));
  write_file(folder / "tokenizer.model", "");
  EXPECT_THAT(load_error(folder.path()), HasSubstr("tokenizer.model alone is not enough"));
}

TEST(TokenizerTest, NamesTheFileBesideThatIsMalformed) {
  const TemporaryFolder folder;
  write_file(folder / "tokenizer.json", tiny_byte_level_json().dump());
  write_file(folder / "tokenizer_config.json", R"({"added_tokens_decoder": {"x": {}}})");
  EXPECT_THAT(load_error(folder.path()),
              AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("added_tokens_decoder")));
}

TEST(TokenizerTest, LongTextsWithoutSpacesTakeNoQuadraticTime) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  for (const char c : {'a', ' ', '\n', '<', '!'}) {
    const auto start = std::chrono::steady_clock::now();
    tokenizer.encode(std::string(1 << 20, c));
    // Quadratic would be hours; the bound leaves room for sanitizers and a busy machine.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << c;
  }
  std::string pairs;
  for (int i = 0; i < (1 << 18); ++i) pairs += "ab";
  EXPECT_EQ(tokenizer.encode(pairs, kBare).size(), size_t{1} << 17);
}

TEST(TokenizerTest, ALongWordIsMergedAsAShortOne) {
  // Below and above the number of symbols at which the method changes.
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  for (const size_t count : {31u, 32u, 33u, 100u, 1001u}) {
    std::string word;
    for (size_t i = 0; i < count; ++i) word += "ab";
    std::vector<int64_t> expected(count / 2, 96);
    if (count % 2 == 1) expected.push_back(95);
    EXPECT_EQ(tokenizer.encode(word, kBare), expected) << count;
  }
}

TEST(TokenizerTest, RandomBytesAreEncodedOrRefused) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string text(random() % 40, '\0');
    for (char& c : text) c = static_cast<char>(random());
    try {
      tokenizer.encode(text, kBareAllowed);
    } catch (const InputError&) {
    }
  }
}

TEST(TokenizerTest, ManyThreadsShareOne) {
  const Tokenizer tokenizer = tokenizer_from(tiny_byte_level_json());
  const auto expected = tokenizer.encode("abab ab <br> ba", kBare);
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (int& count : equal) {
    threads.emplace_back([&tokenizer, &expected, &count] {
      for (int i = 0; i < 200; ++i) {
        count += tokenizer.encode("abab ab <br> ba", kBare) == expected ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(equal, testing::Each(200));
}

}  // namespace
}  // namespace e5v::detail
