#include "e5v/train/objectives/phi.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <cmath>
#include <map>

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

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PhiObjectiveTest : public ::testing::Test {
 protected:
  PhiObjectiveTest() {
    at::set_num_threads(1);  // so small a model gains nothing from more, and results are the same
    write_clip_world(folder_.path());
    write_file(folder_ / "concepts.txt", "red\nblue\ta $ half\n\nleft\tat the $\thalf at $\n");
    files_.model = folder_ / "model";
    files_.data = folder_ / "images";
    options_.batch_size = 8;
    options_.micro_batch_size = 8;
    options_.save_every = 0;
    options_.optimizer.learning_rate = 1e-3;
    options_.optimizer.warmup_steps = 0;
    options_.hidden_size = 32;
    options_.concepts = folder_ / "concepts.txt";
    options_.concepts_per_picture = 2;
  }

  std::unique_ptr<PhiObjective> open() {
    return std::make_unique<PhiObjective>(files_, options_, group_, ObjectiveCallbacks{});
  }

  TrainSummary train(const fs::path& output, bool resume = false) {
    TrainFiles files = files_;
    files.output = output;
    files.resume = resume;
    return Trainer(files, options_, group_).run();
  }

  /// In the order of their files' names, as they are trained on.
  std::vector<Image> all_images() const {
    std::vector<Image> images;
    for (const char* name : {"blue-left", "blue-right", "green-left", "green-right", "red-left",
                             "red-right", "yellow-left", "yellow-right"}) {
      images.push_back(load_image(folder_ / fmt::format("images/{}.png", name)));
    }
    return images;
  }

  std::string error_of_opening() {
    return message_of<Error>([&] {
      options_.validate();
      open();
    });
  }

  TemporaryFolder folder_;
  TrainFiles files_;
  PhiTrainOptions options_;
  ProcessGroup group_;
  const std::vector<uint32_t> all_rows_ = {0, 1, 2, 3, 4, 5, 6, 7};
};

TEST_F(PhiObjectiveTest, TheLossIsThatOfTheTextsThatEvaluationComposes) {
  write_file(folder_ / "one.txt", "blue\ta $ half\n");
  options_.concepts = folder_ / "one.txt";  // so that every draw is the same
  options_.dropout = 0;
  options_.concept_weight = 0.4;
  options_.temperature = 0.2;
  const auto objective = open();
  fs::create_directories(folder_ / "result");
  objective->write_result(folder_ / "result");
  const ClipEmbedder embedder(
      {.model = files_.model, .phi = folder_ / "result/phi.safetensors", .threads = 1});
  const at::Tensor features = embedder.image_features(all_images());
  const auto composed = [&](const char* text) {
    return embedder.composed_features(features, std::vector<std::string>(8, text));
  };
  const std::string sentence = "a blue half";
  const at::Tensor cosines =
      at::cosine_similarity(composed("a $ half"), embedder.text_features({&sentence, 1}), 1);
  const double expected =
      clip_loss(features, composed("a photo of $"), at::scalar_tensor(std::log(1 / 0.2)))
          .item<double>() +
      0.4 * (1 - cosines.mean().item<double>());
  EXPECT_NEAR(objective->add_gradients(all_rows_, 1).loss, expected, 1e-5);
}

TEST_F(PhiObjectiveTest, GradientsAreThoseOfFiniteDifferences) {
  options_.micro_batch_size = 3;
  const auto objective = open();
  const auto gradients = gradients_of(*objective, all_rows_, 4);
  for (const Parameter& parameter : objective->parameters()) {
    at::Tensor values = parameter.value.detach().view(-1);  // shares memory
    const at::Tensor gradient = gradients.at(parameter.name).view(-1);
    const auto steepest = gradient.abs().argmax().item<int64_t>();
    const float before = values[steepest].item<float>();
    constexpr float kStep = 2e-3f;
    const auto loss_at = [&](float value) {
      values[steepest] = value;
      return objective->add_gradients(all_rows_, 4).loss;
    };
    const double slope = (loss_at(before + kStep) - loss_at(before - kStep)) / (2 * kStep);
    values[steepest] = before;
    const double expected = gradient[steepest].item<double>();
    EXPECT_GT(std::abs(expected), 1e-4) << parameter.name;
    EXPECT_NEAR(slope, expected, 0.03 * std::abs(expected) + 2e-4) << parameter.name;
  }
}

TEST_F(PhiObjectiveTest, MicroBatchesDoNotChangeTheGradientNorWhatIsDrawn) {
  const auto whole = open();
  const auto expected = gradients_of(*whole, all_rows_, 4);
  options_.micro_batch_size = 3;
  const auto pieces = open();
  for (const auto& [name, gradient] : gradients_of(*pieces, all_rows_, 4)) {
    const double error = (gradient - expected.at(name)).norm().item<double>();
    EXPECT_LE(error, 1e-4 * expected.at(name).norm().item<double>() + 1e-8) << name;
  }
  // Another step drops and draws something else.
  EXPECT_NE(whole->add_gradients(all_rows_, 4).loss, whole->add_gradients(all_rows_, 5).loss);
}

