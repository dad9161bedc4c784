#include "e5v/train/objectives/language.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/convert/random_model.h"
#include "e5v/families/load_model.h"
#include "e5v/families/registry.h"
#include "e5v/nn/tensor_file.h"
#include "e5v/train/trainer.h"
#include "tests/support/temporary_folder.h"
#include "tests/train/objectives/gradients_of.h"

namespace e5v::detail {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A tiny model and eight conversations, some of several turns.
class LanguageObjectiveTest : public ::testing::Test {
 protected:
  LanguageObjectiveTest() {
    at::set_num_threads(1);  // so small a model gains nothing from more, and results are the same
    write_random_model(folder_ / "model", {.preset = "tiny", .seed = 3, .dtype = DType::F32});
    std::string rows;
    for (const char* word : {"red", "green", "blue", "gray"}) {
      rows +=
          fmt::format(R"({{"conversations":[{{"from":"human","value":"a {0} disc\nwhat color?"}},)"
                      R"({{"from":"gpt","value":"{0}"}},{{"from":"human","value":"what shape?"}},)"
                      R"({{"from":"gpt","value":"disc"}}]}})"
                      "\n",
                      word);
      rows += fmt::format(R"({{"conversations":[{{"from":"human","value":"say {0}"}},)"
                          R"({{"from":"gpt","value":"{0}"}}]}})"
                          "\n",
                          word);
    }
    write_file(folder_ / "data.jsonl", rows);
    files_.model = folder_ / "model";
    files_.data = folder_ / "data.jsonl";
    options_.model.trainable = {"language_model"};
    options_.model.base_precision = Precision::kFloat32;
    options_.batch_size = 8;
    options_.micro_batch_size = 8;
    options_.save_every = 0;
    options_.optimizer.learning_rate = 3e-3;
    options_.optimizer.warmup_steps = 0;
  }

  LanguageObjective open() { return LanguageObjective(files_, options_, group_, {}); }

  TrainSummary train(const std::filesystem::path& output, bool resume = false) {
    files_.output = output;
    files_.resume = resume;
    return Trainer(files_, options_, group_).run();
  }

  TemporaryFolder folder_;
  TrainFiles files_;
  LanguageTrainOptions options_;
  ProcessGroup group_;
  const std::vector<uint32_t> all_rows_ = {0, 1, 2, 3, 4, 5, 6, 7};
};

TEST_F(LanguageObjectiveTest, WhatIsLearnedIsTheAnswersAndTheirEnds) {
  const ConversationFile file(files_.data);
  const ItemPreparer preparer(files_.model);
  const LanguageBatch batch =
      prepare_conversations(file, {1, 0}, preparer, preparer.chat_template());
  EXPECT_EQ(batch.num_answers, 3);
  EXPECT_EQ(preparer.tokenizer().decode(batch.targets), "red<|eot_id|>red<|eot_id|>disc<|eot_id|>");
  // The token before each of them is where the prediction is made.
  std::vector<int64_t> ids;
  for (const PreparedItem& item : batch.items) {
    ids.insert(ids.end(), item.input_ids.begin(), item.input_ids.end());
  }
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    EXPECT_EQ(ids[static_cast<size_t>(batch.rows[i] + 1)], batch.targets[i]);
  }
  const std::string second = preparer.tokenizer().decode(batch.items[1].input_ids);
  EXPECT_EQ(second,
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\na red disc\nwhat color?"
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \nred<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nwhat shape?"
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \ndisc<|eot_id|>");
}

TEST_F(LanguageObjectiveTest, OfSeveralRightWordsEachIsLearnedAlike) {
  write_file(
      files_.data,
      R"({"conversations":[{"from":"human","value":"say"},{"from":"gpt","value":["a","b"]}]})");
  const ConversationFile file(files_.data);
  const ItemPreparer preparer(files_.model);
  const LanguageBatch batch = prepare_conversations(file, {0}, preparer, preparer.chat_template());
  EXPECT_EQ(preparer.tokenizer().decode(batch.targets), "ab");
  EXPECT_THAT(batch.weights, ElementsAre(0.5f, 0.5f));
  const int64_t last = batch.num_tokens() - 1;  // nothing follows the prompt
  EXPECT_THAT(batch.rows, ElementsAre(last, last));

  files_.eval_data = files_.data;
  options_.batch_size = options_.micro_batch_size = 1;
  options_.epochs = options_.eval_every = 100;
  train(folder_ / "run");
  const auto metrics = RunFolder(folder_ / "run").metrics();
  // Two equally likely words cost log 2, and either is right.
  EXPECT_NEAR(metrics.back()["eval_loss"].get<double>(), std::log(2.0), 0.02);
  EXPECT_EQ(metrics.back()["eval_accuracy"], 1.0);
}

TEST_F(LanguageObjectiveTest, AnAnswerOfSeveralMustBeOneToken) {
  write_file(files_.data, R"({"conversations":[{"from":"human","value":"say"},)"
                          R"({"from":"gpt","value":["a","of many tokens"]}]})");
  options_.batch_size = options_.micro_batch_size = 1;
  try {
    train(folder_ / "run");
    FAIL() << "no InputError";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("data.jsonl: line 1: the answer 'of many tokens'"));
  }
}

