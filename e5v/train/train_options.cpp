#include "e5v/train/train_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/train/built_in_recipes.h"

namespace e5v {
namespace {

std::string recipe_key(std::string_view flag) {
  std::string key(flag);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

/// Writes each option's value into a JSON object.
class JsonWriter final : public OptionRegistry {
 public:
  using OptionRegistry::add;
  void add(std::string_view name, bool& value, std::string_view) override { set(name, value); }
  void add(std::string_view name, int64_t& value, std::string_view) override { set(name, value); }
  void add(std::string_view name, double& value, std::string_view) override { set(name, value); }
  void add(std::string_view name, std::string& value, std::string_view) override {
    set(name, value);
  }
  void add(std::string_view name, std::filesystem::path& value, std::string_view) override {
    set(name, value.string());
  }
  void add(std::string_view name, std::vector<std::string>& value, std::string_view) override {
    set(name, value);
  }

  Json json = Json::object();

 protected:
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                  std::function<void(size_t)>, std::string_view) override {
    set(name, choices[current]);
  }

 private:
  template <class T>
  void set(std::string_view name, const T& value) {
    json[recipe_key(name)] = value;
  }
};

/// Sets each option that a JSON object has a value for.
class JsonReader final : public OptionRegistry {
 public:
  explicit JsonReader(const Json& json) : json_(json) {}

  using OptionRegistry::add;
  void add(std::string_view name, bool& value, std::string_view) override { get(name, value); }
  void add(std::string_view name, int64_t& value, std::string_view) override { get(name, value); }
  void add(std::string_view name, double& value, std::string_view) override { get(name, value); }
  void add(std::string_view name, std::string& value, std::string_view) override {
    get(name, value);
  }
  void add(std::string_view name, std::filesystem::path& value, std::string_view) override {
    std::string text = value.string();
    get(name, text);
    value = text;
  }
  void add(std::string_view name, std::vector<std::string>& value, std::string_view) override {
    get(name, value);
  }

  /// Keys that no option took.
  std::vector<std::string> unknown_keys() const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : json_.items()) {
      if (!known_.contains(key)) keys.push_back(key);
    }
    return keys;
  }

 protected:
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                  std::function<void(size_t)> choose, std::string_view) override {
    std::string text = choices[current];
    get(name, text);
    const auto found = std::find(choices.begin(), choices.end(), text);
    if (found == choices.end()) {
      throw ConfigError(fmt::format("'{}' is '{}', expected one of {}", recipe_key(name),
                                    printable(text, 40), fmt::join(choices, ", ")));
    }
    choose(static_cast<size_t>(found - choices.begin()));
  }

 private:
  template <class T>
  void get(std::string_view name, T& value) {
    const std::string key = recipe_key(name);
    known_.insert(key);
    value = field_or(json_, key, std::move(value));
  }

  const Json& json_;
  std::set<std::string> known_ = {"description"};
};

void require(bool holds, std::string_view field, int64_t value, std::string_view rule) {
  if (!holds) throw ConfigError(fmt::format("'{}' is {}, expected {}", field, value, rule));
}

}  // namespace

