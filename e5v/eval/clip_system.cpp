#include "e5v/eval/clip_system.h"

#include "e5v/base/error.h"
#include "e5v/eval/cached_embedding.h"
#include "e5v/text/prompts.h"

namespace e5v::detail {
namespace {

constexpr size_t kBatchTexts = 64, kBatchImages = 16;

class ClipSystem final : public System {
 public:
  ClipSystem(ClipEmbedderOptions embedder, Composition composition, const SystemOptions& options,
             const std::string& searle_template)
      : options_(options),
        composition_(composition),
        searle_template_(searle_template),
        embedder_(std::move(embedder)) {
    if (composition == Composition::kPseudoWord && !embedder_.has_phi()) {
      throw ConfigError("SEARLE needs the weights of its textual inversion network: --phi FILE");
    }
    for (const std::string_view part : {std::string_view("$"), kTextPlaceholder}) {
      if (searle_template_.find(part) == std::string::npos) {
        throw ConfigError(fmt::format("'searle_template' is '{}', expected a text with '{}' in it",
                                      printable(searle_template_, 60), part));
      }
    }
    EmbeddingCache cache;
    if (!options.cache.empty()) {
      cache = EmbeddingCache(options.cache, fingerprint(), embedder_.dimensions());
    }
    cached_.emplace(std::move(cache), embedder_.dimensions(), options.on_progress);
  }

  Json describe() const override {
    const ClipEmbedderOptions& options = embedder_.options();
    Json json = {
        {"system", composition_ == Composition::kPseudoWord ? "searle" : "clip"},
        {"model", options.model.string()},
        {"composition",
         composition_name(composition_ == Composition::kWhole ? Composition::kSum : composition_)},
        {"dimensions", embedder_.dimensions()},
        {"target_pad", options.target_pad}};
    if (!options.phi.empty()) {
      json["phi"] = options.phi.string();
      json["template"] = searle_template_;
    }
    return json;
  }

  Embedded texts(std::span<const std::string> texts, const std::string&) override {
    return normalised(raw_texts(texts, "texts"));
  }

  Embedded images(std::span<const EvalImage> images, const std::string&) override {
    return normalised(raw_images(images, "pictures"));
  }

  Embedded queries(std::span<const ComposedQuery> queries, const std::string&) override {
    // All queries with the captions in the first order, then all in the second where there is one.
    Embedded sums;
    const size_t num_orders = !queries.empty() && queries.front().captions.size() > 1 ? 2 : 1;
    for (size_t order = 0; order < num_orders; ++order) {
      std::vector<std::string> captions;
      std::vector<EvalImage> references;
      for (const ComposedQuery& query : queries) {
        captions.push_back(
            query.captions.size() < 2
                ? query.captions.front()
                : fmt::format("{} and {}", query.captions[order], query.captions[1 - order]));
        references.push_back(query.reference);
      }
      Embedded one = normalised(compose(references, captions));
      if (order == 0) {
        sums = std::move(one);
        continue;
      }
      for (size_t i = 0; i < sums.vectors.values.size(); ++i) {
        sums.vectors.values[i] += one.vectors.values[i];
      }
    }
    return normalised(std::move(sums));
  }

 private:
  ContentHash fingerprint() const {
    const ClipEmbedderOptions& options = embedder_.options();
    ContentHasher hasher;
    hasher.add("clip").add(fingerprint_model(options.model));
    if (!options.phi.empty()) hasher.add(fingerprint_model(options.phi));
    hasher.add(fmt::format("{} {}", options.target_pad, static_cast<int>(options.precision)));
    return hasher.hash();
  }

  static Embedded normalised(Embedded embedded) {
    normalize(embedded.vectors, "model's output");
    return embedded;
  }

  Embedded compose(const std::vector<EvalImage>& references,
                   const std::vector<std::string>& captions) {
    switch (composition_) {
      case Composition::kImage:
        return raw_images(references, "queries");
      case Composition::kText:
        return raw_texts(captions, "queries");
      case Composition::kWhole:
      case Composition::kSum: {
        Embedded sum = normalised(raw_images(references, "reference pictures"));
        const Embedded texts = normalised(raw_texts(captions, "queries"));
        for (size_t i = 0; i < sum.vectors.values.size(); ++i) {
          sum.vectors.values[i] += texts.vectors.values[i];
        }
        return sum;
      }
      case Composition::kPseudoWord:
        return raw_pseudo_words(references, captions);
    }
    throw_broken_invariant("composition is an enumerator", __FILE__, __LINE__);
  }

