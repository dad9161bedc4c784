#include "e5v/eval/composed_retrieval.h"

#include <algorithm>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

std::string shown_captions(const std::vector<std::string>& captions) {
  std::string text;
  for (const std::string& caption : captions) text += (text.empty() ? "" : "; ") + caption;
  return text;
}

/// `set` without the gallery pictures, and the queries, that are not kept.
ComposedSet keep(const ComposedSet& set, const std::vector<bool>& gallery,
                 const std::vector<bool>& queries) {
  std::vector<int64_t> moved(set.gallery.size(), -1);
  ComposedSet kept;
  kept.source = set.source;
  kept.references = set.references;
  for (size_t i = 0; i < set.gallery.size(); ++i) {
    if (!gallery[i]) continue;
    moved[i] = static_cast<int64_t>(kept.gallery.size());
    kept.gallery.push_back(set.gallery[i]);
  }
  for (const int64_t index : set.reference_in_gallery) {
    kept.reference_in_gallery.push_back(index < 0 ? -1 : moved[static_cast<size_t>(index)]);
  }
  const auto move_all = [&](std::vector<int64_t>& indices) {
    for (int64_t& index : indices) index = moved[static_cast<size_t>(index)];
    std::erase(indices, -1);
  };
  for (size_t q = 0; q < set.queries.size(); ++q) {
    if (!queries[q]) continue;
    ComposedItem& item = kept.queries.emplace_back(set.queries[q]);
    const bool had_targets = !item.targets.empty();
    // A query's first target is the one its text was written for: without it there is no figure.
    const bool lost = had_targets && moved[static_cast<size_t>(item.targets.front())] < 0;
    move_all(item.targets);
    move_all(item.subset);
    if (lost) kept.queries.pop_back();
  }
  return kept;
}

std::vector<bool> embedded_queries(const ComposedSet& before, const ComposedSet& after) {
  // Both have the same order, so that one pass over the ids finds those that are left.
  std::vector<bool> kept;
  size_t next = 0;
  for (const ComposedItem& item : before.queries) {
    const bool is_left = next < after.queries.size() && after.queries[next].id == item.id;
    kept.push_back(is_left);
    next += is_left;
  }
  return kept;
}

}  // namespace

ComposedRanking rank_composed(System& system, ComposedSet set, const ComposedOptions& options,
                              TaskReport& report) {
  if (system.needs_images()) {
    // Each missing file once, though most references are in the gallery too.
    std::vector<EvalImage> all = set.gallery;
    std::vector<size_t> place_of_reference;
    for (size_t r = 0; r < set.references.size(); ++r) {
      const int64_t index = set.reference_in_gallery[r];
      place_of_reference.push_back(index >= 0 ? static_cast<size_t>(index) : all.size());
      if (index < 0) all.push_back(set.references[r]);
    }
    const std::vector<bool> present = check_images(all, options.on_missing, report.skipped);
    std::vector<bool> queries;
    for (const ComposedItem& item : set.queries) {
      queries.push_back(present[place_of_reference[static_cast<size_t>(item.reference)]]);
    }
    set = keep(set, {present.begin(), present.begin() + static_cast<int64_t>(set.gallery.size())},
               queries);
  }
  if (set.gallery.empty() || set.queries.empty()) {
    throw InputError(fmt::format("{}: nothing is left to be evaluated", set.source));
  }
  const Embedded gallery = system.images(set.gallery, options.task);
  std::vector<ComposedQuery> queries;
  for (const ComposedItem& item : set.queries) {
    queries.push_back({set.references[static_cast<size_t>(item.reference)], item.captions});
  }
  const Embedded asked = system.queries(queries, options.task);
  const auto good_gallery = check_embedded(
      gallery, options.on_missing, [&](size_t i) { return set.gallery[i].id; }, report.skipped);
  const auto good_queries = check_embedded(
      asked, options.on_missing, [&](size_t i) { return set.queries[i].id; }, report.skipped);

  ComposedRanking result;
  result.set = keep(set, good_gallery, good_queries);
  const Vectors query_vectors = select(asked.vectors, embedded_queries(set, result.set));
  result.ranked = rank_gallery(
      query_vectors, select(gallery.vectors, good_gallery),
      [&](int64_t q) {
        const ComposedItem& item = result.set.queries[static_cast<size_t>(q)];
        const int64_t reference =
            result.set.reference_in_gallery[static_cast<size_t>(item.reference)];
        return RankingQuery{.positives = item.targets,
                            .masked = options.mask_reference ? reference : -1,
                            .subset = item.subset};
      },
      options.ranking);
  report.data["source"] = result.set.source;
  report.data["gallery"] = result.set.gallery.size();
  report.data["queries"] = result.set.queries.size();
  return result;
}

void add_composed_examples(const ComposedRanking& ranking, const std::string& title,
                           const ComposedOptions& options, TaskReport& report) {
  const ComposedSet& set = ranking.set;
  std::vector<int64_t> ranks;
  for (const RankedQuery& query : ranking.ranked) ranks.push_back(query.best_rank);
  report.histograms.push_back({"Place of the right picture" + title, ranks});
  const auto list = [&](const std::string& name, const std::vector<size_t>& queries) {
    ExampleList& examples = report.examples.emplace_back(ExampleList{name + title, {}});
    for (const size_t q : queries) {
      const ComposedItem& item = set.queries[q];
      const RankedQuery& ranked = ranking.ranked[q];
      RetrievalExample& example = examples.examples.emplace_back();
      example.image = set.references[static_cast<size_t>(item.reference)];
      example.text = shown_captions(item.captions);
      example.rank = ranked.best_rank;
      const auto is_target = [&](int64_t index) {
        return std::find(item.targets.begin(), item.targets.end(), index) != item.targets.end();
      };
      bool is_found = false;
      for (size_t i = 0; i < std::min(options.num_shown, ranked.top.size()); ++i) {
        const int64_t index = ranked.top[i];
        is_found |= is_target(index);
        example.found.push_back({.image = set.gallery[static_cast<size_t>(index)],
                                 .text = {},
                                 .score = ranked.top_scores[i],
                                 .is_right = is_target(index)});
      }
      if (is_found || item.targets.empty()) continue;
      example.expected.push_back({.image = set.gallery[static_cast<size_t>(item.targets.front())],
                                  .text = {},
                                  .score = 0,
                                  .is_right = true});
    }
  };
  list("Queries answered least well", worst_queries(ranks, options.num_examples));
  list("Queries answered best", best_queries(ranks, options.num_examples));
}

bool has_all_targets(const std::vector<ComposedItem>& queries) {
  return std::all_of(queries.begin(), queries.end(),
                     [](const ComposedItem& item) { return !item.targets.empty(); });
}

}  // namespace e5v::detail
