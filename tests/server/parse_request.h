#pragma once

#include <string>
#include <string_view>

#include "e5v/base/error.h"
#include "e5v/server/embedding_shape.h"

namespace e5v::detail {

/// Four bytes that stand for a picture.
inline constexpr const char* kImage = "iVBORw==";

/// `body` as the shape at `path` reads it.
inline EmbeddingRequest parse_request(std::string_view path, const std::string& body,
                                      const WireLimits& limits = {}) {
  return embedding_shape(path).parse(Json::parse(body), limits);
}

/// Why `body` is refused there.
inline std::string refusal_of(std::string_view path, const std::string& body,
                              const WireLimits& limits = {}) {
  try {
    parse_request(path, body, limits);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace e5v::detail
