#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "e5v/base/progress.h"
#include "e5v/checkpoint/weight_names.h"

namespace e5v::detail {

/// The new value of the tensor with that canonical name (weight_names.h) and value, of the same
/// shape, or nullopt to keep it to the byte.
using TensorReplacement = std::function<std::optional<at::Tensor>(const std::string& canonical_name,
                                                                  const at::Tensor& stored)>;

/// Copies a checkpoint folder with some tensors replaced: the same names, order and types, shard
/// after shard, in the memory of one tensor. Configuration and tokenizer files are copied as they
/// are. `target` must not exist or be empty; weights appear in it only when all are written. Throws
/// FileError, FormatError; ConfigError if `target` is taken.
void rewrite_checkpoint(const std::filesystem::path& source, const std::filesystem::path& target,
                        const WeightNames& names, const TensorReplacement& replacement,
                        const ProgressCallback& progress = nullptr);

}  // namespace e5v::detail
