#pragma once

#include <filesystem>
#include <string_view>

#include "e5v/checkpoint/dtype.h"

namespace e5v::detail {

/// Copies what a model folder holds beside its weights: configuration, tokenizer, licence.
/// Not sub-folders. Throws FileError.
void copy_other_files(const std::filesystem::path& source, const std::filesystem::path& target);

/// What config.json calls a model's type: "float32", "bfloat16" or "float16". Throws ConfigError
/// for other types.
std::string_view torch_dtype_name(DType dtype);

}  // namespace e5v::detail
