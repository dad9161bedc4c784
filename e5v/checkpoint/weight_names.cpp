#include "e5v/checkpoint/weight_names.h"

#include <charconv>

namespace e5v::detail {
namespace {

const WeightNames::Part* find_part(const WeightNames& names, std::string_view name) {
  for (const WeightNames::Part& part : names.parts) {
    if (name.starts_with(part.prefix)) return &part;
  }
  return nullptr;
}

}  // namespace

std::string WeightNames::canonical(std::string_view name) const {
  for (const Renaming& renaming : renamings) {
    if (name.starts_with(renaming.prefix)) {
      return renaming.canonical + std::string(name.substr(renaming.prefix.size()));
    }
  }
  return std::string(name);
}

std::optional<std::string> WeightNames::find_stored(const std::vector<std::string>& stored,
                                                    std::string_view canonical_name) const {
  for (const std::string& name : stored) {
    if (canonical(name) == canonical_name) return name;
  }
  return std::nullopt;
}

std::string WeightNames::canonical_adapter_module(std::string_view module) const {
  constexpr std::string_view kPeftPrefix = "base_model.model.";
  if (module.starts_with(kPeftPrefix)) module.remove_prefix(kPeftPrefix.size());
  if (!text_layers_alone.empty() && module.starts_with(text_layers_alone)) {
    return text_layers + std::string(module.substr(text_layers_alone.size()));
  }
  return canonical(module);
}

PartKind WeightNames::kind_of(std::string_view name) const {
  const Part* part = find_part(*this, name);
  return part == nullptr ? PartKind::kOther : part->kind;
}

std::string_view WeightNames::title_of(std::string_view name) const {
  const Part* part = find_part(*this, name);
  return part == nullptr ? std::string_view() : part->title;
}

std::optional<int64_t> WeightNames::text_layer(std::string_view name) const {
  if (text_layers.empty() || !name.starts_with(text_layers)) return std::nullopt;
  name.remove_prefix(text_layers.size());
  int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const bool is_number = error == std::errc() && end != name.data() + name.size() && *end == '.';
  return is_number ? std::optional(layer) : std::nullopt;
}

std::vector<std::string> WeightNames::prefixes_of(PartKind kind) const {
  std::vector<std::string> prefixes;
  for (const Part& part : parts) {
    if (part.kind == kind) prefixes.push_back(part.prefix);
  }
  return prefixes;
}

const WeightNames& plain_weight_names() {
  static const WeightNames names;
  return names;
}

}  // namespace e5v::detail
