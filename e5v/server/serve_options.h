#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "e5v/base/options.h"
#include "e5v/server/http_server.h"

namespace e5v::detail {

/// How `e5v serve` listens, and what it takes.
struct ServeOptions {
  std::string host = "127.0.0.1";
  int64_t port = 8080;
  /// What "Authorization: Bearer …" must hold; empty = anyone may ask.
  std::string api_key;
  /// Pages of these origins may ask, e.g. "https://example.org"; "*" = all.
  std::vector<std::string> allow_origins;
  /// Hosts that pictures may be fetched from; empty = none.
  std::vector<std::string> allow_remote_images;
  int64_t max_batch_tokens = 2048;
  /// Items of all requests that may wait.
  int64_t max_queue = 4096;
  int64_t max_body_mb = 64;
  int64_t max_image_mb = 20;
  int64_t max_megapixels = 64;
  int64_t max_connections = 256;

  void register_options(OptionRegistry& registry);
  /// Throws ConfigError naming the option.
  void validate() const;
  HttpServerOptions http() const;
};

}  // namespace e5v::detail
