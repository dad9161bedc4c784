#include "e5v/eval/retrieval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "tests/eval/eval_support.h"
#include "tests/eval/small_retrieval_set.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Twelve pictures with two captions each, and vectors that give each query a rank which is known.
/// Picture i is axis i. The first caption of picture i scores highest with pictures 0, 1, … in that
/// order, so that picture i is at place i; the second one scores highest with its own picture.
RetrievalSet ranked_set() {
  RetrievalSet set;
  for (int i = 0; i < 12; ++i) {
    set.images.push_back({.id = fmt::format("image {}", i), .path = {}, .drawn_text = {}});
    for (const char* which : {"first", "second"}) {
      set.captions.push_back(fmt::format("{} {}", which, i));
      set.image_of_caption.push_back(i);
    }
  }
  return set;
}
std::vector<float> ranked_vector(const std::string& key) {
  const size_t i = std::stoul(key.substr(key.find(' ')));
  std::vector<float> vector(12);
  if (key.starts_with("first")) {
    for (size_t d = 0; d < 12; ++d) vector[d] = static_cast<float>(100 - d);
  } else {
    vector[i] = 1;
  }
  return vector;
}

TEST(EvaluateRetrievalTest, CountsAnyRightAnswerInTheTopInBothDirections) {
  FakeSystem system(ranked_vector);
  const TaskReport report = evaluate_retrieval(system, ranked_set(), {});
  // Of the 24 captions 12 are at place 0 and one at each of 0 … 11.
  EXPECT_NEAR(report.find("image_retrieval_recall@1")->value, 100 * 13 / 24.0, 1e-9);
  EXPECT_NEAR(report.find("image_retrieval_recall@5")->value, 100 * 17 / 24.0, 1e-9);
  EXPECT_NEAR(report.find("image_retrieval_recall@10")->value, 100 * 22 / 24.0, 1e-9);
  // Each picture's own second caption scores 1 with it, all else less.
  EXPECT_NEAR(report.find("text_retrieval_recall@1")->value, 100, 1e-9);
  const std::vector<double>& hits = report.per_query.at("image_retrieval_recall@5");
  ASSERT_EQ(hits.size(), 24u);
  EXPECT_EQ(hits[2 * 4], 100);  // at place 4
  EXPECT_EQ(hits[2 * 5], 0);
  EXPECT_EQ(report.data["captions"], 24);
  // The worst query comes first, with the picture that it should have found.
  const RetrievalExample& worst = report.examples.front().examples.front();
  EXPECT_EQ(worst.text, "first 11");
  EXPECT_EQ(worst.rank, 11);
  ASSERT_EQ(worst.expected.size(), 1u);
  EXPECT_EQ(worst.expected[0].image.id, "image 11");
}

TEST(EvaluateRetrievalTest, APictureIsFoundByTheBestOfItsCaptionsNotByTheFirst) {
  // Both captions of picture 0 lie nearer to picture 1, the second one less so; picture 1 has one.
  RetrievalSet set;
  set.images = {{.id = "0", .path = {}, .drawn_text = {}},
                {.id = "1", .path = {}, .drawn_text = {}}};
  set.captions = {"0 first", "0 second", "1 only"};
  set.image_of_caption = {0, 0, 1};
  FakeSystem system([](const std::string& key) -> std::vector<float> {
    if (key == "0") return {1, 0, 0};
    if (key == "1") return {0, 1, 0};
    if (key == "0 first") return {0.1f, 1, 0};
    if (key == "0 second") return {0.6f, 0.8f, 0};
    return {0.3f, 0, 1};  // of picture 1, with which it has nothing in common
  });
  const TaskReport report = evaluate_retrieval(system, set, {});
  // Picture 0 finds its second caption first; picture 1 finds its own last of three.
  EXPECT_EQ(report.per_query.at("text_retrieval_recall@1"), (std::vector<double>{100, 0}));
  EXPECT_EQ(report.histograms[1].ranks, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(report.find("image_retrieval_recall@1")->value, 0);
}

TEST(EvaluateRetrievalTest, DrawnCaptionsAreEmbeddedAsPictures) {
  std::vector<std::string> seen;
  FakeSystem system([&](const std::string& key) {
    seen.push_back(key);
    return mostly_right(key);
  });
  RetrievalOptions options;
  options.draw_captions = true;
  evaluate_retrieval(system, small_set(), options);
  EXPECT_THAT(seen, testing::Contains("drawn:caption00"));
  EXPECT_THAT(seen, testing::Not(testing::Contains("caption00")));
}

TEST(EvaluateRetrievalTest, MissingPicturesAreListedAllAtOnceOrLeftOut) {
  FakeSystem system(mostly_right, /*needs_images=*/true);
  const TemporaryFolder folder;
  RetrievalSet set = small_set();
  draw_picture(folder / "1.png");
  set.images[1].path = folder / "1.png";
  const std::string error = error_of([&] { evaluate_retrieval(system, set, {}); });
  EXPECT_THAT(error, HasSubstr("2 pictures are missing"));
  EXPECT_THAT(error, HasSubstr("/nowhere/image0, /nowhere/image2"));
  RetrievalOptions options;
  options.on_missing = OnMissing::kSkip;
  const TaskReport report = evaluate_retrieval(system, set, options);
  EXPECT_EQ(report.skipped.size(), 2u);
  EXPECT_EQ(report.data["images"], 1);
  EXPECT_EQ(report.data["captions"], 2);
}

TEST(EvaluateRetrievalTest, WhatCannotBeEmbeddedIsListedOrLeftOut) {
  FakeSystem system([](const std::string& key) {
    return key == "image1" ? std::vector<float>() : mostly_right(key);
  });
  EXPECT_THAT(error_of([&] { evaluate_retrieval(system, small_set(), {}); }),
              HasSubstr("image1 (the picture is damaged)"));
  RetrievalOptions options;
  options.on_missing = OnMissing::kSkip;
  const TaskReport report = evaluate_retrieval(system, small_set(), options);
  EXPECT_EQ(report.data["captions"], 4);
  EXPECT_EQ(report.find("text_retrieval_recall@1")->value, 100);
}

}  // namespace
}  // namespace e5v::detail
