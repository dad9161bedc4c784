#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "e5v/base/json.h"
#include "e5v/model/precision.h"

namespace e5v::detail {

/// The precision to which `e5v quantize` rounded a folder's weights, by `quantization_config` of
/// its config.json; nullopt where they are floating point. Throws FileError, FormatError, and
/// ConfigError where another program quantised them.
std::optional<Precision> stored_precision(const std::filesystem::path& model_dir);

/// What `quantization_config` says of it; docs/formats.md.
Json quantization_config(Precision precision);

}  // namespace e5v::detail
