#include "e5v/embedder.h"

#include <fmt/format.h>

#include <utility>

#include "e5v/api/impl.h"
#include "e5v/base/error.h"
#include "e5v/embed/default_model.h"

namespace e5v {

detail::EmbedderOptions to_detail(const EmbedderOptions& options) {
  const auto rule = detail::find_image_processing(options.image_processing);
  if (!rule) {
    throw ConfigError(fmt::format("'image_processing' is '{}', expected current or 4.41",
                                  detail::printable(options.image_processing)));
  }
  detail::EmbedderOptions inside;
  inside.model = options.model.empty() ? detail::default_model() : options.model;
  inside.adapter = options.adapter;
  inside.precision = detail::precision_from_name(options.precision);
  inside.device = options.device;
  inside.threads = options.threads;
  inside.batch_tokens = options.batch_tokens;
  inside.dimensions = options.dimensions;
  inside.normalize = options.normalize;
  inside.image_processing = *rule;
  inside.min_pixels = options.min_pixels;
  inside.max_pixels = options.max_pixels;
  inside.prepare.task = options.task;
  inside.prepare.prompt = options.prompt;
  inside.prepare.allow_special = options.allow_special;
  inside.prepare.truncate = options.truncate;
  inside.prepare.decode.apply_exif_orientation = options.exif;
  inside.on_load_progress = options.on_load_progress;
  inside.on_warning = options.on_warning;
  return inside;
}

Embedder::Embedder(const EmbedderOptions& options)
    : impl_(new Impl{detail::Embedder(to_detail(options))}) {}
Embedder::Embedder(Embedder&&) noexcept = default;
Embedder& Embedder::operator=(Embedder&&) noexcept = default;
Embedder::~Embedder() = default;

int64_t Embedder::dimensions() const { return impl_->embedder.dimensions(); }

const char* Embedder::precision() const { return impl_->embedder.precision(); }

Embeddings Embedder::embed(std::span<const Item> items) const {
  Embeddings result{.num_items = static_cast<int64_t>(items.size()), .dimensions = dimensions()};
  result.data.reserve(items.size() * static_cast<size_t>(result.dimensions));
  for (const std::vector<float>& vector : impl_->embedder.embed(items)) {
    result.data.insert(result.data.end(), vector.begin(), vector.end());
  }
  return result;
}

Embeddings Embedder::embed(std::initializer_list<Item> items) const {
  return embed(std::span(items.begin(), items.size()));
}

}  // namespace e5v
