#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace e5v {

/// What every failure that a user can cause or mend is thrown as. `what()` is one line:
/// place, what was wrong, what was expected, and a hint where there is a likely cause.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file could not be opened, read, mapped, written or renamed.
class FileError : public Error {
 public:
  /// `path: action: reason`, e.g. `a/b.json: cannot open: No such file or directory`.
  FileError(std::string_view path, std::string_view action, std::string_view reason);
};

/// A file's content is not what its format promises.
class FormatError : public Error {
 public:
  /// `path: problem`; `problem` names the place in the file, what was expected and what was met.
  FormatError(std::string_view path, std::string_view problem);
};

/// A value of a configuration or option breaks a rule.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// The caller's text, image, shape or item is not usable.
class InputError : public Error {
 public:
  using Error::Error;
};

/// The text of `errno` value `error_number`, thread-safe.
std::string system_reason(int error_number);

/// `text` as it can stand inside a one-line message: control characters and invalid UTF-8 are
/// shown as \xNN, and anything after `max_bytes` as "…".
std::string printable(std::string_view text, size_t max_bytes = 80);

[[noreturn]] void throw_broken_invariant(const char* condition, const char* file, int line);

}  // namespace e5v

/// A condition that only a bug in this program can break: throws std::logic_error with file and
/// line, because a server must survive it. Never for a user's mistake.
#define E5V_ASSERT(condition) \
  ((condition) ? void() : ::e5v::throw_broken_invariant(#condition, __FILE__, __LINE__))