void TrainOptions::register_options(OptionRegistry& registry) {
  registry.add("objective", objective,
               {{"contrastive", TrainingObjective::kContrastive},
                {"language", TrainingObjective::kLanguage},
                {"clip", TrainingObjective::kClip}},
               "Triplets, the answers of conversations, or pictures and texts for a CLIP folder");
  registry.add(
      "average-over", average_over,
      {{"tokens", AverageOver::kTokens}, {"conversations", AverageOver::kConversations}},
      "The loss of conversations is the mean over their learned tokens, or over each of them");
  registry.add("prompts", prompts,
               {{"clean", PromptMode::kClean}, {"paper-code", PromptMode::kPaperCode}},
               "The prompts of embedding, or the published script's own");
  registry.add("chat-template", chat_template,
               "Chat template around the prompt; auto = the model's");
  registry.add("max-sentence-tokens", max_sentence_tokens,
               "Cut sentences to so many tokens; 0 = never");
  registry.add("batch-size", batch_size, "Rows of one step, over all processes");
  registry.add("micro-batch-size", micro_batch_size, "Rows in memory at once, in each process");
  registry.add("epochs", epochs, "Times that the data is gone through");
  registry.add("max-steps", max_steps, "End after so many steps; 0 = after the epochs");
  registry.add("seed", seed, "Of shuffling, initial weights and dropout");
  registry.add("shuffle", shuffle, "Another order of rows in each epoch");
  registry.add("trainable", trainable,
               "lora, or in full: language_model, projector, vision_tower; of CLIP: text_tower, "
               "vision_tower");
  registry.add(
      "base-precision", base_precision,
      {{"fp32", Precision::kFloat32}, {"bf16", Precision::kBFloat16}, {"nf4", Precision::kNf4}},
      "How frozen weights are held");
  registry.add("gradient-checkpointing", gradient_checkpointing,
               "Compute each layer a second time rather than keep what it computed");
  registry.add("save-every", save_every, "Steps between checkpoints; 0 = none");
  registry.add("keep-checkpoints", keep_checkpoints, "Checkpoints that stay");
  registry.add("eval-every", eval_every, "Steps between evaluations of --eval-data");
  registry.add("eval-rows", eval_rows, "Rows of --eval-data that are evaluated; 0 = all");
  lora.register_options(registry);
  loss.register_options(registry);
  optimizer.register_options(registry);
}

void TrainOptions::validate() const {
  require(max_sentence_tokens >= 0, "max_sentence_tokens", max_sentence_tokens, "0 or more");
  require(batch_size >= 1, "batch_size", batch_size, "1 or more");
  require(micro_batch_size >= 1, "micro_batch_size", micro_batch_size, "1 or more");
  require(epochs >= 1, "epochs", epochs, "1 or more");
  require(max_steps >= 0, "max_steps", max_steps, "0 or more");
  require(save_every >= 0, "save_every", save_every, "0 or more");
  require(keep_checkpoints >= 1, "keep_checkpoints", keep_checkpoints, "1 or more");
  require(eval_every >= 1, "eval_every", eval_every, "1 or more");
  require(eval_rows >= 0, "eval_rows", eval_rows, "0 or more");
  const bool is_clip = objective == TrainingObjective::kClip;
  const std::set<std::string> known =
      is_clip ? std::set<std::string>{"text_tower", "vision_tower"}
              : std::set<std::string>{"lora", "language_model", "projector", "vision_tower"};
  for (const std::string& part : trainable) {
    if (!known.contains(part)) {
      throw ConfigError(fmt::format("'trainable' has '{}', expected {}{}", printable(part, 40),
                                    fmt::join(known, ", "),
                                    is_clip ? " for objective clip (see the recipe clip)" : ""));
    }
    if (part == "lora" && !trains_lora()) {
      throw ConfigError("'trainable' has 'lora' and others, expected either lora or whole parts");
    }
  }
  if (trainable.empty()) throw ConfigError("'trainable' is empty");
  if (!trains_lora() && base_precision == Precision::kNf4) {
    throw ConfigError("'base_precision' is nf4, expected fp32 or bf16 where weights are trained");
  }
  lora.validate();
  loss.validate();
  optimizer.validate();
}

Json to_json(TrainOptions options) {
  JsonWriter writer;
  options.register_options(writer);
  return std::move(writer.json);
}

void apply_recipe(const Json& recipe, std::string_view source, TrainOptions& options) {
  try {
    JsonReader reader(recipe);
    options.register_options(reader);
    const auto unknown = reader.unknown_keys();
    if (!unknown.empty()) {
      throw ConfigError(fmt::format("'{}' is no option of training", printable(unknown.front())));
    }
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", source, error.what()));
  }
}

Json find_recipe(const std::string& file_or_name) {
  for (const auto& [name, content] : kBuiltInRecipes) {
    if (name == file_or_name) return parse_json(content, name);
  }
  if (!file_or_name.ends_with(".json") && !std::filesystem::exists(file_or_name)) {
    throw ConfigError(fmt::format("recipe '{}' is neither a file nor one of {}",
                                  printable(file_or_name), fmt::join(recipe_names(), ", ")));
  }
  return read_json(file_or_name);
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const auto& recipe : kBuiltInRecipes) names.emplace_back(recipe.name);
  return names;
}

std::string program_revision() { return E5V_REVISION; }

}  // namespace e5v
