#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "e5v/error.h"  // the Error family

namespace e5v::detail {

/// The text of `errno` value `error_number`, thread-safe.
std::string system_reason(int error_number);

/// `text` as it can stand inside a one-line message: control characters and invalid UTF-8 are
/// shown as \xNN, and anything after `max_bytes` as "…".
std::string printable(std::string_view text, size_t max_bytes = 80);

[[noreturn]] void throw_broken_invariant(const char* condition, const char* file, int line);

}  // namespace e5v::detail

/// A condition that only a bug in this program can break: throws std::logic_error with file and
/// line, because a server must survive it. Never for a user's mistake.
#define E5V_ASSERT(condition) \
  ((condition) ? void() : ::e5v::detail::throw_broken_invariant(#condition, __FILE__, __LINE__))
