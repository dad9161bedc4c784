#include "e5v/base/log.h"

#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

namespace e5v::detail {

std::shared_ptr<Logger> make_stderr_logger(bool quiet) {
  auto logger = std::make_shared<Logger>("e5v", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // On a terminal a progress line may stand where the message goes: clear it first.
  logger->set_pattern(::isatty(STDERR_FILENO) ? "\r\x1b[K%n: %l: %v" : "%n: %l: %v");
  logger->set_level(quiet ? spdlog::level::warn : spdlog::level::info);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

Logger& silent_logger() {
  static Logger logger("silent", std::make_shared<spdlog::sinks::null_sink_mt>());
  return logger;
}

}  // namespace e5v::detail
