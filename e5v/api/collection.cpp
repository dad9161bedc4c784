#include "e5v/collection.h"

#include <fmt/format.h>

#include <utility>

#include "e5v/api/impl.h"
#include "e5v/index/collection.h"
#include "e5v/search/collection_embedder.h"
#include "e5v/search/query.h"

namespace e5v {
namespace {

std::vector<SearchHit> search_with(detail::Collection& collection, std::vector<float> vector,
                                   const SearchOptions& options) {
  std::vector<SearchHit> hits;
  for (detail::SearchHit& hit : collection.search({.vector = std::move(vector),
                                .k = options.k,
                                .min_score = options.min_score,
                                .where = options.where})) {
    detail::CollectionItem& item = hit.item;
    hits.push_back({.item = {.id = item.id,
                             .kind = std::move(item.kind),
                             .path = std::move(item.path),
                             .text = std::move(item.text),
                             .caption = std::move(item.caption),
                             .metadata = item.metadata.dump()},
                    .score = hit.score});
  }
  return hits;
}

void require_k(int64_t k) {
  if (k < 1) throw InputError(fmt::format("'k' is {}, expected 1 or more", k));
}

/// Opens the collection, makes it first where there is none.
detail::Collection open_or_make(const std::filesystem::path& folder,
                                const detail::EmbedderOptions& embedder) {
  if (!std::filesystem::exists(folder / "collection.db")) {
    const detail::CollectionLock lock(folder);
    detail::Collection::create(folder, detail::collection_settings(embedder, {}));
  }
  return detail::Collection(folder);
}

}  // namespace

struct Collection::Impl {
  detail::Collection collection;
};

Collection::Collection(const std::filesystem::path& folder)
    : impl_(new Impl{detail::Collection(folder)}) {}

Collection::Collection(const std::filesystem::path& folder, const Embedder& embedder)
    : impl_(new Impl{open_or_make(folder, embedder.impl_->embedder.options())}) {
  detail::require_same_vectors(embedder.impl_->embedder.options(), impl_->collection.settings(),
                               folder.native());
}

Collection::Collection(Collection&&) noexcept = default;
Collection& Collection::operator=(Collection&&) noexcept = default;
Collection::~Collection() = default;

EmbedderOptions Collection::embedder_options() const {
  const detail::EmbedderOptions inside = detail::with_collection({}, impl_->collection.settings());
  EmbedderOptions options;
  options.model = inside.model;
  options.adapter = inside.adapter;
  options.precision = detail::precision_name(inside.precision);
  options.dimensions = inside.dimensions;
  options.task = inside.prepare.task;
  options.prompt = inside.prepare.prompt;
  options.image_processing = detail::image_processing_name(inside.image_processing);
  options.min_pixels = inside.min_pixels;
  options.max_pixels = inside.max_pixels;
  options.exif = inside.prepare.decode.apply_exif_orientation;
  return options;
}

int64_t Collection::size() const { return impl_->collection.info().num_items; }

UpdateReport Collection::update(const Embedder& embedder,
                                std::span<const std::filesystem::path> roots,
                                const UpdateOptions& options) {
  const detail::Embedder& inside = embedder.impl_->embedder;
  detail::Collection& collection = impl_->collection;
  detail::require_same_vectors(inside.options(), collection.settings(),
                               collection.folder().native());
  detail::UpdateOptions updating{.roots = {roots.begin(), roots.end()},
                                 .excludes = options.exclude,
                                 .decode = inside.options().prepare.decode,
                                 .on_progress = options.on_progress};
  if (!options.captions.empty()) updating.captions = detail::read_captions(options.captions);
  const detail::CollectionLock lock(collection.folder());
  const auto embed = detail::picture_embedder([&]() -> const detail::Embedder& { return inside; });
  detail::UpdateReport done = detail::update_collection(collection, updating, embed);
  collection.update_index();
  UpdateReport report{.embedded = done.embedded,
                      .unchanged = done.unchanged,
                      .moved = done.moved,
                      .copied = done.copied,
                      .removed = done.removed};
  for (const detail::SkippedFile& file : done.skipped) {
    report.skipped.push_back(fmt::format("{}: {}", file.path, file.reason));
  }
  return report;
}

std::vector<SearchHit> Collection::search(const Embedder& embedder, const Query& query,
                                          const SearchOptions& options) {
  require_k(options.k);
  const detail::Embedder& inside = embedder.impl_->embedder;
  detail::require_comparable(inside.options(), impl_->collection.settings(),
                             impl_->collection.folder().native());
  impl_->collection.check_filter(options.where);  // before the model works, which takes longer
  const detail::QueryItem asked{.text = query.text,
                                .image = query.image,
                                .plus = query.plus,
                                .minus = query.minus,
                                .weight = query.weight};
  const std::vector<Item> items = detail::query_items(asked, inside.options().prepare);
  return search_with(impl_->collection, detail::combine_query(asked, inside.embed(items)), options);
}

std::vector<SearchHit> Collection::search(std::span<const float> vector,
                                          const SearchOptions& options) {
  require_k(options.k);
  return search_with(impl_->collection, {vector.begin(), vector.end()}, options);
}

}  // namespace e5v
