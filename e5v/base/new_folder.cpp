#include "e5v/base/new_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

#include "e5v/base/error.h"

namespace e5v::detail {

namespace fs = std::filesystem;

NewFolder::NewFolder(const fs::path& target, std::string_view what) {
  std::error_code error;
  const bool is_taken = fs::exists(target, error) &&
                        (!fs::is_directory(target, error) || !fs::is_empty(target, error));
  if (is_taken || error) {
    throw FileError(target.native(), fmt::format("cannot write {}", what),
                    "expected a new or empty folder");
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

}  // namespace e5v::detail
