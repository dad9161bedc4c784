#include "e5v/model/model_folder.h"

#include <unistd.h>

#include <string>
#include <system_error>

#include "e5v/base/error.h"
#include "e5v/base/file.h"

namespace e5v {
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

NewFolder::NewFolder(const fs::path& target) {
  std::error_code error;
  const bool is_taken = fs::exists(target, error) &&
                        (!fs::is_directory(target, error) || !fs::is_empty(target, error));
  if (is_taken || error) {
    throw FileError(target.native(), "cannot write a model", "expected a new or empty folder");
  }
  // Absolute, so that the temporary name lies beside it even for "." and "model/".
  target_ = fs::absolute(target).lexically_normal();
  if (!target_.has_filename()) target_ = target_.parent_path();
  path_ = target_;
  path_ += fmt::format(".tmp{}", ::getpid());
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void NewFolder::commit() {
  std::error_code error;
  fs::rename(path_, target_, error);
  if (error) throw FileError(target_.native(), "cannot create", error.message());
}

}  // namespace e5v
