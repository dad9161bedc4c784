#include "e5v/train/training_batch.h"
#include "e5v/model/packed_batch.h"

#include <gmock/gmock.h>

#include <set>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

/// Over the tokenizer of end_to_end_tiny: Llama-3's form, in which `!` has id 0.
class TrainingBatchGoldenTest : public ::testing::Test {
 protected:
  TrainingBatchGoldenTest()
      : model_(load_golden("end_to_end_tiny").file("config.json").parent_path()),
        preparer_(model_) {}

  TrainingRows rows(const std::string& csv, PromptMode mode, int64_t max_sentence_tokens = 0) {
    write_file(folder_ / "x.csv", csv);
    const TrainingPrompt prompt(preparer_, {mode, max_sentence_tokens}, preparer_.chat_template());
    const TripletFile file(folder_ / "x.csv");
    std::vector<uint32_t> indices;
    for (uint32_t i = 0; i < file.size(); ++i) indices.push_back(i);
    return prepare_rows(file, indices, prompt);
  }
  std::string text_of(const PreparedItem& item) {
    return preparer_.tokenizer().decode(item.input_ids);
  }

  TemporaryFolder folder_;
  std::filesystem::path model_;
  ItemPreparer preparer_;
};

TEST_F(TrainingBatchGoldenTest, CleanModeTrainsOnThePromptOfEmbedding) {
  const TrainingRows made =
      rows("A dog <|eot_id|> runs!,Someone moves,Nobody\n", PromptMode::kClean);
  ASSERT_EQ(made.items.size(), 3u);
  Item item;
  item.text = "A dog <|eot_id|> runs!";
  EXPECT_EQ(made.items[0].input_ids, preparer_.prepare(item, {}).input_ids);
  EXPECT_TRUE(made.position_ids.empty());
  EXPECT_EQ(made.negative_rows, std::vector<int64_t>{0});
}

TEST_F(TrainingBatchGoldenTest, PaperCodeTurnsUnderscoresOfTheTemplateIntoBlanksAndStrips) {
  const TrainingRows made = rows("A dog .,b\nx,y\n", PromptMode::kPaperCode, 32);
  EXPECT_THAT(
      text_of(made.items[0]),
      HasSubstr("<|start header id|>user<|end header id|>\n\nA dog.\nSummary above sentence "
                "in one word:<|eot id|><|start header id|>assistant<|end header id|>"));
  EXPECT_TRUE(text_of(made.items[0]).ends_with("<|end header id|>"));
}

TEST_F(TrainingBatchGoldenTest, PaperCodeCutsTheSentenceNotThePrompt) {
  // The tokens are "x", " " and "x": this small tokenizer has not merged them.
  const TrainingRows made = rows("x x x x x x,b\nx,y\n", PromptMode::kPaperCode, 3);
  EXPECT_THAT(text_of(made.items[0]), HasSubstr("\n\nx x\nSummary"));
  const TrainingRows clean = rows("x x x x x x,b\nx,y\n", PromptMode::kClean, 3);
  EXPECT_THAT(text_of(clean.items[0]), HasSubstr("\n\nx x\nSummary"));
}

TEST_F(TrainingBatchGoldenTest, PaperCodePadsAndMasksAsThePublishedScript) {
  const auto eos = *preparer_.tokenizer().special_token_ids().eos;
  const TrainingRows made = rows(
      "short,short,a very much longer sentence that widens all of them\n", PromptMode::kPaperCode);
  const auto& anchor = made.items[0].input_ids;
  const auto& positive = made.items[1].input_ids;
  // One width, a multiple of 8; what is masked is missing, its positions are counted.
  const int64_t width = made.position_ids[0].back() + 1;
  EXPECT_EQ(width % 8, 0);
  EXPECT_EQ(made.position_ids[1].back() + 1, width);
  EXPECT_EQ(static_cast<int64_t>(anchor.size()), width) << "an anchor's pads are all attended";
  EXPECT_EQ(anchor[0], eos);
  // The positive has the eos that equalised the widths, then a gap, then its own tokens.
  EXPECT_EQ(positive[0], eos);
  EXPECT_LT(positive.size(), anchor.size());
  std::vector<int64_t> gaps;
  for (size_t i = 1; i < positive.size(); ++i) {
    if (made.position_ids[1][i] != made.position_ids[1][i - 1] + 1) gaps.push_back(positive[i]);
  }
  EXPECT_EQ(gaps.size(), 1u);
  EXPECT_EQ(made.position_ids[0][0], 0);
}

TEST_F(TrainingBatchGoldenTest, PaperCodeMasksRealTokensOfIdZero) {
  ASSERT_EQ(preparer_.tokenizer().token_to_id("!"), 0);
  const TrainingRows made = rows("wow!x,b,c\nx,y,z\n", PromptMode::kPaperCode);
  for (const PreparedItem& item : made.items) {
    EXPECT_THAT(item.input_ids, ::testing::Not(::testing::Contains(0)));
  }
  EXPECT_THAT(text_of(made.items[0]), HasSubstr("wowx"));
}

TEST_F(TrainingBatchGoldenTest, WithoutNegativesAllPadsOfWideningAreMasked) {
  const TrainingRows made =
      rows("a much longer sentence than the other one,b\n", PromptMode::kPaperCode);
  const auto eos = *preparer_.tokenizer().special_token_ids().eos;
  EXPECT_THAT(made.items[1].input_ids, ::testing::Not(::testing::Contains(eos)));
}

TEST_F(TrainingBatchGoldenTest, DropoutKeysTellTokensTextsAndStepsApart) {
  const TrainingRows made = rows("a,a,a\nb,b,b\n", PromptMode::kClean);
  const TokenKeys keys = token_keys(made, 1, 1), later = token_keys(made, 1, 2);
  std::set<int64_t> distinct;
  for (const auto& k : {keys, later}) {
    for (int64_t i = 0; i < k.tokens.size(0); ++i) distinct.insert(k.tokens[i].item<int64_t>());
  }
  EXPECT_EQ(static_cast<int64_t>(distinct.size()), 2 * made.num_tokens());
  const PackedBatch batch = pack_rows(made, preparer_);
  const int64_t end = batch.cu_seqlens[1].item<int32_t>();
  EXPECT_EQ(keys.last[0].item<int64_t>(), keys.tokens[end - 1].item<int64_t>());
}

TEST_F(TrainingBatchGoldenTest, AnItemThatCannotBePreparedNamesItsLine) {
  try {
    rows("a,b\n" + std::string(9000, 'x') + ",c\n", PromptMode::kClean);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.csv: line 2: "));
  }
}

}  // namespace
}  // namespace e5v::detail
