#pragma once

#include <spdlog/logger.h>

#include <memory>

namespace e5v::detail {

/// What library code that has something to say takes by reference. Thread-safe.
/// Levels in use: `warn` for what the user may want to mend, `info` for what is being done,
/// `debug`.
using Logger = spdlog::logger;

/// Writes to stderr, one line each, "e5v: warning: …". `quiet` leaves warnings and errors only.
std::shared_ptr<Logger> make_stderr_logger(bool quiet);

/// Drops everything.
Logger& silent_logger();

}  // namespace e5v::detail
