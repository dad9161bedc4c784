#include "e5v/families/llava_architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/model/model.h"
#include "e5v/nn/linear.h"

namespace e5v::detail {
namespace {

Json small(const char* tower, const char* strategy) {
  return {
      {"model_type", "llava"},
      {"vision_feature_layer", -2},
      {"vision_feature_select_strategy", strategy},
      {"text_config", {{"hidden_size", 32}, {"num_attention_heads", 4}, {"num_hidden_layers", 1}}},
      {"vision_config",
       {{"model_type", tower},
        {"hidden_size", 16},
        {"intermediate_size", 24},
        {"num_hidden_layers", 3},
        {"num_attention_heads", 2},
        {"image_size", 20},
        {"patch_size", 4}}}};
}

/// Multiplies each weight of tower and projector by the rows that pass it.
class ProductCounter final : public ParameterVisitor {
 public:
  ProductCounter(const WeightNames& names, double patches, double positions, double features)
      : names_(names), patches_(patches), positions_(positions), features_(features) {}

  void tensor(const std::string&, at::Tensor&, at::IntArrayRef) override {}
  void linear(const std::string& name, Linear& linear) override {
    const PartKind kind = names_.kind_of(name);
    const bool is_patches = name.find("patch_embedding") != std::string::npos;
    const double rows = kind == PartKind::kProjector     ? features_
                        : kind != PartKind::kVisionTower ? 0
                        : is_patches                     ? patches_
                                                         : positions_;
    flops += 2 * rows * static_cast<double>(linear.in_features() * linear.out_features());
  }

  double flops = 0;

 private:
  const WeightNames& names_;
  double patches_, positions_, features_;
};

struct Case {
  const char* tower;
  const char* strategy;
  double positions, features;
};

TEST(LlavaArchitectureTest, FlopsOfAPictureAreThoseOfItsProducts) {
  const PreparedPicture picture{.original = {}, .num_rows = 3, .rgb = {}, .layout = {}};
  constexpr double kPatches = 25, kWidth = 16, kLayers = 2;
  for (const Case& c :
       {Case{"clip_vision_model", "default", 26, 25}, Case{"clip_vision_model", "full", 26, 26},
        Case{"siglip_vision_model", "full", 25, 25}, Case{"vit", "default", 26, 25}}) {
    const auto architecture = LlavaArchitecture::from_json(small(c.tower, c.strategy));
    ProductCounter counter(architecture->weight_names(), kPatches, c.positions, c.features);
    architecture->make_model()->visit_parameters(counter);
    const double attention = kLayers * 4 * c.positions * c.positions * kWidth;
    EXPECT_DOUBLE_EQ(architecture->picture_flops(picture), 3 * (counter.flops + attention))
        << c.tower;
  }
}

}  // namespace
}  // namespace e5v::detail
