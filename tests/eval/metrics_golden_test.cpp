#include "e5v/eval/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/eval/gap.h"
#include "e5v/eval/ranking.h"

namespace e5v::detail {
namespace {

constexpr double kTolerance = 1e-6;

const Json& golden() {
  static const Json json = read_json(E5V_SOURCE_DIR "/tests/goldens/eval_metrics/golden.json");
  return json;
}

Vectors vectors_of(const Json& rows) {
  Vectors vectors;
  for (const Json& row : rows) vectors.append(row.get<std::vector<float>>());
  return vectors;
}

RankingQuery query_of(const Json& json) {
  return {.positives = json["positives"].get<std::vector<int64_t>>(),
          .masked = json["masked"].get<int64_t>(),
          .subset = json["subset"].get<std::vector<int64_t>>()};
}

class RankingGoldenTest : public testing::TestWithParam<int64_t> {};

TEST_P(RankingGoldenTest, RanksMasksAndSubsetsEqualTheReferenceTiesByIndex) {
  const Json& json = golden()["ranking"];
  const Json& cases = json["cases"];
  const auto ranked =
      rank_gallery(vectors_of(json["queries"]), vectors_of(json["gallery"]),
                   [&](int64_t q) { return query_of(cases[static_cast<size_t>(q)]); },
                   {.top_k = 12, .block_scores = GetParam()});
  ASSERT_EQ(ranked.size(), cases.size());
  std::vector<int64_t> ranks;
  for (size_t q = 0; q < cases.size(); ++q) {
    SCOPED_TRACE(q);
    EXPECT_EQ(ranked[q].best_rank, cases[q]["best_rank"].get<int64_t>());
    EXPECT_EQ(ranked[q].best_subset_rank, cases[q]["best_subset_rank"].get<int64_t>());
    EXPECT_EQ(ranked[q].top, cases[q]["top"].get<std::vector<int64_t>>());
    EXPECT_EQ(ranked[q].subset, cases[q]["ordered_subset"].get<std::vector<int64_t>>());
    ranks.push_back(ranked[q].best_rank);
  }
  for (const auto& [k, value] : json["recall"].items()) {
    EXPECT_NEAR(recall_at_k(ranks, std::stoll(k)), value.get<double>(), kTolerance);
  }
}

// One query at a time, a few, all at once.
INSTANTIATE_TEST_SUITE_P(Golden, RankingGoldenTest, testing::Values(1, 7 * 60, 1 << 20));

TEST(MetricsGoldenTest, AveragePrecisionEqualsTheReference) {
  const Json& json = golden()["ranking"];
  const auto ranked = rank_gallery(
      vectors_of(json["queries"]), vectors_of(json["gallery"]),
      [&](int64_t q) { return query_of(json["cases"][static_cast<size_t>(q)]); }, {.top_k = 50});
  for (size_t q = 0; q < ranked.size(); ++q) {
    const Json& expected = json["cases"][q];
    const auto positives = expected["positives"].get<std::vector<int64_t>>();
    bool relevant[50];
    for (size_t i = 0; i < 50; ++i) {
      relevant[i] =
          std::find(positives.begin(), positives.end(), ranked[q].top[i]) != positives.end();
    }
    for (const auto& [k, value] : expected["average_precision"].items()) {
      EXPECT_NEAR(
          average_precision_at_k(relevant, static_cast<int64_t>(positives.size()), std::stoll(k)),
          value.get<double>(), kTolerance)
          << q << " @" << k;
    }
  }
}

TEST(MetricsGoldenTest, CorrelationsAndTheirAggregationsEqualTheReference) {
  const Json& json = golden()["correlations"];
  std::vector<StsPart> parts;
  std::vector<double> all;
  for (const Json& part : json["parts"]) {
    parts.push_back(
        {part["cosines"].get<std::vector<double>>(), part["scores"].get<std::vector<double>>()});
    all.insert(all.end(), parts.back().cosines.begin(), parts.back().cosines.end());
  }
  EXPECT_EQ(average_ranks(all), json["ranks"].get<std::vector<double>>());
  const auto compare = [&](const char* name, const Correlation& correlation) {
    const Json& expected = json[name];
    const StsCorrelations result = correlate_parts(parts, correlation);
    EXPECT_NEAR(result.all, expected["all"].get<double>(), kTolerance) << name;
    EXPECT_NEAR(result.mean, expected["mean"].get<double>(), kTolerance) << name;
    EXPECT_NEAR(result.weighted_mean, expected["weighted_mean"].get<double>(), kTolerance) << name;
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_NEAR(correlation(parts[i].cosines, parts[i].scores),
                  expected["parts"][i].get<double>(), kTolerance)
          << name;
    }
  };
  compare("spearman", spearman);
  compare("pearson", pearson);
}

TEST(MetricsGoldenTest, TheModalityGapEqualsTheReference) {
  const Json& json = golden()["gap"];
  const Vectors images = vectors_of(json["images"]), texts = vectors_of(json["texts"]);
  const ModalityGap gap = modality_gap(images, texts);
  EXPECT_NEAR(gap.centroid_distance, json["centroid_distance"].get<double>(), kTolerance);
  EXPECT_NEAR(gap.linear_separability, json["linear_separability"].get<double>(), kTolerance);
  EXPECT_NEAR(gap.alignment, json["alignment"].get<double>(), kTolerance);
  EXPECT_NEAR(gap.image_uniformity, json["image_uniformity"].get<double>(), kTolerance);
  EXPECT_NEAR(gap.text_uniformity, json["text_uniformity"].get<double>(), kTolerance);
  EXPECT_NEAR(gap.uniformity, json["uniformity"].get<double>(), kTolerance);

  const PcaProjection plot = pca_projection(images, texts);
  ASSERT_EQ(plot.images.size() + plot.texts.size(), json["plane"][0].size());
  for (size_t c = 0; c < 2; ++c) {
    EXPECT_NEAR(plot.explained[c], json["explained"][c].get<double>(), kTolerance);
    for (size_t i = 0; i < plot.images.size(); ++i) {
      EXPECT_NEAR(plot.images[i][c], json["plane"][c][i].get<double>(), 1e-5) << i;
    }
  }
}

TEST(MetricsTest, DegenerateInputGivesNoNumberRatherThanAWrongOne) {
  EXPECT_EQ(recall_at_k({}, 5), 0);
  const std::vector<double> constant = {1, 1, 1}, rising = {1, 2, 3};
  EXPECT_TRUE(std::isnan(spearman(constant, rising)));
  EXPECT_TRUE(std::isnan(pearson(std::vector<double>{1}, std::vector<double>{1})));
  EXPECT_EQ(cosine(std::vector<float>{0, 0}, std::vector<float>{1, 0}), 0);
  const std::vector<int64_t> none = {-1, 0, 7};
  EXPECT_NEAR(recall_at_k(none, 5), 1.0 / 3, 1e-12);
}

TEST(MetricsTest, BootstrapIntervalsHoldTheMeanAndShrinkWithTheNumberOfQueries) {
  std::vector<double> few, many;
  for (int i = 0; i < 100; ++i) few.push_back(i % 4 == 0 ? 100 : 0);
  for (int i = 0; i < 10000; ++i) many.push_back(i % 4 == 0 ? 100 : 0);
  const Interval wide = bootstrap_mean(few), narrow = bootstrap_mean(many);
  EXPECT_LT(wide.low, 25);
  EXPECT_GT(wide.high, 25);
  // Of a share p of n: 1.96 sqrt(p (1 - p) / n) on each side.
  EXPECT_NEAR(wide.high - wide.low, 2 * 1.96 * 4.33, 2);
  EXPECT_NEAR(narrow.high - narrow.low, 2 * 1.96 * 0.433, 0.2);
  EXPECT_EQ(bootstrap_mean(few).low, wide.low);
  const Interval same = bootstrap_difference(few, few);
  EXPECT_EQ(same.low, 0);
  EXPECT_EQ(same.high, 0);
}

TEST(RankingTest, SaysWhatDoesNotFit) {
  const Vectors two{.dimensions = 2, .values = {1, 0, 0, 1}};
  const Vectors three{.dimensions = 3, .values = {1, 0, 0}};
  const auto nothing = [](int64_t) { return RankingQuery{}; };
  EXPECT_THROW(rank_gallery(two, three, nothing), InputError);
  EXPECT_THROW(rank_gallery(two, Vectors{.dimensions = 2, .values = {}}, nothing), InputError);
  EXPECT_THROW(rank_gallery(two, two, [](int64_t) { return RankingQuery{.positives = {2}}; }),
               InputError);
  EXPECT_TRUE(rank_gallery(Vectors{}, two, nothing).empty());
  const auto unknown = rank_gallery(two, two, nothing);
  EXPECT_EQ(unknown[0].best_rank, -1);
  EXPECT_EQ(unknown[0].top, (std::vector<int64_t>{0, 1}));
  Vectors broken{.dimensions = 2, .values = {1, std::nanf("")}};
  EXPECT_THROW(normalize(broken, "pictures"), InputError);
}

}  // namespace
}  // namespace e5v::detail
