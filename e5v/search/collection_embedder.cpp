#include "e5v/search/collection_embedder.h"

#include <utility>

#include "e5v/families/registry.h"
#include "e5v/index/model_fingerprint.h"

namespace e5v {
namespace {

std::string name_of(ImageProcessing rule) {
  return rule == ImageProcessing::kCurrent ? "current" : "4.41";
}

std::string absolute_or_empty(const std::filesystem::path& path) {
  return path.empty() ? "" : std::filesystem::absolute(path).native();
}

int64_t vector_size(const EmbedderOptions& options) {
  if (options.dimensions > 0) return options.dimensions;
  return load_architecture(options.model)->text().hidden_size;
}

/// What vectors must have in common to be compared.
Json model_part(const EmbedderOptions& options) {
  Json fingerprint = model_fingerprint(options.model, options.adapter);
  fingerprint["dimensions"] = vector_size(options);
  if (!fingerprint.contains("adapter")) fingerprint["adapter"] = "";
  return fingerprint;
}

/// And to be of one kind.
Json whole_fingerprint(const EmbedderOptions& options) {
  Json fingerprint = model_part(options);
  fingerprint["task"] = options.prepare.task;
  fingerprint["prompt"] = options.prepare.prompt;
  fingerprint["image-processing"] = name_of(options.image_processing);
  fingerprint["exif"] = options.prepare.decode.apply_exif_orientation;
  return fingerprint;
}

}  // namespace

CollectionSettings collection_settings(const EmbedderOptions& options, IndexKind index) {
  return {.dimensions = vector_size(options),
          .fingerprint = whole_fingerprint(options),
          .embedder = {{"model", absolute_or_empty(options.model)},
                       {"adapter", absolute_or_empty(options.adapter)},
                       {"dimensions", options.dimensions},
                       {"task", options.prepare.task},
                       {"prompt", options.prepare.prompt},
                       {"image-processing", name_of(options.image_processing)},
                       {"exif", options.prepare.decode.apply_exif_orientation}},
          .index = index};
}

EmbedderOptions with_collection(EmbedderOptions options, const CollectionSettings& settings) {
  const Json& embedder = settings.embedder;
  if (options.model.empty()) {
    options.model = field_or<std::string>(embedder, "model", "");
    if (options.adapter.empty()) options.adapter = field_or<std::string>(embedder, "adapter", "");
  }
  if (options.model.empty()) throw ConfigError("--model is required");
  options.dimensions = field_or<int64_t>(embedder, "dimensions", 0);
  options.image_processing =
      field_or<std::string>(embedder, "image-processing", "current") == "4.41"
          ? ImageProcessing::k4_41
          : ImageProcessing::kCurrent;
  options.prepare.decode.apply_exif_orientation = field_or<bool>(embedder, "exif", true);
  return options;
}

void require_same_vectors(const EmbedderOptions& options, const CollectionSettings& settings,
                          const std::string& where) {
  require_fingerprint(settings, whole_fingerprint(options), where);
}

void require_comparable(const EmbedderOptions& options, const CollectionSettings& settings,
                        const std::string& where) {
  require_fingerprint(settings, model_part(options), where);
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

}  // namespace e5v