TEST_F(PhiObjectiveTest, TrainingMakesTextsThatFindTheirPictures) {
  files_.eval_data = files_.data;
  options_.epochs = 150;
  options_.eval_every = 150;
  options_.hidden_size = 0;
  options_.dropout = 0.1;
  train(folder_ / "run");
  const auto metrics = RunFolder(folder_ / "run").metrics();
  EXPECT_LT(metrics.back()["loss"].get<double>(), metrics.front()["loss"].get<double>() - 1);
  const auto phi = read_tensor_file(folder_ / "run" / "phi.safetensors");
  EXPECT_EQ(phi.at("layers.0.weight").sizes(), at::IntArrayRef({512, 128}));

  // What evaluation finds with the written network.
  const ClipEmbedder embedder(
      {.model = files_.model, .phi = folder_ / "run" / "phi.safetensors", .threads = 1});
  const at::Tensor images = embedder.image_features(all_images());
  const at::Tensor texts =
      embedder.composed_features(images, std::vector<std::string>(8, "a photo of $"));
  double recall = 0, cosine = 0;
  for (int64_t i = 0; i < 8; ++i) {
    const at::Tensor cosines = at::cosine_similarity(texts[i].unsqueeze(0), images, 1);
    recall += cosines.argmax().item<int64_t>() == i ? 1.0 / 8 : 0;
    cosine += cosines[i].item<double>() / 8;
  }
  const Json& last = metrics.back();
  EXPECT_EQ(last["eval_recall_at_1"], recall);
  EXPECT_NEAR(last["eval_cosine"], cosine, 1e-5);
  const double loss = clip_loss(images, texts, embedder.clip().logit_scale()).item<double>();
  EXPECT_NEAR(last["eval_loss"], loss, 1e-4);
  EXPECT_GT(recall, 1.0 / 8);  // chance, which most of what is wrong would come to
}

TEST_F(PhiObjectiveTest, AResumedRunEndsWithTheSameWeights) {
  options_.epochs = 4;
  options_.batch_size = 4;
  train(folder_ / "whole");
  options_.save_every = 3;
  train(folder_ / "saved");
  fs::remove_all(folder_ / "saved" / "checkpoints" / "step-00000008");
  fs::remove(folder_ / "saved" / "phi.safetensors");
  EXPECT_EQ(train(folder_ / "saved", /*resume=*/true).first_step, 7);
  const auto whole = read_tensor_file(folder_ / "whole" / "phi.safetensors");
  for (const auto& [name, tensor] : read_tensor_file(folder_ / "saved" / "phi.safetensors")) {
    EXPECT_TRUE(at::equal(tensor, whole.at(name))) << name;
  }
  options_.concept_weight = 0.1;
  EXPECT_THROW(train(folder_ / "saved", /*resume=*/true), ConfigError);
}

TEST_F(PhiObjectiveTest, FeaturesThatWereComputedBeforeAnInterruptionAreNotComputedAgain) {
  const auto clip = load_clip(files_.model);
  const ImageProcessor processor = ImageProcessor::load(files_.model);
  PictureFeaturesOptions options{.cache = folder_ / "features.bin", .batch_size = 3};
  options.on_progress = [](uint64_t done, uint64_t) {
    if (done == 6) throw std::runtime_error("killed");
  };
  const auto compute = [&](const fs::path& pictures) {
    return compute_picture_features(pictures, *clip, processor, options);
  };
  EXPECT_THROW(compute(files_.data), std::runtime_error);
  // As if the last row had not reached the disk as a whole.
  fs::resize_file(options.cache, fs::file_size(options.cache) - 1);
  std::vector<uint64_t> progress;
  options.on_progress = [&](uint64_t done, uint64_t) { progress.push_back(done); };
  const PictureFeatures resumed = compute(files_.data);
  EXPECT_THAT(progress, ElementsAre(8));  // rows 5 to 7
  options.cache.clear();
  EXPECT_TRUE(at::equal(resumed.features, compute(files_.data).features));
  // Other pictures begin anew.
  options.cache = folder_ / "features.bin";
  fs::remove(folder_ / "images/red-left.png");
  progress.clear();
  EXPECT_EQ(compute(files_.data).features.size(0), 7);
  EXPECT_THAT(progress, ElementsAre(3, 6, 7));
}

TEST_F(PhiObjectiveTest, APictureThatCannotBeReadIsNamedOrLeftOut) {
  write_file(folder_ / "images/broken.png", "no picture");
  EXPECT_THAT(error_of_opening(), HasSubstr("broken.png"));
  files_.on_bad_row = OnBadRow::kSkip;
  std::vector<std::string> warnings;
  const PhiObjective objective(
      files_, options_, group_,
      {.on_warning = [&](const std::string& warning) { warnings.push_back(warning); },
       .on_progress = nullptr});
  EXPECT_EQ(objective.num_rows(), 8);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("broken.png")));
}

TEST_F(PhiObjectiveTest, MistakesAreNamed) {
  write_file(folder_ / "concepts.txt", "red\nblue\ta blue half\n");
  EXPECT_THAT(error_of_opening(), HasSubstr("line 2: the phrase 'a blue half' has no '$'"));
  write_file(folder_ / "concepts.txt", "\n");
  EXPECT_THAT(error_of_opening(), HasSubstr("has no concepts"));
  options_.concepts.clear();
  EXPECT_EQ(error_of_opening(), "nothing was thrown");
  options_.dropout = 1;
  EXPECT_THAT(error_of_opening(), HasSubstr("'phi_dropout' is 1"));
  options_.dropout = 0;
  options_.batch_size = 1;
  EXPECT_THAT(error_of_opening(), HasSubstr("nothing to tell apart"));
  options_.batch_size = 8;
  fs::create_directories(folder_ / "empty");
  files_.data = folder_ / "empty";
  EXPECT_THAT(error_of_opening(), HasSubstr("no pictures"));
  files_.data = folder_ / "nowhere";
  EXPECT_THAT(error_of_opening(), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace e5v::detail
