#include "e5v/server/serve_options.h"

#include <algorithm>

#include "e5v/base/error.h"

namespace e5v::detail {

void ServeOptions::register_options(OptionRegistry& registry) {
  registry.add("host", host, "Address to listen at; 0.0.0.0 = all of this machine's");
  registry.add("port", port, "Port to listen at; 0 = any that is free");
  registry.add("api-key", api_key, "Secret that requests must carry; empty = none");
  registry.add("allow-origin", allow_origins, "Let pages of this origin ask; * = all");
  registry.add("allow-remote-images", allow_remote_images,
               "Fetch pictures by URL from this host; *.name = all below it");
  registry.add("max-batch-tokens", max_batch_tokens, "Tokens of one batch at the most");
  registry.add("max-queue", max_queue, "Items that may wait; more are answered with 429");
  registry.add("max-body-mb", max_body_mb, "Longest request, in MB");
  registry.add("max-image-mb", max_image_mb, "Largest picture, in MB as it is encoded");
  registry.add("max-megapixels", max_megapixels, "Largest picture, in millions of pixels");
  registry.add("max-connections", max_connections, "Connections that are served at a time");
}

void ServeOptions::validate() const {
  const auto require = [](const char* name, int64_t value, int64_t least, int64_t most) {
    if (value < least || value > most) {
      throw ConfigError(fmt::format("'{}' is {}, expected {} to {}", name, value, least, most));
    }
  };
  require("port", port, 0, 65535);
  require("max-batch-tokens", max_batch_tokens, 1, 1 << 24);
  require("max-queue", max_queue, 1, 1 << 24);
  require("max-body-mb", max_body_mb, 1, 4096);
  require("max-image-mb", max_image_mb, 1, 1024);
  require("max-megapixels", max_megapixels, 1, 1024);
  require("max-connections", max_connections, 1, 4096);
}

HttpServerOptions ServeOptions::http() const {
  return {.host = host,
          .port = static_cast<int>(port),
          .max_body_bytes = static_cast<size_t>(max_body_mb) << 20,
          .max_total_body_bytes = static_cast<size_t>(std::max<int64_t>(256, 4 * max_body_mb))
                                  << 20,
          .max_connections = static_cast<size_t>(max_connections)};
}

}  // namespace e5v::detail
