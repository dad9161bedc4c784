#pragma once

#include <optional>
#include <string>
#include <vector>

#include "e5v/embed/embedder.h"
#include "e5v/index/collection.h"
#include "e5v/index/update.h"

namespace e5v {

/// Settings of a new collection whose pictures are embedded with `options`: the vectors' length,
/// the model's fingerprint, and how to load the model again. The model is not loaded.
CollectionSettings collection_settings(const EmbedderOptions& options, IndexKind index);

/// `options` as a collection was made with, where they do not name a model of their own; the length
/// of the vectors and the rules for pictures are the collection's in any case. Throws ConfigError
/// if neither names a model.
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

/// What is searched for: a text, a picture, or a picture changed by the text, and texts that it
/// should be more or less like.
struct QueryItem {
  std::optional<std::string> text;
  std::optional<ImageSource> image;
  std::vector<std::string> plus;
  std::vector<std::string> minus;
  /// Of text and picture, against 1 for each of the others.
  double weight = 1;
};

/// The items to embed for a query: first text and picture, then `plus`, then `minus`. A picture
/// with a text has the prompt of composed retrieval ("cirr"), unless `options` has a prompt that
/// takes both. Throws InputError if there is neither text nor picture.
std::vector<Item> query_items(const QueryItem& query, const PrepareOptions& options);

/// The query's vector of those of query_items: weight · v₀ + Σ plus − Σ minus, of unit length.
/// Throws InputError if they cancel out.
std::vector<float> combine_query(const QueryItem& query,
                                 const std::vector<std::vector<float>>& vectors);

}  // namespace e5v
