#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>

namespace e5v::detail {

/// Writes tensors (fp32, bf16, fp16, int64, uint8) as one safetensors file. Throws FileError.
void write_tensor_file(const std::filesystem::path& path,
                       const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string, std::less<>>& metadata = {});

/// Reads every floating-point tensor of a safetensors file, in float32. Throws FileError,
/// FormatError.
std::map<std::string, at::Tensor> read_tensor_file(const std::filesystem::path& path);

}  // namespace e5v::detail
