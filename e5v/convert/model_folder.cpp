#include "e5v/convert/model_folder.h"

#include <string>

#include "e5v/base/error.h"
#include "e5v/base/file.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;

/// Weights in any form, their index, and what hubs leave in a folder.
bool is_part_of_weights(const std::string& name) {
  for (const char* end : {".safetensors", ".bin", ".pt", ".pth", ".gguf", ".index.json"}) {
    if (name.ends_with(end)) return true;
  }
  return name.starts_with(".");
}

}  // namespace

void copy_other_files(const fs::path& source, const fs::path& target) {
  for (const auto& entry : fs::directory_iterator(source)) {
    const std::string name = entry.path().filename();
    if (!entry.is_regular_file() || is_part_of_weights(name)) continue;
    write_file(target / name, read_file(entry.path()));
  }
}

std::string_view torch_dtype_name(DType dtype) {
  switch (dtype) {
    case DType::BF16:
      return "bfloat16";
    case DType::F16:
      return "float16";
    case DType::F32:
      return "float32";
    default:
      throw ConfigError(
          fmt::format("a model's type is BF16, F16 or F32, not {}", dtype_name(dtype)));
  }
}

}  // namespace e5v::detail
