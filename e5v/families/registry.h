#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "e5v/model/architecture.h"

namespace e5v::detail {

/// A family of models, found by the `model_type` of config.json.
struct Family {
  std::vector<std::string> model_types;
  /// Throws ConfigError.
  std::shared_ptr<const Architecture> (*from_json)(const Json& config);
};

/// Every family that this program knows.
const std::vector<Family>& families();

/// The architecture of a config.json. Throws ConfigError; for an unknown `model_type` one that
/// lists the known ones.
std::shared_ptr<const Architecture> architecture_from_json(const Json& config);

/// The same of MODEL_DIR/config.json; errors name the file.
std::shared_ptr<const Architecture> load_architecture(const std::filesystem::path& model_dir);

}  // namespace e5v::detail
