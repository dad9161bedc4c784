#include "e5v/eval/e5v_system.h"

#include <unordered_map>

#include "e5v/base/error.h"
#include "e5v/embed/embedding_spec.h"
#include "e5v/eval/cached_embedding.h"

namespace e5v::detail {
namespace {

/// Prompts are of each vector's key: see texts, images and queries.
ContentHash fingerprint_of(const Embedder& embedder) {
  const EmbedderOptions& options = embedder.options();
  return ContentHasher()
      .add("e5v")
      .add(EmbeddingSpec::of(options).hash())
      .add(fmt::format("{} {}", options.prepare.truncate, options.prepare.allow_special))
      .hash();
}

class E5vSystem final : public System {
 public:
  E5vSystem(EmbedderOptions embedder, const SystemOptions& options, const PromptOverride& prompts)
      : options_(options), prompts_(prompts), embedder_(unnormalised(std::move(embedder))) {
    EmbeddingCache cache;
    if (!options.cache.empty()) {
      cache = EmbeddingCache(options.cache, fingerprint_of(embedder_), embedder_.dimensions());
    }
    cached_.emplace(std::move(cache), embedder_.dimensions(), options.on_progress);
  }

  Json describe() const override {
    const EmbedderOptions& options = embedder_.options();
    Json json = {{"system", "e5v"},
                 {"model", options.model.string()},
                 {"adapter", options.adapter.string()},
                 {"precision", embedder_.precision()},
                 {"dimensions", embedder_.dimensions()},
                 {"image_processing", image_processing_name(options.image_processing)}};
    if (!prompts_.name.empty()) json["prompts"] = prompts_.name;
    return json;
  }

  Embedded texts(std::span<const std::string> texts, const std::string& task) override {
    const std::string prompt = prompt_of(task, true, false);
    std::vector<std::optional<ContentHash>> keys;
    for (const std::string& text : texts) {
      keys.push_back(ContentHasher().add("text").add(prompt).add(text).hash());
    }
    return finish(embed(keys, {}, "texts", [&](size_t i, Item& item) {
      item.text = texts[i];
      item.prompt = prompt;
    }));
  }

  Embedded images(std::span<const EvalImage> images, const std::string& task) override {
    const std::string prompt = prompt_of(task, false, true);
    std::vector<std::pair<size_t, std::string>> failed;
    auto keys = image_keys(images, options_.text_image, options_.on_progress, failed);
    for (auto& key : keys) {
      if (key) key = ContentHasher().add("image").add(prompt).add(*key).hash();
    }
    return finish(embed(keys, std::move(failed), "pictures", [&](size_t i, Item& item) {
      item.images.push_back(source_of(images[i]));
      item.prompt = prompt;
    }));
  }

  Embedded queries(std::span<const ComposedQuery> queries, const std::string& task) override {
    const std::string prompt = prompt_of(task, true, true);
    // One item for each order of captions, a query's orders beside each other.
    std::vector<size_t> query_of;
    std::vector<std::string> texts;
    std::vector<EvalImage> references;
    for (size_t q = 0; q < queries.size(); ++q) {
      references.push_back(queries[q].reference);
      for (std::string& text : joined_captions(queries[q].captions)) {
        query_of.push_back(q);
        texts.push_back(std::move(text));
      }
    }
    std::vector<std::pair<size_t, std::string>> failed_images, failed;
    const auto reference_keys =
        image_keys(references, options_.text_image, options_.on_progress, failed_images);
    std::unordered_map<size_t, std::string> why(failed_images.begin(), failed_images.end());
    std::vector<std::optional<ContentHash>> keys(texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto& reference = reference_keys[query_of[i]];
      if (reference) {
        keys[i] = ContentHasher().add("query").add(prompt).add(*reference).add(texts[i]).hash();
      } else {
        failed.emplace_back(i, why[query_of[i]]);
      }
    }
    const Embedded items = embed(keys, std::move(failed), "queries", [&](size_t i, Item& item) {
      item.images.push_back(source_of(references[query_of[i]]));
      item.text = texts[i];
      item.prompt = prompt;
    });
    Embedded sums;
    sums.vectors.dimensions = items.vectors.dimensions;
    sums.vectors.values.resize(queries.size() * static_cast<size_t>(items.vectors.dimensions));
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto from = items.vectors[static_cast<int64_t>(i)];
      auto to = sums.vectors[static_cast<int64_t>(query_of[i])];
      for (size_t d = 0; d < to.size(); ++d) to[d] += from[d];
    }
    for (const auto& [index, reason] : items.failed) {
      const bool is_known = !sums.failed.empty() && sums.failed.back().first == query_of[index];
      if (!is_known) sums.failed.emplace_back(query_of[index], reason);
    }
    return finish(std::move(sums));
  }

 private:
  static EmbedderOptions unnormalised(EmbedderOptions options) {
    options.normalize = false;  // FashionIQ adds the states as they are
    options.prepare.decode.apply_exif_orientation = false;
    return options;
  }

  /// Both orders of two captions; one caption as it is.
  static std::vector<std::string> joined_captions(const std::vector<std::string>& captions) {
    if (captions.size() < 2) return captions;
    return {captions[0] + ", " + captions[1], captions[1] + ", " + captions[0]};
  }

  std::string prompt_of(const std::string& task, bool has_text, bool has_image) const {
    const std::string& given =
        has_text ? (has_image ? prompts_.composed : prompts_.text) : prompts_.image;
    if (!given.empty()) return given;
    return find_prompts(task, embedder_.preparer().chat_template()).choose(has_text, has_image);
  }

  ImageSource source_of(const EvalImage& image) {
    if (!image.path.empty()) return image.path;
    return load_eval_image(image, options_.text_image, renderer_);
  }

  /// `make(i, item)` fills in the item of input i; it is called on another thread.
  Embedded embed(const std::vector<std::optional<ContentHash>>& keys,
                 std::vector<std::pair<size_t, std::string>> failed, const std::string& what,
                 const std::function<void(size_t, Item&)>& make) {
    const auto compute = [&](const std::vector<size_t>& missing,
                             const CachedEmbedding::Sink& sink) {
      size_t next = 0;
      const auto source = [&]() -> std::optional<ReadItem> {
        if (next == missing.size()) return std::nullopt;
        ReadItem read;
        make(missing[next++], read.item);
        return read;
      };
      embedder_.embed_stream(
          source,
          [&](uint64_t i, const Item&, std::span<const float> vector) {
            sink.vector(missing[i], vector);
          },
          [&](uint64_t i, const Item&, const Error& error) {
            sink.failure(missing[i], error.what());
          });
    };
    return cached_->embed(keys, std::move(failed), what, compute);
  }

  static Embedded finish(Embedded embedded) {
    normalize(embedded.vectors, "model's output");
    return embedded;
  }

  SystemOptions options_;
  PromptOverride prompts_;
  Embedder embedder_;
  std::optional<CachedEmbedding> cached_;
  std::optional<TextImageRenderer> renderer_;
};

}  // namespace

std::unique_ptr<System> make_e5v_system(EmbedderOptions embedder, const SystemOptions& options,
                                        const PromptOverride& prompts) {
  return std::make_unique<E5vSystem>(std::move(embedder), options, prompts);
}

}  // namespace e5v::detail
