#include "e5v/train/train_options.h"

#include <gmock/gmock.h>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/train/objective.h"
#include "e5v/train/objectives/clip.h"
#include "e5v/train/objectives/contrastive.h"
#include "e5v/train/objectives/phi.h"

namespace e5v::detail {
namespace {

using ::testing::HasSubstr;

/// What is wrong with a recipe, for the objective that it names.
std::string error_of(const Json& recipe) {
  try {
    const auto options = make_options_for(recipe, "r.json");
    apply_recipe(recipe, "r.json", *options);
    options->validate();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(TrainOptionsTest, EveryOptionSurvivesTheWayThroughARecipe) {
  ContrastiveTrainOptions options;
  options.prompt.prompts = PromptMode::kPaperCode;
  options.model.base_precision = Precision::kNf4;
  options.seed = 7;
  options.model.lora.target_modules = {"q_proj"};
  options.loss.symmetric = true;
  options.optimizer.schedule = Schedule::kCosine;
  ContrastiveTrainOptions other;
  apply_recipe(to_json(options), "test", other);
  EXPECT_EQ(to_json(other), to_json(options));
  EXPECT_NE(to_json(ContrastiveTrainOptions()), to_json(options));

  PhiTrainOptions phi;
  phi.hidden_size = 5;
  phi.concepts = "some.txt";
  const auto other_phi = make_options_for(to_json(phi), "test");
  apply_recipe(to_json(phi), "test", *other_phi);
  EXPECT_EQ(to_json(*other_phi), to_json(phi));
}

TEST(TrainOptionsTest, ARecipeChangesOnlyWhatItNames) {
  ContrastiveTrainOptions options;
  apply_recipe({{"learning_rate", 1e-5}, {"description", "x"}}, "test", options);
  EXPECT_EQ(options.optimizer.learning_rate, 1e-5);
  EXPECT_EQ(options.batch_size, ContrastiveTrainOptions().batch_size);
}

TEST(TrainOptionsTest, EachObjectiveHasItsOwnDefaults) {
  EXPECT_EQ(make_options_for(Json::object(), "test")->objective(), "contrastive");
  for (const ObjectiveType& type : objective_types()) {
    const auto options = make_options_for({{"objective", type.name}}, "test");
    EXPECT_EQ(options->objective(), type.name);
    EXPECT_NO_THROW(options->validate()) << type.name;
  }
  const Json clip = to_json(ClipTrainOptions()), phi = to_json(PhiTrainOptions());
  EXPECT_EQ(clip["trainable"], Json({"text_tower", "vision_tower"}));
  EXPECT_EQ(clip["batch_size"], 768);
  EXPECT_EQ(phi["batch_size"], 256);
  EXPECT_EQ(phi["micro_batch_size"], 64);
  EXPECT_EQ(phi["epochs"], 50);
  EXPECT_EQ(phi["base_precision"], "fp32");
  EXPECT_EQ(phi["learning_rate"], 1e-4);
  EXPECT_EQ(phi["warmup_steps"], 100);
  EXPECT_EQ(phi["schedule"], "cosine");
  EXPECT_EQ(phi["weight_decay"], 0.01);
  EXPECT_EQ(phi["temperature"], 0);
}

TEST(TrainOptionsTest, AnOptionOfOtherObjectivesIsRefusedAndTheyAreNamed) {
  EXPECT_EQ(error_of({{"objective", "clip"}, {"symmetric", true}}),
            "r.json: 'symmetric' is an option of objective contrastive, not of clip");
  EXPECT_EQ(error_of({{"phi_dropout", 0.1}}),
            "r.json: 'phi_dropout' is an option of objective phi, not of contrastive");
  EXPECT_EQ(error_of({{"objective", "phi"}, {"lora_rank", 8}}),
            "r.json: 'lora_rank' is an option of objective contrastive, language, not of phi");
  EXPECT_EQ(error_of({{"objective", "language"}, {"temperature", 0.1}}),
            "r.json: 'temperature' is an option of objective contrastive, phi, not of language");
  EXPECT_THAT(error_of({{"objective", "clip"}, {"base_precision", "nf4"}}),
              HasSubstr("'base_precision' is 'nf4', expected one of fp32, bf16"));
}

TEST(TrainOptionsTest, MistakesNameTheRecipeAndTheField) {
  EXPECT_THAT(error_of({{"learning_rat", 1}}), HasSubstr("r.json: 'learning_rat' is no option"));
  EXPECT_THAT(error_of({{"batch_size", "x"}}), HasSubstr("r.json: 'batch_size'"));
  EXPECT_THAT(error_of({{"schedule", "steps"}}), HasSubstr("expected one of linear, cosine"));
  EXPECT_THAT(error_of({{"batch_size", 0}}), HasSubstr("'batch_size' is 0"));
  EXPECT_THAT(error_of({{"lora_dropout", 1}}), HasSubstr("'lora_dropout' is 1"));
  EXPECT_THAT(error_of({{"temperature", 0}}), HasSubstr("'temperature' is 0"));
  EXPECT_THAT(error_of({{"max_sentence_tokens", -1}}), HasSubstr("'max_sentence_tokens' is -1"));
  EXPECT_THAT(error_of({{"trainable", {"head"}}}), HasSubstr("'trainable' has 'head'"));
  EXPECT_THAT(error_of({{"trainable", {"lora", "projector"}}}), HasSubstr("lora or whole parts"));
  EXPECT_THAT(error_of({{"objective", "sleep"}}),
              HasSubstr("r.json: 'objective' is 'sleep', expected one of contrastive, language"));
  EXPECT_THAT(error_of({{"objective", 3}}), HasSubstr("r.json: 'objective'"));
}

TEST(TrainOptionsTest, EveryRecipeOfTheProjectIsValid) {
  EXPECT_THAT(recipe_names(), ::testing::IsSupersetOf({"clean", "paper-code", "e5v-8b", "tiny"}));
  for (const std::string& name : recipe_names()) EXPECT_EQ(error_of(find_recipe(name)), "no error");
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(E5V_SOURCE_DIR "/recipes/shapes")) {
    if (entry.path().extension() != ".json" || entry.path().stem() == "prompts") continue;
    EXPECT_EQ(error_of(find_recipe(entry.path())), "no error") << entry.path();
    ++count;
  }
  EXPECT_GE(count, 10u);
}

TEST(TrainOptionsTest, ThePapersRecipeHoldsEveryValue) {
  const Json recipe = find_recipe("e5v-8b");
  const Json all = to_json(ContrastiveTrainOptions());
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
}  // namespace e5v::detail
