#include "e5v/train/objectives/clip.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <thread>

#include "e5v/base/error.h"
#include "e5v/embed/clip_embedder.h"
#include "e5v/image/decode.h"
#include "e5v/nn/tensor_file.h"
#include "e5v/train/contrastive_loss.h"
#include "e5v/train/trainer.h"
#include "tests/support/message_of.h"
#include "tests/support/temporary_folder.h"
#include "tests/train/clip_world.h"
#include "tests/train/objectives/gradients_of.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

class ClipObjectiveTest : public ::testing::Test {
 protected:
  ClipObjectiveTest() {
    at::set_num_threads(1);  // so small a model gains nothing from more, and results are the same
    write_clip_world(folder_.path());
    files_.model = folder_ / "model";
    files_.data = folder_ / "pairs.jsonl";
    options_.base_precision = Precision::kFloat32;
    options_.batch_size = 8;
    options_.micro_batch_size = 8;
    options_.save_every = 0;
    options_.optimizer.learning_rate = 1e-3;
    options_.optimizer.warmup_steps = 0;
  }

  ClipObjective open() { return ClipObjective(files_, options_, group_, {}); }

  TrainSummary train(const std::filesystem::path& output, bool resume = false) {
    files_.output = output;
    files_.resume = resume;
    return Trainer(files_, options_, group_).run();
  }

  std::vector<Image> images_of_pairs() const {
    const TripletFile pairs(files_.data);
    std::vector<Image> images;
    for (const uint32_t row : all_rows_) images.push_back(load_image(pairs.row(row).anchor.image));
    return images;
  }
  std::vector<std::string> texts_of_pairs() const {
    const TripletFile pairs(files_.data);
    std::vector<std::string> texts;
    for (const uint32_t row : all_rows_) texts.push_back(pairs.row(row).positive.text);
    return texts;
  }

  std::string error_of_opening() {
    return message_of<Error>([&] {
      options_.validate();
      open();
    });
  }

  TemporaryFolder folder_;
  TrainFiles files_;
  ClipTrainOptions options_;
  ProcessGroup group_;
  const std::vector<uint32_t> all_rows_ = {0, 1, 2, 3, 4, 5, 6, 7};
};

TEST_F(ClipObjectiveTest, TheLossIsThatOfTheFeaturesThatEvaluationComputes) {
  const ClipEmbedder embedder({.model = files_.model, .threads = 1});
  const double expected =
      clip_loss(embedder.image_features(images_of_pairs()),
                embedder.text_features(texts_of_pairs()), embedder.clip().logit_scale())
          .item<double>();
  ClipObjective objective = open();
  EXPECT_NEAR(objective.add_gradients(all_rows_, 1).loss, expected, 1e-5);
}

