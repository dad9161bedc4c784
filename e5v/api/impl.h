#pragma once

#include "e5v/embed/embedder.h"
#include "e5v/embedder.h"

namespace e5v {

struct Embedder::Impl {
  detail::Embedder embedder;
};

/// The options inside for those of a caller; throws ConfigError for a name that there is not.
detail::EmbedderOptions to_detail(const EmbedderOptions& options);

}  // namespace e5v
