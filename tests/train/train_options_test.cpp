#include "e5v/train/train_options.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"

namespace e5v {
namespace {

using ::testing::HasSubstr;

std::string error_of(const Json& recipe) {
  TrainOptions options;
  try {
    apply_recipe(recipe, "r.json", options);
    options.validate();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(TrainOptionsTest, EveryOptionSurvivesTheWayThroughARecipe) {
  TrainOptions options;
  options.prompts = PromptMode::kPaperCode;
  options.base_precision = Precision::kNf4;
  options.seed = 7;
  options.lora.target_modules = {"q_proj"};
  options.loss.symmetric = true;
  options.optimizer.schedule = Schedule::kCosine;
  TrainOptions other;
  apply_recipe(to_json(options), "test", other);
  EXPECT_EQ(to_json(other), to_json(options));
  EXPECT_NE(to_json(TrainOptions()), to_json(options));
}

TEST(TrainOptionsTest, ARecipeChangesOnlyWhatItNames) {
  TrainOptions options;
  apply_recipe({{"learning_rate", 1e-5}, {"description", "x"}}, "test", options);
  EXPECT_EQ(options.optimizer.learning_rate, 1e-5);
  EXPECT_EQ(options.batch_size, TrainOptions().batch_size);
}

TEST(TrainOptionsTest, MistakesNameTheRecipeAndTheField) {
  EXPECT_THAT(error_of({{"learning_rat", 1}}), HasSubstr("r.json: 'learning_rat' is no option"));
  EXPECT_THAT(error_of({{"batch_size", "x"}}), HasSubstr("r.json: 'batch_size'"));
  EXPECT_THAT(error_of({{"schedule", "steps"}}), HasSubstr("expected one of linear, cosine"));
  EXPECT_THAT(error_of({{"batch_size", 0}}), HasSubstr("'batch_size' is 0"));
  EXPECT_THAT(error_of({{"lora_dropout", 1}}), HasSubstr("'lora_dropout' is 1"));
  EXPECT_THAT(error_of({{"temperature", 0}}), HasSubstr("'temperature' is 0"));
  EXPECT_THAT(error_of({{"trainable", {"head"}}}), HasSubstr("'trainable' has 'head'"));
}

TEST(TrainOptionsTest, EveryRecipeOfTheProjectIsValid) {
  EXPECT_THAT(recipe_names(), ::testing::IsSupersetOf({"clean", "paper-code", "e5v-8b", "tiny"}));
  for (const std::string& name : recipe_names()) EXPECT_EQ(error_of(find_recipe(name)), "no error");
}

TEST(TrainOptionsTest, ThePapersRecipeHoldsEveryValue) {
  const Json recipe = find_recipe("e5v-8b");
  const Json all = to_json(TrainOptions());
  for (const auto& [key, value] : all.items()) {
    EXPECT_TRUE(recipe.contains(key)) << key;
  }
  EXPECT_EQ(recipe["batch_size"], 768);
  EXPECT_EQ(recipe["base_precision"], "nf4");
}

TEST(TrainOptionsTest, AnUnknownRecipeListsTheKnownOnes) {
  try {
    find_recipe("e5v-9b");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("e5v-8b"));
  }
}

}  // namespace
}  // namespace e5v
