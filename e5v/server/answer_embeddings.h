#pragma once

#include "e5v/server/embedding_shape.h"
#include "e5v/server/route.h"

namespace e5v::detail {

/// The addresses of `shape`, which is kept.
std::vector<Route> embedding_routes(const EmbeddingShape& shape);

}  // namespace e5v::detail
