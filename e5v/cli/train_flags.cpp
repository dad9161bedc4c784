#include "e5v/cli/train_flags.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <functional>
#include <utility>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// What an option's value is.
enum class Kind { kFlag, kInteger, kNumber, kText, kTexts, kChoice };

/// An option as one objective has it.
struct Use {
  std::string objective;
  std::string help;
  std::string default_value;
};

/// An option, and how each objective that has it does.
struct Option {
  std::string name;
  Kind kind;
  bool is_on = false;                ///< kFlag: by default
  std::vector<std::string> choices;  ///< kChoice: all that any objective has
  std::vector<Use> uses;

  std::vector<std::string> objectives() const {
    std::vector<std::string> names;
    for (const Use& use : uses) names.push_back(use.objective);
    return names;
  }
};

/// Collects the options of one objective after the other.
class OptionCollector final : public OptionRegistry {
 public:
  void begin(std::string_view objective) { objective_ = objective; }

  using OptionRegistry::add;
  void add(std::string_view name, bool& value, std::string_view help) override {
    use(name, Kind::kFlag, help, "").is_on = value;
  }
  void add(std::string_view name, int64_t& value, std::string_view help) override {
    use(name, Kind::kInteger, help, fmt::format("{}", value));
  }
  void add(std::string_view name, double& value, std::string_view help) override {
    use(name, Kind::kNumber, help, fmt::format("{}", value));
  }
  void add(std::string_view name, std::string& value, std::string_view help) override {
    use(name, Kind::kText, help, value);
  }
  void add(std::string_view name, std::filesystem::path& value, std::string_view help) override {
    use(name, Kind::kText, help, value.string());
  }
  void add(std::string_view name, std::vector<std::string>& value, std::string_view help) override {
    use(name, Kind::kTexts, help, fmt::format("{}", fmt::join(value, " ")));
  }

  std::vector<Option> options;

 protected:
  void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                  std::function<void(size_t)>, std::string_view help) override {
    Option& option = use(name, Kind::kChoice, fmt::format("{}: {}", help, fmt::join(choices, ", ")),
                         choices[current]);
    for (std::string& choice : choices) {
      const auto known = std::find(option.choices.begin(), option.choices.end(), choice);
      if (known == option.choices.end()) option.choices.push_back(std::move(choice));
    }
  }

 private:
  Option& use(std::string_view name, Kind kind, std::string_view help, std::string default_value) {
    auto found = std::find_if(options.begin(), options.end(),
                              [&](const Option& option) { return option.name == name; });
    if (found == options.end()) {
      found = options.insert(options.end(), {.name = std::string(name), .kind = kind});
    }
    E5V_ASSERT(found->kind == kind);
    found->uses.push_back({objective_, std::string(help), std::move(default_value)});
    return *found;
  }

  std::string objective_;
};

/// What the first objective says of the option, then those that say something else.
std::string joined(const Option& option, std::string Use::*text, std::string_view between) {
  const std::string& first = option.uses.front().*text;
  std::string result = first;
  for (const Use& use : option.uses) {
    if (use.*text == first) continue;
    result += fmt::format("{}of {}: {}", between, use.objective, use.*text);
  }
  return result;
}

void declare(CLI::App& command, const Option& option, const std::string& group, Json& given) {
  const std::string flag = "--" + option.name, key = recipe_key(option.name);
  const std::string help = joined(option, &Use::help, "; ");
  const std::string value = joined(option, &Use::default_value, ", ");
  CLI::Option* added = nullptr;
  switch (option.kind) {
    case Kind::kFlag:
      added = option.is_on ? command.add_flag_callback(
                                 "--no-" + option.name, [&given, key] { given[key] = false; },
                                 "Turn off what is on by default: " + help)
                           : command.add_flag_callback(
                                 flag, [&given, key] { given[key] = true; }, help);
      break;
    case Kind::kInteger:
      added = command.add_option_function<int64_t>(
          flag, [&given, key](int64_t number) { given[key] = number; }, help);
      break;
    case Kind::kNumber:
      added = command.add_option_function<double>(
          flag, [&given, key](double number) { given[key] = number; }, help);
      break;
    case Kind::kText:
      added = command.add_option_function<std::string>(
          flag, [&given, key](const std::string& text) { given[key] = text; }, help);
      break;
    case Kind::kTexts:
      // One value each time the flag is given, as elsewhere.
      added = command.add_option_function<std::vector<std::string>>(
          flag, [&given, key](const std::vector<std::string>& texts) { given[key] = texts; }, help);
      added->allow_extra_args(false);
      break;
    case Kind::kChoice:
      added = command.add_option_function<std::string>(
          flag,
          [&given, key, choices = option.choices](const std::string& chosen) {
            if (std::find(choices.begin(), choices.end(), chosen) == choices.end()) {
              throw CLI::ValidationError(
                  fmt::format("'{}' is none of {}", printable(chosen), fmt::join(choices, ", ")));
            }
            given[key] = chosen;
          },
          help);
      break;
  }
  if (!value.empty()) added->default_str(value);
  if (!group.empty()) added->group(group);
}

}  // namespace

TrainFlags::TrainFlags(CLI::App& command, std::span<const ObjectiveType> types) {
  OptionCollector collector;
  for (const ObjectiveType& type : types) {
    const auto options = type.make_options();
    collector.begin(type.name);
    options->register_options(collector);
  }
  // The help has those of every objective first, then what fewer share.
  std::stable_sort(collector.options.begin(), collector.options.end(),
                   [](const Option& a, const Option& b) { return a.uses.size() > b.uses.size(); });
  for (const Option& option : collector.options) {
    const bool is_of_all = option.uses.size() == types.size();
    const std::string group =
        is_of_all ? "Options of every objective"
                  : fmt::format("Options of {}", fmt::join(option.objectives(), ", "));
    declare(command, option, types.size() == 1 ? "" : group, given_);
  }
}

}  // namespace e5v::detail
