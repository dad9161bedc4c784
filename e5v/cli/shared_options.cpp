#include "e5v/cli/shared_options.h"

#include <utility>

namespace e5v::detail {

template <class T>
void SharedOptions::add_shared(std::string_view name, T& value, std::string_view help) {
  const auto [field, is_new] = fields_.try_emplace(std::string(name), &value);
  if (is_new) return Command::add(name, value, help);
  T* const first = std::any_cast<T*>(field->second);
  copies_.push_back([this, flag = field->first, first, &value] {
    if (was_given(flag)) value = *first;
  });
}

void SharedOptions::add(std::string_view name, bool& value, std::string_view help) {
  add_shared(name, value, help);
}

void SharedOptions::add(std::string_view name, int64_t& value, std::string_view help) {
  add_shared(name, value, help);
}

void SharedOptions::add(std::string_view name, double& value, std::string_view help) {
  add_shared(name, value, help);
}

void SharedOptions::add(std::string_view name, std::string& value, std::string_view help) {
  add_shared(name, value, help);
}

void SharedOptions::add(std::string_view name, std::filesystem::path& value,
                        std::string_view help) {
  add_shared(name, value, help);
}

void SharedOptions::add(std::string_view name, std::vector<std::string>& value,
                        std::string_view help) {
  add_shared(name, value, help);
}

void SharedOptions::add_choice(std::string_view name, std::vector<std::string> choices,
                               size_t current, std::function<void(size_t)> choose,
                               std::string_view help) {
  const auto [shared, is_new] = choosers_.try_emplace(std::string(name));
  if (is_new) {
    shared->second = std::make_shared<Choosers>();
    const auto choose_all = [all = shared->second](size_t chosen) {
      for (const auto& each : *all) each(chosen);
    };
    Command::add_choice(name, std::move(choices), current, choose_all, help);
  }
  shared->second->push_back(std::move(choose));
}

void SharedOptions::copy_given() const {
  for (const auto& copy : copies_) copy();
}

}  // namespace e5v::detail