TEST_F(ClipObjectiveTest, GradientsAreThoseOfFiniteDifferences) {
  ClipObjective objective = open();
  const auto gradients = gradients_of(objective, all_rows_, 1);
  for (const char* name :
       {"logit_scale", "text_projection.weight", "text_model.embeddings.token_embedding.weight",
        "text_model.encoder.layers.0.self_attn.q_proj.weight",
        "text_model.encoder.layers.3.mlp.fc2.bias", "visual_projection.weight",
        "vision_model.embeddings.patch_embedding.weight",
        "vision_model.encoder.layers.2.self_attn.v_proj.weight",
        "vision_model.post_layernorm.weight"}) {
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

TEST_F(ClipObjectiveTest, MicroBatchesDoNotChangeTheGradient) {
  ClipObjective whole = open();
  const auto expected = gradients_of(whole, all_rows_, 1);
  options_.micro_batch_size = 3;
  ClipObjective pieces = open();
  for (const auto& [name, gradient] : gradients_of(pieces, all_rows_, 1)) {
    const double error = (gradient - expected.at(name)).norm().item<double>();
    EXPECT_LE(error, 1e-4 * expected.at(name).norm().item<double>() + 1e-8) << name;
  }
}

TEST_F(ClipObjectiveTest, TwoProcessesAddUpToTheSameGradient) {
  ClipObjective whole = open();
  const auto expected = gradients_of(whole, all_rows_, 1);
  const auto port = static_cast<uint16_t>(31000 + ::getpid() % 10000);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      at::set_num_threads(1);
      ProcessGroup group({.rank = rank, .world_size = 2, .master_port = port}, 60);
      ClipObjective share(files_, options_, group, {});
      share.add_gradients(all_rows_, 1);
      std::vector<at::Tensor> gradients;
      for (const Parameter& one : share.parameters()) gradients.push_back(one.value.grad());
      group.sum(gradients);
      for (size_t i = 0; i < gradients.size(); ++i) {
        const at::Tensor& one = expected.at(share.parameters()[i].name);
        const double error = (gradients[i] - one).norm().item<double>();
        EXPECT_LE(error, 1e-4 * one.norm().item<double>() + 1e-8) << share.parameters()[i].name;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ClipObjectiveTest, TrainingFindsPicturesByTextsAndTheResultIsAClip) {
  files_.eval_data = files_.data;
  options_.epochs = 60;
  options_.eval_every = 60;
  train(folder_ / "run");
  const auto metrics = RunFolder(folder_ / "run").metrics();
  EXPECT_GT(metrics.front()["loss"].get<double>(), 1.9);  // log 8 is chance
  EXPECT_LT(metrics.back()["loss"].get<double>(), 1);

  // What evaluation finds of the written model: pictures by texts and texts by pictures.
  const ClipEmbedder embedder({.model = folder_ / "run" / "model", .threads = 1});
  const at::Tensor images = embedder.image_features(images_of_pairs());
  const at::Tensor texts = embedder.text_features(texts_of_pairs());
  double text_recall = 0, image_recall = 0;
  for (int64_t i = 0; i < 8; ++i) {
    const at::Tensor to_images = at::cosine_similarity(texts[i].unsqueeze(0), images, 1);
    const at::Tensor to_texts = at::cosine_similarity(images[i].unsqueeze(0), texts, 1);
    text_recall += to_images.argmax().item<int64_t>() == i ? 1.0 / 8 : 0;
    image_recall += to_texts.argmax().item<int64_t>() == i ? 1.0 / 8 : 0;
  }
  const Json& last = metrics.back();
  EXPECT_EQ(last["eval_text_recall_at_1"], text_recall);
  EXPECT_EQ(last["eval_image_recall_at_1"], image_recall);
  const at::Tensor scale = embedder.clip().logit_scale();
  EXPECT_NEAR(last["eval_loss"], clip_loss(images, texts, scale).item<double>(), 1e-4);
  EXPECT_NEAR(last["eval_temperature"], std::exp(-scale.item<double>()), 1e-6);
  EXPECT_LT(text_recall, 1);  // else the same would follow from much that is wrong
}

TEST_F(ClipObjectiveTest, ATowerThatIsNotNamedStaysAsItWas) {
  options_.trainable = {"text_tower"};
  options_.epochs = 2;
  train(folder_ / "run");
  const auto before = read_tensor_file(files_.model / "model.safetensors");
  const auto after = read_tensor_file(folder_ / "run" / "model" / "model.safetensors");
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [name, tensor] : before) {
    const bool moves = name.starts_with("text_") || name == "logit_scale";
    EXPECT_EQ(!at::equal(tensor, after.at(name)), moves) << name;
  }
}

TEST_F(ClipObjectiveTest, AResumedRunEndsWithTheSameWeights) {
  options_.epochs = 4;
  options_.batch_size = 4;
  options_.optimizer.weight_decay = 0.2;
  train(folder_ / "whole");
  options_.save_every = 3;
  train(folder_ / "saved");
  std::filesystem::remove_all(folder_ / "saved" / "checkpoints" / "step-00000008");
  std::filesystem::remove_all(folder_ / "saved" / "model");
  EXPECT_EQ(train(folder_ / "saved", /*resume=*/true).first_step, 7);
  const auto whole = read_tensor_file(folder_ / "whole" / "model" / "model.safetensors");
  for (const auto& [name, tensor] :
       read_tensor_file(folder_ / "saved" / "model" / "model.safetensors")) {
    EXPECT_TRUE(at::equal(tensor, whole.at(name))) << name;
  }
}

TEST_F(ClipObjectiveTest, CosinesAreMultipliedByAHundredAtTheMost) {
  ClipObjective objective = open();
  for (const Parameter& parameter : objective.parameters()) {
    EXPECT_EQ(parameter.decays, parameter.value.dim() >= 2) << parameter.name;
    if (parameter.name == "logit_scale") at::Tensor(parameter.value).detach().fill_(7);
  }
  objective.add_gradients(all_rows_, 1);
  std::filesystem::create_directories(folder_ / "result");
  objective.write_result(folder_ / "result");
  const auto written = read_tensor_file(folder_ / "result" / "model" / "model.safetensors");
  EXPECT_NEAR(written.at("logit_scale").item<double>(), std::log(100), 1e-6);
}

TEST_F(ClipObjectiveTest, WhatCannotBeTrainedOnIsNamed) {
  write_file(folder_ / "bad.jsonl", R"({"anchor": "a text", "positive": "another"})");
  files_.data = folder_ / "bad.jsonl";
  EXPECT_THAT(error_of_opening(), HasSubstr("line 1: expected a picture and a text"));
  write_file(folder_ / "bad.jsonl",
             R"({"anchor": {"image": "images/none.png"}, "positive": "red"})"
             "\n"
             R"({"anchor": "red", "positive": {"image": "images/red-left.png"}})");
  EXPECT_THAT(error_of_opening(), HasSubstr("1 of 2 pictures are missing, the first is"));
  files_.data = folder_ / "pairs.jsonl";
  options_.batch_size = 1;
  EXPECT_THAT(error_of_opening(), HasSubstr("nothing to tell apart"));
  options_.batch_size = 8;
  options_.trainable = {"lora"};
  EXPECT_THAT(error_of_opening(), HasSubstr("'trainable' has 'lora', expected text_tower"));
}

}  // namespace
}  // namespace e5v::detail
