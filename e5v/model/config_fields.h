#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <utility>

#include "e5v/base/json.h"

namespace e5v::detail {

/// Sizes beyond this are a broken file, not a model; products of two stay far from overflow.
inline constexpr int64_t kMaxConfigSize = int64_t{1} << 28;

/// Throws ConfigError naming the first of `sizes` that is not from 1 to kMaxConfigSize.
void require_sizes(std::initializer_list<std::pair<const char*, int64_t>> sizes);

/// The object that `key` names, an empty one where it is absent.
Json sub_config(const Json& json, const std::string& key);

/// `Config::from_json(json)`, whose errors name the part of the file that it is.
template <class Config>
Config named_config(const std::string& part, const Json& json) try {
  return Config::from_json(json);
} catch (const ConfigError& error) {
  throw ConfigError(fmt::format("{}: {}", part, error.what()));
}

/// What `read` makes of MODEL_DIR/config.json; its errors name the file. Throws FileError,
/// FormatError, ConfigError.
template <class Read>
auto read_config(const std::filesystem::path& model_dir, const Read& read) {
  const std::filesystem::path path = model_dir / "config.json";
  const Json json = read_json(path);
  try {
    return read(json);
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("{}: {}", printable(path.native(), 4096), error.what()));
  }
}

}  // namespace e5v::detail