TEST_F(LanguageObjectiveTest, ConversationsCountAlikeWhereAskedTo) {
  const ConversationFile file(files_.data);
  const ItemPreparer preparer(files_.model);
  const auto weights_of = [&](AverageOver average_over) {
    return prepare_conversations(file, {1, 0}, preparer, preparer.chat_template(), average_over)
        .weights;
  };
  // An answer of two tokens and its end; two answers, of two and of three.
  EXPECT_EQ(weights_of(AverageOver::kTokens), std::vector<float>(3 + 7, 1));
  std::vector<float> expected(3, 1 / 3.0f);
  expected.insert(expected.end(), 7, 1 / 7.0f);
  EXPECT_THAT(weights_of(AverageOver::kConversations),
              ::testing::Pointwise(::testing::FloatEq(), expected));
  // The mean over conversations of the means over their tokens.
  options_.average_over = AverageOver::kConversations;
  LanguageObjective objective = open();
  const double both = objective.add_gradients({0, 1}, 1).loss;
  const double first = objective.add_gradients({0}, 1).loss;
  const double second = objective.add_gradients({1}, 1).loss;
  EXPECT_NEAR(both, (first + second) / 2, 1e-5);
}

TEST_F(LanguageObjectiveTest, TheLossIsThatOfEveryPrefixByItself) {
  const at::NoGradGuard no_grad;
  const auto model = load_model(
      files_.model, {.precision = Precision::kFloat32, .pack = false, .only = {"language_model."}});
  const at::Tensor head =
      read_tensor_file(files_.model / "model.safetensors").at("language_model.lm_head.weight");
  const ItemPreparer preparer(files_.model);
  const LanguageBatch batch = prepare_conversations(ConversationFile(files_.data), all_rows_,
                                                    preparer, preparer.chat_template());
  double sum = 0;
  int64_t begin = 0;
  for (const PreparedItem& item : batch.items) {
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const int64_t length = batch.rows[i] - begin + 1;
      if (length < 1 || length >= item.num_tokens()) continue;
      PreparedItem prefix;
      prefix.input_ids.assign(item.input_ids.begin(), item.input_ids.begin() + length);
      const at::Tensor state = model->forward(preparer.collate(std::vector{prefix}));
      sum -= at::linear(state, head).log_softmax(-1)[0][batch.targets[i]].item<double>();
    }
    begin += item.num_tokens();
  }
  const at::AutoGradMode with_grad(true);
  LanguageObjective objective = open();
  const ObjectiveResult result = objective.add_gradients(all_rows_, 1);
  EXPECT_NEAR(result.loss, sum / static_cast<double>(batch.targets.size()), 1e-5);
  EXPECT_EQ(result.num_tokens, batch.num_tokens());
}

