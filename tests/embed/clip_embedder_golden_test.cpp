#include "e5v/embed/clip_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/file.h"
#include "e5v/image/decode.h"
#include "e5v/nn/parameter_visitor.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// The golden's folder, completed by the tokenizer that it shares with another golden.
class ClipEmbedderGoldenTest : public testing::Test {
 protected:
  ClipEmbedderGoldenTest() {
    for (const char* name : {"config.json", "preprocessor_config.json", "model.safetensors"}) {
      fs::copy_file(golden_.folder() / name, folder_ / name);
    }
    fs::copy_file(golden_.folder() / "../tokenizer_kinds/clip.tokenizer.json",
                  folder_ / "tokenizer.json");
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> texts;
    for (const Json& item : golden_.description()["texts"]) {
      texts.push_back(item["text"].get<std::string>());
    }
    return texts;
  }

  std::vector<Image> pictures() const {
    std::vector<Image> pictures;
    for (const Json& name : golden_.description()["pictures"]) {
      pictures.push_back(
          load_image(fs::path(E5V_SOURCE_DIR) / "examples/pictures" / name.get<std::string>(),
                     {.apply_exif_orientation = false}));
    }
    return pictures;
  }

  const Golden golden_ = load_golden("clip_tiny");
  const Tolerance tolerance_ = golden_.tolerance("embedding");
  const TemporaryFolder folder_;
};

TEST_F(ClipEmbedderGoldenTest, TextsEqualTheReferenceAloneAndTogether) {
  const ClipEmbedder embedder({.model = folder_.path()});
  const std::vector<std::string> all = texts();
  const at::Tensor together = embedder.text_features(all);
  for (size_t i = 0; i < all.size(); ++i) {
    const at::Tensor expected = golden_.expected(fmt::format("text.{}", i));
    EXPECT_EQ(embedder.input_ids(all[i]),
              golden_.description()["texts"][i]["input_ids"].get<std::vector<int64_t>>());
    EXPECT_THAT(together[static_cast<int64_t>(i)], AllClose(expected, tolerance_)) << all[i];
    EXPECT_THAT(embedder.text_features({&all[i], 1})[0], AllClose(expected, tolerance_)) << all[i];
  }
}

TEST_F(ClipEmbedderGoldenTest, PicturesEqualTheReference) {
  const ClipEmbedder embedder({.model = folder_.path()});
  const at::Tensor features = embedder.image_features(pictures());
  ASSERT_EQ(features.size(0), 2);
  for (int64_t i = 0; i < features.size(0); ++i) {
    EXPECT_THAT(features[i], AllClose(golden_.expected(fmt::format("image.{}", i)), tolerance_));
  }
}

TEST_F(ClipEmbedderGoldenTest, ComposedFeaturesEqualTheReference) {
  const ClipEmbedder embedder(
      {.model = folder_.path(), .phi = golden_.folder() / "phi.safetensors"});
  const std::string sentence = golden_.description()["sentence"];
  const at::Tensor image = golden_.expected("image.0").unsqueeze(0);
  EXPECT_THAT(embedder.composed_features(image, {&sentence, 1})[0],
              AllClose(golden_.expected("phi.composed"), tolerance_));
  const std::string none = "a photo of it";
  EXPECT_THROW(embedder.composed_features(image, {&none, 1}), InputError);
}

TEST_F(ClipEmbedderGoldenTest, AnExplicitEndTokenIsTheFirstOfItsId) {
  Json config = read_json(folder_ / "config.json");
  config["text_config"]["eos_token_id"] = golden_.description()["explicit_end"]["eos_token_id"];
  write_file(folder_ / "config.json", config.dump());
  const ClipEmbedder embedder({.model = folder_.path()});
  const auto ids =
      golden_.description()["explicit_end"]["input_ids"].get<std::vector<std::vector<int64_t>>>();
  const at::Tensor features = embedder.clip().encode_text(ClipTextBatch::of(ids));
  for (int64_t i = 0; i < features.size(0); ++i) {
    EXPECT_THAT(features[i],
                AllClose(golden_.expected(fmt::format("text_explicit_end.{}", i)), tolerance_));
  }
}

/// Sets requires_grad on all parameters.
class Unfreezer final : public ParameterVisitor {
 public:
  void tensor(const std::string&, at::Tensor& value, at::IntArrayRef) override { add(value); }
  void linear(const std::string&, Linear& linear) override { add(linear.storage().dense()); }
  std::vector<at::Tensor> tensors;

 private:
  void add(const at::Tensor& value) { tensors.push_back(value.requires_grad_()); }
};

TEST_F(ClipEmbedderGoldenTest, EveryWeightGetsAGradient) {
  const auto clip = load_clip(folder_.path(), {.precision = Precision::kFloat32, .pack = false});
  Unfreezer unfreezer;
  clip->visit_parameters(unfreezer);
  const at::Tensor texts = clip->encode_text(ClipTextBatch::of({{1, 2, 3, 4}, {5, 6, 7}}));
  EXPECT_THAT(clip->encode_text(ClipTextBatch::of({{5, 6, 7}}))[0],
              AllClose(texts[1].detach(), Tolerance{1e-5, 0}));
  const at::Tensor images = clip->encode_images(at::ones({2, 3, 30, 30}));
  (at::matmul(texts, images.t()) * clip->logit_scale().exp()).sum().backward();
  for (const at::Tensor& tensor : unfreezer.tensors) {
    ASSERT_TRUE(tensor.grad().defined());
    EXPECT_TRUE(at::isfinite(tensor.grad()).all().item<bool>());
  }
}

TEST_F(ClipEmbedderGoldenTest, SaysWhatDoesNotFit) {
  const ClipEmbedder embedder({.model = folder_.path()});
  const Clip& clip = embedder.clip();
  EXPECT_THROW(clip.encode_text(ClipTextBatch::of({{}})), InputError);
  EXPECT_THROW(clip.encode_text(ClipTextBatch::of({std::vector<int64_t>(21, 1)})), InputError);
  EXPECT_THROW(clip.encode_text(ClipTextBatch::of({{1, 5000}})), InputError);
  EXPECT_THROW(clip.encode_text(ClipTextBatch::of({{1, -1}})), InputError);  // no pseudo-word
  EXPECT_THROW(clip.encode_images(at::zeros({1, 3, 29, 30})), InputError);
  const std::string sentence = "a photo of $";
  EXPECT_THROW(embedder.composed_features(at::zeros({1, 20}), {&sentence, 1}), ConfigError);
  EXPECT_THROW(ClipEmbedder({.model = folder_.path(), .target_pad = 0.5}), ConfigError);
}

TEST(TargetPadTest, PadsTheShorterSideUpToTheRatio) {
  EXPECT_EQ(target_pad(Image(100, 120), 1.25).size(), (ImageSize{100, 120}));
  EXPECT_EQ(target_pad(Image(100, 200), 1.25).size(), (ImageSize{160, 200}));
  EXPECT_EQ(target_pad(Image(101, 10), 1.25).size(), (ImageSize{101, 80}));
  Image image(1, 4);
  std::fill(image.rgb.begin(), image.rgb.end(), uint8_t{9});
  const Image padded = target_pad(image, 1.25);
  ASSERT_EQ(padded.size(), (ImageSize{3, 4}));
  EXPECT_EQ(padded.row(0)[0], 0);
  EXPECT_EQ(padded.row(1)[0], 9);
}

}  // namespace
}  // namespace e5v::detail
