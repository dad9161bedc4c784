#include "e5v/families/qwen3_vl_architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "e5v/families/registry.h"
#include "e5v/model/model.h"
#include "e5v/nn/linear.h"
#include "tests/support/message_of.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Qwen3-VL-2B's config.json, as published.
Json qwen3_vl_2b() {
  return Json::parse(R"({
    "model_type": "qwen3_vl", "tie_word_embeddings": true, "image_token_id": 151655,
    "text_config": {
      "model_type": "qwen3_vl_text", "head_dim": 128, "hidden_size": 2048,
      "intermediate_size": 6144, "num_attention_heads": 16, "num_hidden_layers": 28,
      "num_key_value_heads": 8, "rope_theta": 5000000, "vocab_size": 151936,
      "rope_scaling": {"mrope_interleaved": true, "mrope_section": [24, 20, 20],
                       "rope_type": "default"}},
    "vision_config": {
      "model_type": "qwen3_vl", "deepstack_visual_indexes": [5, 11, 17], "depth": 24,
      "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2048}
  })");
}

std::string refusal(const std::string& pointer, const Json& value) {
  Json json = qwen3_vl_2b();
  json[Json::json_pointer(pointer)] = value;
  return message_of<ConfigError>([&] { architecture_from_json(json); });
}

/// Counts parameters, and multiplies each product of tower and mergers by the rows that pass it.
struct Counter final : ParameterVisitor {
  explicit Counter(double rows) : rows(rows) {}

  void tensor(const std::string&, at::Tensor&, at::IntArrayRef shape) override {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size == -1 ? 151936 : size;
    parameters += count;
  }
  void linear(const std::string& name, Linear& linear) override {
    const int64_t weights = linear.in_features() * linear.out_features();
    parameters += weights + (linear.has_bias() ? linear.out_features() : 0);
    if (!name.starts_with("model.visual.")) return;
    const bool joins_cells = name.find("merger") != std::string::npos;
    flops += 2 * (joins_cells ? rows / 4 : rows) * static_cast<double>(weights);
  }

  double rows, flops = 0;
  int64_t parameters = 0;
};

TEST(Qwen3VlArchitectureTest, PublishedShapesHaveThePublishedNumberOfParameters) {
  const auto architecture = architecture_from_json(qwen3_vl_2b());
  Counter counter(0);
  architecture->visit_published(counter);
  EXPECT_EQ(counter.parameters, 2127532032);
}

TEST(Qwen3VlArchitectureTest, FlopsOfAPictureAreThoseOfItsProductsAndOfAttentionInside) {
  const auto architecture = architecture_from_json(qwen3_vl_2b());
  Counter counter(1200);
  architecture->visit_published(counter);
  const double attention = 24 * 4.0 * 1200 * 1200 * 1024;
  const PreparedPicture picture{.original = {}, .num_rows = 1200, .rgb = {}, .layout = {}};
  EXPECT_DOUBLE_EQ(architecture->picture_flops(picture), counter.flops + attention);
}

TEST(Qwen3VlArchitectureTest, WeightsAndAdaptersAreFoundUnderTheNamesInCirculation) {
  const auto architecture = architecture_from_json(qwen3_vl_2b());
  const WeightNames& names = architecture->weight_names();
  EXPECT_EQ(names.canonical("language_model.norm.weight"), "model.language_model.norm.weight");
  EXPECT_EQ(names.canonical("visual.pos_embed.weight"), "model.visual.pos_embed.weight");
  const std::string layer = "model.language_model.layers.3.self_attn.q_proj";
  // Of the whole model, of its inner model, of the language model alone.
  for (const char* module : {"base_model.model.model.language_model.layers.3.self_attn.q_proj",
                             "base_model.model.language_model.layers.3.self_attn.q_proj",
                             "base_model.model.model.layers.3.self_attn.q_proj"}) {
    EXPECT_EQ(names.canonical_adapter_module(module), layer) << module;
  }
  EXPECT_EQ(names.kind_of("model.visual.merger.norm.weight"), PartKind::kProjector);
  EXPECT_EQ(names.kind_of("model.visual.blocks.0.norm1.weight"), PartKind::kVisionTower);
}

TEST(Qwen3VlArchitectureTest, VariantsAreRefusedFieldByField) {
  EXPECT_THAT(refusal("/text_config/num_experts", 128),
              HasSubstr("text_config: 'num_experts' is 128: a mixture of experts is not"));
  EXPECT_THAT(refusal("/text_config/rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}),
              HasSubstr("rope scaling 'yarn' is not supported"));
  EXPECT_THAT(refusal("/text_config/rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}}),
              HasSubstr("'rope_scaling' has a rope_type other than default"));
  EXPECT_THAT(refusal("/text_config/rope_scaling/mrope_section", {24, 20, 21}),
              HasSubstr("'mrope_section' is [24, 20, 21], expected 3 sizes that make 64"));
  EXPECT_THAT(refusal("/vision_config/rope_parameters", {{"rope_type", "linear"}}),
              HasSubstr("vision_config: 'rope_parameters.rope_type' is 'linear', expected axial"));
  EXPECT_THAT(refusal("/vision_config/deepstack_visual_indexes", {5, 11, 24}),
              HasSubstr("[5, 11, 24], expected rising numbers of the 24 layers"));
  EXPECT_THAT(refusal("/vision_config/out_hidden_size", 4096),
              HasSubstr("'vision_config.out_hidden_size' is 4096, expected the language model's"));
  EXPECT_THAT(refusal("/vision_config/num_position_embeddings", 2300),
              HasSubstr("'num_position_embeddings' is 2300, expected a square number"));
  EXPECT_THAT(
      refusal("/model_type", "qwen3_vl_moe"),
      AllOf(HasSubstr("model_type 'qwen3_vl_moe' is not supported"), HasSubstr("qwen3_vl")));
}

TEST(Qwen3VlArchitectureTest, AProcessorThatCutsOtherwiseIsRefused) {
  const std::filesystem::path golden =
      std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/model_qwen3_vl";
  EXPECT_NO_THROW(load_architecture(golden)->load_picture_rules(golden, {}));
  const auto other = architecture_from_json(qwen3_vl_2b());  // patches of 16, not 4
  EXPECT_THAT(message_of<ConfigError>([&] { other->load_picture_rules(golden, {}); }),
              HasSubstr("'patch_size' of the image processor is 4, but config.json's "
                        "vision_config has 16"));
}

TEST(Qwen3VlArchitectureTest, ACallersBoundsReplaceTheFolders) {
  const std::filesystem::path golden =
      std::filesystem::path(E5V_SOURCE_DIR) / "tests/goldens/model_qwen3_vl";  // 256 to 4096 pixels
  const auto architecture = load_architecture(golden);
  const auto num_rows = [&](const PictureOptions& options) {
    return architecture->load_picture_rules(golden, options)->prepare(Image(64, 128)).num_rows;
  };
  EXPECT_EQ(num_rows({}), 5 * 11 * 4);
  EXPECT_EQ(num_rows({.max_pixels = 16384}), 8 * 16 * 4);
  EXPECT_EQ(num_rows({.max_pixels = 512}), 2 * 4 * 4);
  EXPECT_EQ(num_rows({.min_pixels = 16384, .max_pixels = 65536}), 12 * 23 * 4);
  EXPECT_THAT(message_of<ConfigError>([&] { num_rows({.min_pixels = 5000}); }),
              HasSubstr("'min_pixels' is 5000, expected 1 to 4096"));
}

}  // namespace
}  // namespace e5v::detail
