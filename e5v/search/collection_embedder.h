#pragma once

#include <functional>
#include <string>

#include "e5v/embed/embedder.h"
#include "e5v/index/collection.h"
#include "e5v/index/update.h"

namespace e5v::detail {

/// Settings of a new collection whose pictures are embedded with `options`: the vectors' length,
/// its EmbeddingSpec, and how to load the model again. The model is not loaded.
CollectionSettings collection_settings(const EmbedderOptions& options, const IndexOptions& index);

/// `options` as a collection was made with, where they do not name a model of their own; the length
/// of the vectors and the rules for pictures are the collection's in any case, and so is the
/// precision where `options` leaves it open. Throws ConfigError if neither names a model.
EmbedderOptions with_collection(EmbedderOptions options, const CollectionSettings& settings);

/// Throws ConfigError unless vectors that `options` gives can be added to a collection of
/// `settings`.
void require_same_vectors(const EmbedderOptions& options, const CollectionSettings& settings,
                          const std::string& where);

/// Throws ConfigError unless vectors that `options` gives can be compared with those of `settings`:
/// as above, but texts of a query may have a prompt of their own.
void require_comparable(const EmbedderOptions& options, const CollectionSettings& settings,
                        const std::string& where);

/// Embeds pictures for update_collection. `embedder` is asked for when the first picture comes.
EmbedPictures picture_embedder(std::function<const Embedder&()> embedder);

}  // namespace e5v::detail
