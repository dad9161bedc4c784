#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "e5v/base/json.h"
#include "e5v/server/openapi.h"
#include "e5v/server/wire_types.h"

namespace e5v::detail {

/// How one service's clients ask for embeddings and are answered: a file of requests/, a name in
/// the list of CMakeLists.txt.
struct EmbeddingShape {
  std::vector<std::string_view> paths;
  RouteDocument document;
  /// Throws InputError that names the field.
  EmbeddingRequest (*parse)(const Json& body, const WireLimits& limits) = nullptr;
  Json (*answer)(const EmbeddingRequest& request, const EmbeddingResult& result) = nullptr;
};

/// All of them, in the order of CMakeLists.txt.
std::span<const EmbeddingShape> embedding_shapes();

/// The one at `path`; there must be one.
const EmbeddingShape& embedding_shape(std::string_view path);

}  // namespace e5v::detail
