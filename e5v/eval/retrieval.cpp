#include "e5v/eval/retrieval.h"

#include <algorithm>

#include "e5v/base/error.h"
#include "e5v/eval/data_options.h"

namespace e5v::detail {
namespace {

RetrievalExample::Found found_image(const RetrievalSet& set, int64_t image, double score,
                                    bool is_right) {
  return {.image = set.images[static_cast<size_t>(image)],
          .text = {},
          .score = score,
          .is_right = is_right};
}

/// Examples of one direction; `by_text` = pictures are found by captions.
std::vector<RetrievalExample> examples_of(const RetrievalSet& set,
                                          const std::vector<RankedQuery>& ranked,
                                          const std::vector<size_t>& queries, bool by_text) {
  constexpr size_t kShown = 5;
  std::vector<RetrievalExample> examples;
  for (const size_t q : queries) {
    RetrievalExample& example = examples.emplace_back();
    example.rank = ranked[q].best_rank;
    const int64_t right_image = by_text ? set.image_of_caption[q] : static_cast<int64_t>(q);
    if (by_text) {
      example.text = set.captions[q];
    } else {
      example.image = set.images[q];
    }
    for (size_t i = 0; i < std::min(kShown, ranked[q].top.size()); ++i) {
      const int64_t item = ranked[q].top[i];
      const double score = ranked[q].top_scores[i];
      const int64_t image = by_text ? item : set.image_of_caption[static_cast<size_t>(item)];
      if (by_text) {
        example.found.push_back(found_image(set, item, score, image == right_image));
      } else {
        example.found.push_back({.image = {},
                                 .text = set.captions[static_cast<size_t>(item)],
                                 .score = score,
                                 .is_right = image == right_image});
      }
    }
    if (example.rank < static_cast<int64_t>(kShown)) continue;
    if (by_text) {
      example.expected.push_back(found_image(set, right_image, 0, true));
    } else {
      const auto first =
          std::find(set.image_of_caption.begin(), set.image_of_caption.end(), right_image) -
          set.image_of_caption.begin();
      example.expected.push_back({.image = {},
                                  .text = set.captions[static_cast<size_t>(first)],
                                  .score = 0,
                                  .is_right = true});
    }
  }
  return examples;
}

std::vector<int64_t> ranks_of(const std::vector<RankedQuery>& ranked) {
  std::vector<int64_t> ranks;
  for (const RankedQuery& query : ranked) ranks.push_back(query.best_rank);
  return ranks;
}

/// Captions as pictures that show them.
std::vector<EvalImage> drawn(const std::vector<std::string>& captions) {
  std::vector<EvalImage> images;
  for (size_t i = 0; i < captions.size(); ++i) {
    images.push_back(
        {.id = fmt::format("caption {}", i + 1), .path = {}, .drawn_text = captions[i]});
  }
  return images;
}

/// Without pictures (and their captions) or captions that have no vector.
RetrievalSet keep(const RetrievalSet& set, const std::vector<bool>& images,
                  const std::vector<bool>& captions, std::vector<bool>& kept_images,
                  std::vector<bool>& kept_captions) {
  RetrievalSet kept;
  kept.source = set.source;
  kept_images.assign(images.size(), false);
  kept_captions.assign(captions.size(), false);
  for (size_t c = 0; c < set.captions.size(); ++c) {
    const auto image = static_cast<size_t>(set.image_of_caption[c]);
    kept_captions[c] = images[image] && captions[c];
    if (!kept_captions[c]) continue;
    if (!kept_images[image]) kept.images.push_back(set.images[image]);
    kept_images[image] = true;
    kept.captions.push_back(set.captions[c]);
    kept.image_of_caption.push_back(static_cast<int64_t>(kept.images.size()) - 1);
  }
  if (kept.captions.empty()) {
    throw InputError(fmt::format("{}: nothing is left to be evaluated", set.source));
  }
  return kept;
}

class RetrievalEvaluation final : public Evaluation {
 public:
  explicit RetrievalEvaluation(bool draw_captions) : draw_captions_(draw_captions) {}

