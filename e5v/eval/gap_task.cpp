#include "e5v/eval/gap_task.h"

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

/// Each picture with its first caption.
RetrievalSet first_captions(const RetrievalSet& set) {
  RetrievalSet pairs;
  pairs.source = set.source;
  for (size_t c = 0; c < set.captions.size(); ++c) {
    if (set.image_of_caption[c] != static_cast<int64_t>(pairs.images.size())) continue;
    pairs.image_of_caption.push_back(set.image_of_caption[c]);
    pairs.images.push_back(set.images[static_cast<size_t>(set.image_of_caption[c])]);
    pairs.captions.push_back(set.captions[c]);
  }
  return pairs;
}

}  // namespace

RetrievalSet load_gap(const DataOptions& options) {
  options.validate();
  return load_retrieval({.path = options.data,
                         .images = options.images,
                         .split = options.split,
                         .captions_per_image = 1});
}

TaskReport evaluate_gap(const std::vector<SystemVariant>& variants, RetrievalSet set,
                        OnMissing on_missing) {
  TaskReport report;
  report.task = "gap";
  RetrievalSet pairs = first_captions(set);
  for (size_t v = 0; v < variants.size(); ++v) {
    const std::unique_ptr<System> system = variants[v].make();
    if (v == 0) {
      report.system = system->describe();
      if (system->needs_images()) pairs = keep_present(pairs, on_missing, report.skipped);
      report.data = {{"source", pairs.source}, {"pairs", pairs.images.size()}};
    }
    const Embedded images = system->images(pairs.images, "retrieval");
    const Embedded texts = system->texts(pairs.captions, "retrieval");
    system->finish();
    std::vector<std::string> again;  // what fails under the first variant fails under all
    std::vector<std::string>& skipped = v == 0 ? report.skipped : again;
    std::vector<bool> kept = check_embedded(
        images, on_missing, [&](size_t i) { return pairs.images[i].id; }, skipped);
    const std::vector<bool> good_texts = check_embedded(
        texts, on_missing, [&](size_t i) { return pairs.captions[i]; }, skipped);
    for (size_t i = 0; i < kept.size(); ++i) kept[i] = kept[i] && good_texts[i];
    const Vectors image_vectors = select(images.vectors, kept);
    const Vectors text_vectors = select(texts.vectors, kept);
    const ModalityGap gap = modality_gap(image_vectors, text_vectors);
    const std::string prefix =
        variants[v].key.empty() ? "gap_" : fmt::format("gap_{}_", variants[v].key);
    const auto add = [&](const char* name, double value) {
      report.metrics.push_back({prefix + name, value, std::nullopt});
    };
    add("centroid_distance", gap.centroid_distance);
    add("linear_separability", 100 * gap.linear_separability);
    add("alignment", gap.alignment);
    add("uniformity", gap.uniformity);
    add("image_uniformity", gap.image_uniformity);
    add("text_uniformity", gap.text_uniformity);
    report.plots.push_back({variants[v].name, pca_projection(image_vectors, text_vectors)});
  }
  return report;
}

}  // namespace e5v::detail
