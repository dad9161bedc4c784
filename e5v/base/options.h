#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace e5v::detail {

/// Where a struct of options declares its fields, once each: the command line makes flags and help
/// text of them. A field's value at that moment is its default. The registry keeps references, so
/// the struct must outlive it.
///
///   void BatchOptions::register_options(OptionRegistry& registry) {
///     registry.add("batch-tokens", batch_tokens, "Tokens in one batch at the most");
///   }
class OptionRegistry {
 public:
  virtual ~OptionRegistry() = default;

  /// `name` is the long flag without dashes; `help` says meaning and unit.
  virtual void add(std::string_view name, bool& value, std::string_view help) = 0;
  virtual void add(std::string_view name, int64_t& value, std::string_view help) = 0;
  virtual void add(std::string_view name, double& value, std::string_view help) = 0;
  virtual void add(std::string_view name, std::string& value, std::string_view help) = 0;
  virtual void add(std::string_view name, std::filesystem::path& value, std::string_view help) = 0;
  virtual void add(std::string_view name, std::vector<std::string>& value,
                   std::string_view help) = 0;

  /// A field that takes one of the choices of `table`, each with the name by which users know it.
  template <class Enum>
  void add(std::string_view name, Enum& value, std::vector<std::pair<std::string_view, Enum>> table,
           std::string_view help) {
    std::vector<std::string> names;
    size_t current = 0;
    for (const auto& [choice, meaning] : table) {
      if (meaning == value) current = names.size();
      names.emplace_back(choice);
    }
    add_choice(
        name, std::move(names), current,
        [&value, table = std::move(table)](size_t chosen) { value = table[chosen].second; }, help);
  }

 protected:
  /// `choose` sets the field to the choice of that index; `current` is the default's.
  virtual void add_choice(std::string_view name, std::vector<std::string> choices, size_t current,
                          std::function<void(size_t)> choose, std::string_view help) = 0;
};

}  // namespace e5v::detail