  void register_options(OptionRegistry& registry) override {
    options_.register_options(registry);
    options_.register_examples(registry);
    registry.add("captions-per-image", captions_per_image_,
                 "Captions of each picture at the most, the first ones; 0 = all");
  }
  void validate() const override { options_.validate(); }
  TaskReport run(const MakeSystem& make_system) const override {
    validate();
    RetrievalSet set = load_retrieval({.path = options_.data,
                                       .images = options_.images,
                                       .split = options_.split,
                                       .captions_per_image = captions_per_image_});
    RetrievalOptions retrieval;
    retrieval.on_missing = options_.on_missing;
    retrieval.draw_captions = draw_captions_;
    retrieval.num_examples = static_cast<size_t>(options_.num_examples);
    return evaluate_retrieval(*make_system(), std::move(set), retrieval);
  }

 private:
  bool draw_captions_;
  DataOptions options_{"test"};
  int64_t captions_per_image_ = RetrievalData().captions_per_image;
};

}  // namespace

RetrievalSet keep_present(RetrievalSet set, OnMissing on_missing,
                          std::vector<std::string>& skipped) {
  const std::vector<bool> present = check_images(set.images, on_missing, skipped);
  std::vector<bool> images, captions;
  return keep(set, present, std::vector<bool>(set.captions.size(), true), images, captions);
}

TaskReport evaluate_retrieval(System& system, RetrievalSet set, const RetrievalOptions& options) {
  TaskReport report;
  report.system = system.describe();
  if (system.needs_images()) {
    set = keep_present(std::move(set), options.on_missing, report.skipped);
  }
  const Embedded images = system.images(set.images, "retrieval");
  const Embedded captions = options.draw_captions ? system.images(drawn(set.captions), "retrieval")
                                                  : system.texts(set.captions, "retrieval");
  system.finish();
  const auto good_images = check_embedded(
      images, options.on_missing, [&](size_t i) { return set.images[i].id; }, report.skipped);
  const auto good_captions = check_embedded(
      captions, options.on_missing,
      [&](size_t i) { return fmt::format("caption '{}'", printable(set.captions[i])); },
      report.skipped);
  std::vector<bool> kept_images, kept_captions;
  set = keep(set, good_images, good_captions, kept_images, kept_captions);
  const Vectors image_vectors = select(images.vectors, kept_images);
  const Vectors text_vectors = select(captions.vectors, kept_captions);

  std::vector<std::vector<int64_t>> captions_of(set.images.size());
  for (size_t c = 0; c < set.captions.size(); ++c) {
    captions_of[static_cast<size_t>(set.image_of_caption[c])].push_back(static_cast<int64_t>(c));
  }
  const auto by_text = rank_gallery(
      text_vectors, image_vectors,
      [&](int64_t c) {
        return RankingQuery{.positives = {set.image_of_caption[static_cast<size_t>(c)]}};
      },
      options.ranking);
  const auto by_image = rank_gallery(
      image_vectors, text_vectors,
      [&](int64_t i) { return RankingQuery{.positives = captions_of[static_cast<size_t>(i)]}; },
      options.ranking);

  const std::vector<int64_t> text_ranks = ranks_of(by_text), image_ranks = ranks_of(by_image);
  report.add_recalls("image_retrieval_recall", text_ranks, {1, 5, 10});
  report.add_recalls("text_retrieval_recall", image_ranks, {1, 5, 10});
  report.data = {
      {"source", set.source}, {"images", set.images.size()}, {"captions", set.captions.size()}};
  report.histograms = {{"Place of the right picture, by caption", text_ranks},
                       {"Place of the first right caption, by picture", image_ranks}};
  const size_t count = options.num_examples;
  report.examples = {{"Captions whose picture was found least well",
                      examples_of(set, by_text, worst_queries(text_ranks, count), true)},
                     {"Captions whose picture was found best",
                      examples_of(set, by_text, best_queries(text_ranks, count), true)},
                     {"Pictures whose captions were found least well",
                      examples_of(set, by_image, worst_queries(image_ranks, count), false)}};
  return report;
}

std::unique_ptr<Evaluation> make_retrieval_evaluation() {
  return std::make_unique<RetrievalEvaluation>(/*draw_captions=*/false);
}

std::unique_ptr<Evaluation> make_drawn_caption_evaluation() {
  return std::make_unique<RetrievalEvaluation>(/*draw_captions=*/true);
}

PublishedFigures retrieval_figures(std::string system, const std::array<double, 6>& recalls) {
  PublishedFigures figures{std::move(system), {}};
  size_t next = 0;
  for (const char* direction : {"image", "text"}) {
    for (const int k : {1, 5, 10}) {
      figures.metrics[fmt::format("{}_retrieval_recall@{}", direction, k)] = recalls[next++];
    }
  }
  return figures;
}

}  // namespace e5v::detail
