#pragma once

#include <stdexcept>
#include <string_view>

#include "e5v/export.h"

namespace e5v {

/// What every failure that a user can cause or mend is thrown as. `what()` is one line:
/// place, what was wrong, what was expected, and a hint where there is a likely cause.
class E5V_API Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file could not be opened, read, mapped, written or renamed.
class E5V_API FileError : public Error {
 public:
  /// `path: action: reason`, e.g. `a/b.json: cannot open: No such file or directory`.
  FileError(std::string_view path, std::string_view action, std::string_view reason);
};

/// A file's content is not what its format promises.
class E5V_API FormatError : public Error {
 public:
  /// `path: problem`; `problem` names the place in the file, what was expected and what was met.
  FormatError(std::string_view path, std::string_view problem);
};

/// A value of a configuration or option breaks a rule.
class E5V_API ConfigError : public Error {
 public:
  using Error::Error;
};

/// The caller's text, image, shape or item is not usable.
class E5V_API InputError : public Error {
 public:
  using Error::Error;
};

}  // namespace e5v
