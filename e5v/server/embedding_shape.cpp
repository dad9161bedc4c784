#include "e5v/server/embedding_shape.h"

#include <algorithm>

#include "e5v/base/error.h"

namespace e5v::detail {

const EmbeddingShape& embedding_shape(std::string_view path) {
  const auto shapes = embedding_shapes();
  const auto found = std::find_if(shapes.begin(), shapes.end(), [&](const EmbeddingShape& shape) {
    return std::find(shape.paths.begin(), shape.paths.end(), path) != shape.paths.end();
  });
  E5V_ASSERT(found != shapes.end());
  return *found;
}

}  // namespace e5v::detail
