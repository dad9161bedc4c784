#pragma once

#include <filesystem>
#include <memory>

#include "e5v/model/load_parameters.h"
#include "e5v/model/model.h"

namespace e5v::detail {

/// Loads a checkpoint folder (config.json and safetensors, any key layout). Weights are streamed:
/// each goes to its final storage once and its file pages are released, so that the peak is the
/// final weights and one layer.
/// Throws FileError, FormatError (all missing and misshaped tensors in one), ConfigError.
std::unique_ptr<Model> load_model(const std::filesystem::path& model_dir,
                                  const LoadOptions& options = {});

}  // namespace e5v::detail
