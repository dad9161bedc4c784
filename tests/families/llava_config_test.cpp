#include "e5v/families/llava_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/file.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

Json llava_next(const Json& text, const Json& extra = Json::object()) {
  Json config = {{"model_type", "llava_next"}, {"text_config", text}};
  config.update(extra);
  return config;
}

std::string complaint(const Json& config) {
  try {
    LlavaConfig::from_json(config);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(LlavaConfigTest, AbsentFieldsHaveTheDefaultsOfTransformers) {
  const LlavaConfig config = LlavaConfig::from_json(llava_next(Json::object()));
  EXPECT_EQ(config.text.hidden_size, 4096);
  EXPECT_EQ(config.text.num_key_value_heads, 32);
  EXPECT_EQ(config.text.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.text.rope_theta, 10000);
  EXPECT_EQ(config.vision.hidden_size, 1024);
  EXPECT_EQ(config.vision.patch_size, 14);
  EXPECT_EQ(config.vision.layer_norm_eps, 1e-5);
  EXPECT_EQ(config.vision.hidden_act, Activation::kQuickGelu);
  EXPECT_EQ(config.num_vision_layers(), 23);
  EXPECT_EQ(config.features_per_tile(), 576);
  EXPECT_EQ(config.image_grid_pinpoints.size(), 5);
  EXPECT_EQ(config.projector_hidden_act, Activation::kGelu);
}

TEST(LlavaConfigTest, KnowsTheDefaultsOfEachTextModel) {
  const auto text = [](const Json& json) { return TextConfig::from_json(json); };
  EXPECT_EQ(text({{"model_type", "mistral"}}).num_key_value_heads, 8);
  EXPECT_EQ(text({{"model_type", "mistral"}}).max_position_embeddings, 4096);  // its window
  EXPECT_EQ(text({{"model_type", "mistral"}, {"sliding_window", nullptr}}).max_position_embeddings,
            131072);
  EXPECT_TRUE(text({{"model_type", "qwen2"}}).qkv_bias);
  EXPECT_FALSE(text({{"model_type", "qwen2"}}).output_bias);
  EXPECT_EQ(text({{"num_attention_heads", 16}}).num_key_value_heads, 16);
  EXPECT_EQ(text({{"num_attention_heads", 16}}).head_dim, 256);
  EXPECT_EQ(text({{"head_dim", 64}}).head_dim, 64);
}

TEST(LlavaConfigTest, ReadsRopeOfBothGenerations) {
  const TextConfig old = TextConfig::from_json(
      {{"rope_theta", 5e5}, {"rope_scaling", {{"type", "linear"}, {"factor", 4}}}});
  EXPECT_EQ(old.rope_theta, 5e5);
  ASSERT_TRUE(old.rope_scaling);
  EXPECT_EQ(old.rope_scaling->factor, 4);
  const TextConfig today =
      TextConfig::from_json({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5e5}}}});
  EXPECT_EQ(today.rope_theta, 5e5);
  EXPECT_FALSE(today.rope_scaling);
}

TEST(LlavaConfigTest, TheImageTokenHasTwoSpellings) {
  EXPECT_EQ(LlavaConfig::from_json(llava_next({}, {{"image_token_index", 7}})).image_token_index,
            7);
  EXPECT_EQ(LlavaConfig::from_json(llava_next({}, {{"image_token_id", 8}})).image_token_index, 8);
}

TEST(LlavaConfigTest, RefusesWhatItDoesNotImplementByName) {
  EXPECT_THAT(complaint({{"model_type", "qwen2_vl"}}), HasSubstr("qwen2_vl"));
  EXPECT_THAT(complaint(Json::object()), HasSubstr("'model_type' is missing"));
  EXPECT_THAT(complaint(llava_next({{"model_type", "gemma"}})), HasSubstr("gemma"));
  EXPECT_THAT(complaint(llava_next({{"hidden_act", "mish"}})), HasSubstr("mish"));
  EXPECT_THAT(complaint(llava_next({{"rope_scaling", {{"type", "yarn"}, {"factor", 2}}}})),
              HasSubstr("yarn"));
  EXPECT_THAT(complaint(llava_next({}, {{"vision_feature_layer", {-2, -5}}})), HasSubstr("list"));
  EXPECT_THAT(complaint(llava_next({}, {{"vision_config", {{"model_type", "siglip_vision_model"}}},
                                        {"image_grid_pinpoints", {{224, 448}}}})),
              HasSubstr("no class token"));
  EXPECT_THAT(complaint(llava_next({}, {{"vision_feature_select_strategy", "full"}})),
              HasSubstr("full"));
  EXPECT_THAT(complaint(llava_next({}, {{"vision_config", {{"model_type", "siglip"}}}})),
              HasSubstr("siglip"));
}

TEST(LlavaConfigTest, RefusesValuesThatContradictEachOther) {
  EXPECT_THAT(complaint(llava_next({{"num_attention_heads", 0}})), HasSubstr("is 0"));
  EXPECT_THAT(complaint(llava_next({{"hidden_size", "wide"}})), HasSubstr("'hidden_size'"));
  EXPECT_THAT(complaint(llava_next({{"num_key_value_heads", 5}})), HasSubstr("multiple"));
  EXPECT_THAT(complaint(llava_next({{"head_dim", 7}})), HasSubstr("odd"));
  EXPECT_THAT(complaint(llava_next({}, {{"vision_feature_layer", -40}})), HasSubstr("-40"));
  EXPECT_THAT(complaint(llava_next({}, {{"image_grid_pinpoints", {{336, 100}}}})),
              HasSubstr("[336, 100]"));
  EXPECT_THAT(complaint(llava_next({}, {{"image_grid_pinpoints", 3}})), HasSubstr("pinpoints"));
}

TEST(LlavaConfigTest, ErrorsNameTheFile) {
  const TemporaryFolder folder;
  write_file(folder / "config.json", R"({"model_type": "bert"})");
  try {
    LlavaConfig::load(folder.path());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("config.json"));
  }
  EXPECT_THROW(LlavaConfig::load(folder / "absent"), FileError);
}

}  // namespace
}  // namespace e5v::detail