TEST_F(LanguageObjectiveTest, GradientsAreThoseOfFiniteDifferences) {
  options_.model.gradient_checkpointing = false;
  LanguageObjective objective = open();
  const auto gradients = gradients_of(objective, all_rows_, 1);
  for (const char* name :
       {"language_model.lm_head.weight", "language_model.model.embed_tokens.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "language_model.model.layers.1.mlp.down_proj.weight", "language_model.model.norm.weight"}) {
    const auto parameter =
        std::find_if(objective.parameters().begin(), objective.parameters().end(),
                     [&](const Parameter& one) { return one.name == name; });
    ASSERT_NE(parameter, objective.parameters().end()) << name;
    at::Tensor values = parameter->value.detach().view(-1);  // shares memory
    const at::Tensor gradient = gradients.at(name).view(-1);
    const auto steepest = gradient.abs().argmax().item<int64_t>();
    const float before = values[steepest].item<float>();
    constexpr float kStep = 2e-3f;
    const auto loss_at = [&](float value) {
      values[steepest] = value;
      return objective.add_gradients(all_rows_, 1).loss;
    };
    const double slope = (loss_at(before + kStep) - loss_at(before - kStep)) / (2 * kStep);
    values[steepest] = before;
    const double expected = gradient[steepest].item<double>();
    EXPECT_NEAR(slope, expected, 0.03 * std::abs(expected) + 3e-4) << name;
  }
}

TEST_F(LanguageObjectiveTest, MicroBatchesAndRecomputingDoNotChangeTheGradient) {
  options_.model.gradient_checkpointing = false;
  LanguageObjective whole = open();
  const auto expected = gradients_of(whole, all_rows_, 1);
  options_.micro_batch_size = 3;
  options_.model.gradient_checkpointing = true;
  LanguageObjective pieces = open();
  for (const auto& [name, gradient] : gradients_of(pieces, all_rows_, 1)) {
    const double error = (gradient - expected.at(name)).norm().item<double>();
    EXPECT_LE(error, 1e-4 * expected.at(name).norm().item<double>() + 1e-9) << name;
  }
}

TEST_F(LanguageObjectiveTest, TrainingLearnsTheAnswersAndMovesNothingElse) {
  files_.eval_data = files_.data;
  options_.epochs = 200;
  options_.eval_every = 200;
  const TrainSummary summary = train(folder_ / "run");
  EXPECT_EQ(summary.num_steps, 200);
  const auto metrics = RunFolder(folder_ / "run").metrics();
  EXPECT_GT(metrics.front()["loss"].get<double>(), 3);
  EXPECT_LT(summary.last_loss, 0.3);
  EXPECT_EQ(metrics.back()["eval_accuracy"], 1.0);

  const auto before = read_tensor_file(files_.model / "model.safetensors");
  const auto after = read_tensor_file(folder_ / "run" / "model" / "model.safetensors");
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [name, tensor] : before) {
    EXPECT_EQ(!at::equal(tensor, after.at(name)), name.starts_with("language_model.")) << name;
  }
  EXPECT_NO_THROW(load_model(folder_ / "run" / "model"));
}

TEST_F(LanguageObjectiveTest, AResumedRunEndsWithTheSameWeights) {
  options_.epochs = 6;
  train(folder_ / "whole");
  options_.save_every = 3;
  train(folder_ / "saved");
  std::filesystem::remove_all(folder_ / "saved" / "checkpoints" / "step-00000006");
  std::filesystem::remove_all(folder_ / "saved" / "model");
  EXPECT_EQ(train(folder_ / "saved", /*resume=*/true).first_step, 4);
  const auto whole = read_tensor_file(folder_ / "whole" / "model" / "model.safetensors");
  for (const auto& [name, tensor] :
       read_tensor_file(folder_ / "saved" / "model" / "model.safetensors")) {
    EXPECT_TRUE(at::equal(tensor, whole.at(name))) << name;
  }
}

TEST_F(LanguageObjectiveTest, ALoraOfTheSameModelLearnsToo) {
  options_.model.trainable = {"lora"};
  options_.model.lora.lora_dropout = 0;
  options_.model.lora.lora_rank = 8;
  options_.epochs = 50;
  const TrainSummary summary = train(folder_ / "run");
  const auto metrics = RunFolder(folder_ / "run").metrics();
  EXPECT_LT(summary.last_loss, metrics.front()["loss"].get<double>() * 0.95);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run" / "adapter_model.safetensors"));
}

}  // namespace
}  // namespace e5v::detail
