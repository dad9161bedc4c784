#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "e5v/base/error.h"

namespace e5v::detail {

using Json = nlohmann::json;

template <class T>
inline constexpr bool is_vector_v = false;
template <class T>
inline constexpr bool is_vector_v<std::vector<T>> = true;

/// Parses `text`; `source` (a path, usually) names it in errors.
/// Throws FormatError with line and column, also for a nesting of over 200 levels.
Json parse_json(std::string_view text, std::string_view source);

/// Reads and parses a file of at most 256 MiB. Throws FileError or FormatError.
Json read_json(const std::filesystem::path& path);

/// The beginning of `value`'s text, as it can stand inside a message.
std::string json_excerpt(const Json& value);

/// `value` as a T; `key` names it in errors. nlohmann's own get() turns 1.5 into 1, true into 1 and
/// 2^40 into 0 without a word: here they throw ConfigError. A whole number written as 1.0 or 1e3 is
/// an integer (configs edited by hand have such). Vectors element by element.
template <class T>
T json_as(const Json& value, const std::string& key) {
  const auto fail = [&](std::string_view expected) {
    throw ConfigError(fmt::format("'{}' is {}, expected {}", key, json_excerpt(value), expected));
  };
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) fail("true or false");
    return value.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    std::optional<T> whole;
    if (value.is_number_unsigned()) {
      if (std::in_range<T>(value.get<uint64_t>())) whole = static_cast<T>(value.get<uint64_t>());
    } else if (value.is_number_integer()) {
      if (std::in_range<T>(value.get<int64_t>())) whole = static_cast<T>(value.get<int64_t>());
    } else if (value.is_number_float()) {
      const double number = value.get<double>();
      // 2^53: above it not every integer is a double.
      if (number == std::floor(number) && std::abs(number) <= 9007199254740992.0 &&
          std::in_range<T>(static_cast<int64_t>(number))) {
        whole = static_cast<T>(number);
      }
    }
    if (!whole) {
      fail(fmt::format("an integer from {} to {}", std::numeric_limits<T>::min(),
                       std::numeric_limits<T>::max()));
    }
    return *whole;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number()) fail("a number");
    return value.get<T>();
  } else if constexpr (is_vector_v<T>) {
    if (!value.is_array()) fail("an array");
    T elements;
    elements.reserve(value.size());
    for (size_t i = 0; i < value.size(); ++i) {
      elements.push_back(json_as<typename T::value_type>(value[i], fmt::format("{}[{}]", key, i)));
    }
    return elements;
  } else {
    try {
      return value.get<T>();
    } catch (const nlohmann::json::exception&) {
      fail(std::is_same_v<T, std::string> ? "a string" : "another type");
      throw;  // not reached: fail throws
    }
  }
}

/// The field `key` of `object` as a T (see json_as), or nullopt where it is absent or null.
/// Throws ConfigError naming the field if it has another type, or `object` is no object.
template <class T>
std::optional<T> find_field(const Json& object, const std::string& key) {
  if (!object.is_object()) {
    throw ConfigError(
        fmt::format("'{}' was looked for in a {}, expected an object", key, object.type_name()));
  }
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return json_as<T>(*found, key);
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

}  // namespace e5v::detail