  Embedded raw_texts(std::span<const std::string> texts, const std::string& what) {
    std::vector<std::optional<ContentHash>> keys;
    for (const std::string& text : texts) {
      keys.push_back(ContentHasher().add("text").add(text).hash());
    }
    return cached_->embed(keys, {}, what, [&](const auto& missing, const auto& sink) {
      in_batches(missing, kBatchTexts, [&](std::span<const size_t> batch) {
        std::vector<std::string> part;
        for (const size_t i : batch) part.push_back(texts[i]);
        deliver(embedder_.text_features(part), batch, sink);
      });
    });
  }

  Embedded raw_images(std::span<const EvalImage> images, const std::string& what) {
    std::vector<std::pair<size_t, std::string>> failed;
    auto keys = image_keys(images, options_.text_image, options_.on_progress, failed);
    for (auto& key : keys) {
      if (key) key = ContentHasher().add("image").add(*key).hash();
    }
    return cached_->embed(
        keys, std::move(failed), what, [&](const auto& missing, const auto& sink) {
          in_batches(missing, kBatchImages, [&](std::span<const size_t> batch) {
            std::vector<Image> part;
            std::vector<size_t> good;
            for (const size_t i : batch) {
              try {
                part.push_back(load_eval_image(images[i], options_.text_image, renderer_));
                good.push_back(i);
              } catch (const Error& error) {
                sink.failure(i, error.what());
              }
            }
            if (!good.empty()) deliver(embedder_.image_features(part), good, sink);
          });
        });
  }

  Embedded raw_pseudo_words(const std::vector<EvalImage>& references,
                            const std::vector<std::string>& captions) {
    const Embedded features = raw_images(references, "reference pictures");
    std::vector<std::optional<ContentHash>> keys;
    for (size_t i = 0; i < captions.size(); ++i) {
      const auto vector = features.vectors[static_cast<int64_t>(i)];
      keys.push_back(ContentHasher()
                         .add("pseudo-word")
                         .add(searle_template_)
                         .add({reinterpret_cast<const char*>(vector.data()), vector.size_bytes()})
                         .add(captions[i])
                         .hash());
    }
    for (const auto& [index, why] : features.failed) keys[index].reset();
    return cached_->embed(
        keys, features.failed, "queries", [&](const auto& missing, const auto& sink) {
          in_batches(missing, kBatchTexts, [&](std::span<const size_t> batch) {
            std::vector<std::string> sentences;
            std::vector<at::Tensor> images;
            for (const size_t i : batch) {
              sentences.push_back(sentence_of(captions[i]));
              const auto vector = features.vectors[static_cast<int64_t>(i)];
              images.push_back(at::tensor(c10::ArrayRef<float>(vector.data(), vector.size())));
            }
            deliver(embedder_.composed_features(at::stack(images), sentences), batch, sink);
          });
        });
  }

  std::string sentence_of(const std::string& caption) const {
    std::string sentence = searle_template_;
    return sentence.replace(sentence.find(kTextPlaceholder), kTextPlaceholder.size(), caption);
  }

  template <class Work>
  static void in_batches(const std::vector<size_t>& indices, size_t size, const Work& work) {
    for (size_t at = 0; at < indices.size(); at += size) {
      work(std::span(indices).subspan(at, std::min(size, indices.size() - at)));
    }
  }

  static void deliver(const at::Tensor& features, std::span<const size_t> indices,
                      const CachedEmbedding::Sink& sink) {
    const at::Tensor rows = features.contiguous();
    const auto dimensions = static_cast<size_t>(rows.size(1));
    for (size_t i = 0; i < indices.size(); ++i) {
      sink.vector(indices[i], {rows.data_ptr<float>() + i * dimensions, dimensions});
    }
  }

  SystemOptions options_;
  Composition composition_;
  std::string searle_template_;
  ClipEmbedder embedder_;
  std::optional<CachedEmbedding> cached_;
  std::optional<TextImageRenderer> renderer_;
};

}  // namespace

std::unique_ptr<System> make_clip_system(ClipEmbedderOptions embedder, Composition composition,
                                         const SystemOptions& options,
                                         const std::string& searle_template) {
  return std::make_unique<ClipSystem>(std::move(embedder), composition, options, searle_template);
}

}  // namespace e5v::detail
