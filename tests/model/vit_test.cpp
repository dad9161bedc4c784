#include "e5v/model/vit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "e5v/nn/linear.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Gives every parameter random values.
class RandomFiller final : public ParameterVisitor {
 public:
  void tensor(const std::string&, at::Tensor& value, at::IntArrayRef shape) override {
    value = at::randn(shape);
  }
  void linear(const std::string&, Linear& linear) override {
    linear.set_weight(std::make_unique<PlainStorage>(
        at::randn({linear.out_features(), linear.in_features()}) * 0.1));
    if (linear.has_bias()) linear.set_bias(at::randn({linear.out_features()}));
  }
};

VisionConfig small(const char* model_type) {
  return VisionConfig::from_json({{"model_type", model_type},
                                  {"hidden_size", 8},
                                  {"intermediate_size", 8},
                                  {"num_hidden_layers", 2},
                                  {"num_attention_heads", 2},
                                  {"image_size", 12},
                                  {"patch_size", 4}});
}

at::Tensor features_of(const VisionConfig& config, const at::Tensor& pixel_values) {
  const at::NoGradGuard no_grad;
  at::manual_seed(1);
  const auto tower = make_vision_tower(config, {.num_layers = 2, .keep_class_token = false});
  RandomFiller filler;
  tower->visit_parameters(filler);
  return tower->forward(pixel_values, at::kFloat);
}

TEST(VitTest, PatchesThatDoNotFitAreLeftOutWhereTheKindSaysSo) {
  VisionConfig wider = small("siglip_vision_model");
  wider.image_size = 15;
  ASSERT_NO_THROW(wider.validate());
  const at::Tensor pixels = at::randn({2, 3, 15, 15});
  const at::Tensor inner = pixels.narrow(2, 0, 12).narrow(3, 0, 12).contiguous();
  EXPECT_TRUE(
      at::equal(features_of(wider, pixels), features_of(small("siglip_vision_model"), inner)));

  VisionConfig clip = small("clip_vision_model");
  clip.image_size = 15;
  EXPECT_THROW(clip.validate(), ConfigError);
}

TEST(VitTest, OneFeatureAPatchWithoutTheClassToken) {
  for (const char* model_type : {"clip_vision_model", "siglip_vision_model", "vit"}) {
    const at::Tensor features = features_of(small(model_type), at::randn({2, 3, 12, 12}));
    EXPECT_EQ(features.sizes(), at::IntArrayRef({2, 9, 8})) << model_type;
  }
}

TEST(VitTest, AnUnknownKindIsAnsweredWithTheKnownOnes) {
  try {
    vision_tower_kind("hiera");
    FAIL() << "nothing was thrown";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("'hiera'"), HasSubstr("clip_vision_model"),
                                    HasSubstr("siglip_vision_model"), HasSubstr("vit")));
  }
}

}  // namespace
}  // namespace e5v::detail
