#include "e5v/train/train_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/train/built_in_recipes.h"
#include "e5v/train/objective.h"

namespace e5v::detail {
namespace {

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
  std::set<std::string> known_ = {"description", "objective"};
};

/// Why `key` cannot stand in a recipe of `objective`.
std::string why_unknown(const std::string& key, std::string_view objective) {
  std::vector<std::string_view> owners;
  for (const ObjectiveType& type : objective_types()) {
    if (to_json(*type.make_options()).contains(key)) owners.push_back(type.name);
  }
  if (owners.empty()) return fmt::format("'{}' is no option of training", printable(key));
  return fmt::format("'{}' is an option of objective {}, not of {}", key, fmt::join(owners, ", "),
                     objective);
}

void require(bool holds, std::string_view field, int64_t value, std::string_view rule) {
  if (!holds) throw ConfigError(fmt::format("'{}' is {}, expected {}", field, value, rule));
}

}  // namespace

std::string recipe_key(std::string_view flag) {
  std::string key(flag);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

void TrainOptions::register_options(OptionRegistry& registry) {
  registry.add("batch-size", batch_size, "Rows of one step, over all processes");
  registry.add("micro-batch-size", micro_batch_size, "Rows in memory at once, in each process");
  registry.add("epochs", epochs, "Times that the data is gone through");
  registry.add("max-steps", max_steps, "End after so many steps; 0 = after the epochs");
  registry.add("seed", seed, "Of all that is drawn: the order of rows, first weights, dropout");
  registry.add("shuffle", shuffle, "Another order of rows in each epoch");
  registry.add("save-every", save_every, "Steps between checkpoints; 0 = none");
  registry.add("keep-checkpoints", keep_checkpoints, "Checkpoints that stay");
  registry.add("eval-every", eval_every, "Steps between evaluations of --eval-data");
  registry.add("eval-rows", eval_rows, "Rows of --eval-data that are evaluated; 0 = all");
  optimizer.register_options(registry);
}

void TrainOptions::validate() const {
  require(batch_size >= 1, "batch_size", batch_size, "1 or more");
  require(micro_batch_size >= 1, "micro_batch_size", micro_batch_size, "1 or more");
  require(epochs >= 1, "epochs", epochs, "1 or more");
  require(max_steps >= 0, "max_steps", max_steps, "0 or more");
  require(save_every >= 0, "save_every", save_every, "0 or more");
  require(keep_checkpoints >= 1, "keep_checkpoints", keep_checkpoints, "1 or more");
  require(eval_every >= 1, "eval_every", eval_every, "1 or more");
  require(eval_rows >= 0, "eval_rows", eval_rows, "0 or more");
  optimizer.validate();
}

Json to_json(const TrainOptions& options) {
  JsonWriter writer;
  // Registries take fields to be written to; this one only reads.
  const_cast<TrainOptions&>(options).register_options(writer);
  writer.json["objective"] = options.objective();
  return std::move(writer.json);
}

void apply_recipe(const Json& recipe, std::string_view source, TrainOptions& options) {
  try {
    JsonReader reader(recipe);
    options.register_options(reader);
    const auto unknown = reader.unknown_keys();
    if (!unknown.empty()) throw ConfigError(why_unknown(unknown.front(), options.objective()));
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", source, error.what()));
  }
}

std::unique_ptr<TrainOptions> make_options_for(const Json& recipe, std::string_view source) {
  std::string name;
  try {
    name = field_or(recipe, "objective", std::string(objective_types().front().name));
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", source, error.what()));
  }
  if (const ObjectiveType* type = find_objective_type(name)) return type->make_options();
  std::vector<std::string_view> names;
  for (const ObjectiveType& type : objective_types()) names.push_back(type.name);
  throw ConfigError(fmt::format("{}: 'objective' is '{}', expected one of {}", source,
                                printable(name, 40), fmt::join(names, ", ")));
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

}  // namespace e5v::detail
