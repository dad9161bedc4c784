#include "e5v/search/collection_embedder.h"

#include <utility>

#include "e5v/base/error.h"
#include "e5v/embed/embedding_spec.h"

namespace e5v::detail {
namespace {

std::string absolute_or_empty(const std::filesystem::path& path) {
  return path.empty() ? "" : std::filesystem::absolute(path).native();
}

/// The spec that a collection keeps; one of an earlier version names its folders elsewhere.
EmbeddingSpec spec_of(const CollectionSettings& settings) {
  EmbeddingSpec spec = EmbeddingSpec::from_json(settings.fingerprint);
  if (spec.model.empty()) spec.model = field_or<std::string>(settings.embedder, "model", "");
  if (spec.adapter.empty()) spec.adapter = field_or<std::string>(settings.embedder, "adapter", "");
  return spec;
}

void require_spec(const CollectionSettings& settings, const EmbeddingSpec& now, SpecScope scope,
                  const std::string& where) {
  if (const auto other = difference(spec_of(settings), now, scope)) {
    throw ConfigError(
        fmt::format("{}: was made with {}; such vectors cannot be compared", where, *other));
  }
}

}  // namespace

CollectionSettings collection_settings(const EmbedderOptions& options, const IndexOptions& index) {
  const EmbeddingSpec spec = EmbeddingSpec::of(options);
  return {.dimensions = *spec.dimensions,
          .fingerprint = spec.to_json(),
          .embedder = {{"model", absolute_or_empty(options.model)},
                       {"adapter", absolute_or_empty(options.adapter)},
                       {"dimensions", options.dimensions},
                       {"precision", spec.precision},
                       {"task", options.prepare.task},
                       {"prompt", options.prepare.prompt},
                       {"image-processing", image_processing_name(options.image_processing)},
                       {"exif", options.prepare.decode.apply_exif_orientation},
                       {"min-pixels", options.min_pixels},
                       {"max-pixels", options.max_pixels}},
          .index = index};
}

EmbedderOptions with_collection(EmbedderOptions options, const CollectionSettings& settings) {
  const Json& embedder = settings.embedder;
  if (options.model.empty()) {
    options.model = field_or<std::string>(embedder, "model", "");
    if (options.adapter.empty()) options.adapter = field_or<std::string>(embedder, "adapter", "");
  }
  if (options.model.empty()) throw ConfigError("--model is required");
  if (options.precision == Precision::kAuto) {
    const auto precision = find_precision(field_or<std::string>(embedder, "precision", "auto"));
    options.precision = precision.value_or(Precision::kAuto);
  }
  options.dimensions = field_or<int64_t>(embedder, "dimensions", 0);
  options.image_processing =
      find_image_processing(field_or<std::string>(embedder, "image-processing", ""))
          .value_or(ImageProcessing::kCurrent);
  options.prepare.decode.apply_exif_orientation = field_or<bool>(embedder, "exif", true);
  options.min_pixels = field_or<int64_t>(embedder, "min-pixels", 0);
  options.max_pixels = field_or<int64_t>(embedder, "max-pixels", 0);
  return options;
}

void require_same_vectors(const EmbedderOptions& options, const CollectionSettings& settings,
                          const std::string& where) {
  require_spec(settings, EmbeddingSpec::of(options), SpecScope::kWhole, where);
}

void require_comparable(const EmbedderOptions& options, const CollectionSettings& settings,
                        const std::string& where) {
  require_spec(settings, EmbeddingSpec::of(options), SpecScope::kSpace, where);
}

EmbedPictures picture_embedder(std::function<const Embedder&()> embedder) {
  return [embedder = std::move(embedder)](const auto& next, const auto& done) {
    const auto source = [&]() -> std::optional<ReadItem> {
      std::optional<Image> image = next();
      if (!image) return std::nullopt;
      ReadItem read;
      read.item.images.emplace_back(*std::move(image));
      return read;
    };
    embedder().embed_stream(
        source, [&](uint64_t, const Item&, std::span<const float> vector) { done(vector, ""); },
        [&](uint64_t, const Item&, const Error& error) { done({}, error.what()); });
  };
}

}  // namespace e5v::detail
