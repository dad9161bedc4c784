#pragma once

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "e5v/base/error.h"

namespace e5v {

using Json = nlohmann::json;

/// Parses `text`; `source` (a path, usually) names it in errors.
/// Throws FormatError with line and column, also for a nesting of over 200 levels.
Json parse_json(std::string_view text, std::string_view source);

/// Reads and parses a file. Throws FileError or FormatError.
Json read_json(const std::filesystem::path& path);

/// The field `key` of `object` as a T, or nullopt where it is absent or null.
/// Throws ConfigError naming the field if it has another type, or `object` is no object.
template <class T>
std::optional<T> find_field(const Json& object, const std::string& key) {
  if (!object.is_object()) {
    throw ConfigError(fmt::format("'{}' was looked for in a {}, expected an object", key,
                                  object.type_name()));
  }
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  // nlohmann converts 1.5 to 1 and true to 1 silently: such a config is wrong, not generous.
  if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) {
      throw ConfigError(fmt::format("'{}' is a {}, expected a boolean", key, found->type_name()));
    }
  } else if constexpr (std::is_integral_v<T>) {
    const bool whole_float =
        found->is_number_float() && found->template get<double>() == std::floor(found->template get<double>());
    if (!found->is_number_integer() && !whole_float) {
      throw ConfigError(fmt::format("'{}' is {}, expected an integer", key, printable(found->dump())));
    }
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!found->is_number()) {
      throw ConfigError(fmt::format("'{}' is a {}, expected a number", key, found->type_name()));
    }
  }
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw ConfigError(
        fmt::format("'{}' has an unexpected type or value: {}", key, printable(found->dump())));
  }
}

/// As find_field, but an absent field gives `fallback`.
template <class T>
T field_or(const Json& object, const std::string& key, T fallback) {
  return find_field<T>(object, key).value_or(std::move(fallback));
}

/// As find_field, but an absent field throws ConfigError.
template <class T>
T require_field(const Json& object, const std::string& key) {
  auto value = find_field<T>(object, key);
  if (!value) throw ConfigError(fmt::format("'{}' is missing", key));
  return *std::move(value);
}

}  // namespace e5v
