#include "e5v/checkpoint/weight_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::Eq;

WeightNames example() {
  WeightNames names;
  names.renamings = {{"model.text.", "text."}, {"model.", "all."}};
  names.parts = {{"tower.", PartKind::kVisionTower, "tower"},
                 {"bridge.", PartKind::kProjector, "bridge"},
                 {"newline", PartKind::kProjector, "newline"},
                 {"text.", PartKind::kTextModel, "text"}};
  names.text_layers = "text.layers.";
  names.text_layers_alone = "layers.";
  return names;
}

TEST(WeightNamesTest, TheFirstPrefixThatMatchesRenames) {
  EXPECT_EQ(example().canonical("model.text.norm.weight"), "text.norm.weight");
  EXPECT_EQ(example().canonical("model.other"), "all.other");
  EXPECT_EQ(example().canonical("text.model.other"), "text.model.other");
}

TEST(WeightNamesTest, FindsWhatAFileCallsAWeight) {
  const std::vector<std::string> stored = {"model.other", "model.text.norm.weight"};
  EXPECT_EQ(example().find_stored(stored, "text.norm.weight"), "model.text.norm.weight");
  EXPECT_EQ(example().find_stored(stored, "model.text.norm.weight"), std::nullopt);
}

TEST(WeightNamesTest, AnAdapterOfTheTextModelAloneIsFoundInTheWhole) {
  EXPECT_EQ(example().canonical_adapter_module("base_model.model.layers.3.mlp.up_proj"),
            "text.layers.3.mlp.up_proj");
  EXPECT_EQ(example().canonical_adapter_module("base_model.model.model.text.layers.3.q"),
            "text.layers.3.q");
  EXPECT_EQ(example().canonical_adapter_module("layers.12.q"), "text.layers.12.q");
}

TEST(WeightNamesTest, TellsPartsByTheirPrefixes) {
  EXPECT_EQ(example().kind_of("tower.x"), PartKind::kVisionTower);
  EXPECT_EQ(example().kind_of("newline"), PartKind::kProjector);
  EXPECT_EQ(example().kind_of("towers.x"), PartKind::kOther);
  EXPECT_EQ(example().title_of("bridge.1.weight"), "bridge");
  EXPECT_EQ(example().title_of("towers.x"), "");
  EXPECT_THAT(example().prefixes_of(PartKind::kProjector), ElementsAre("bridge.", "newline"));
}

TEST(WeightNamesTest, ReadsTheNumberOfATextLayer) {
  EXPECT_THAT(example().text_layer("text.layers.0.q.weight"), Eq(0));
  EXPECT_THAT(example().text_layer("text.layers.12.q.weight"), Eq(12));
  for (const char* name :
       {"text.layers.12", "text.layers.1x.q", "text.layers..q", "text.norm.weight", "tower.0.q"}) {
    EXPECT_THAT(example().text_layer(name), Eq(std::nullopt)) << name;
  }
  EXPECT_THAT(plain_weight_names().text_layer("0.q"), Eq(std::nullopt));
}

}  // namespace
}  // namespace e5v::detail
