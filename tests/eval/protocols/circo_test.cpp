// The protocol CIRCO (e5v/eval/protocols/circo.cpp), run as `e5v eval run circo` runs it.
#include <gtest/gtest.h>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

TEST(CircoTest, AveragesPrecisionOverAllRightAnswersAndRecallsTheTarget) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "annotations");
  Json images = Json::array();
  for (int i = 1; i <= 60; ++i) images.push_back({{"id", i}});
  write_file(folder / "annotations/image_info_unlabeled2017.json", Json{{"images", images}}.dump());
  Json query = {{"id", 0},
                {"reference_img_id", 1},
                {"relative_caption", "change"},
                {"target_img_id", 12},
                {"gt_img_ids", {12, 2, 55}}};
  write_file(folder / "annotations/val.json", Json{query}.dump());
  FakeSystem system([](const std::string& key) {
    if (key == "1+change") {  // ranks the pictures by their number
      std::vector<float> vector(60);
      for (size_t i = 0; i < 60; ++i) vector[i] = static_cast<float>(60 - i);
      return vector;
    }
    return one_hot(std::stoul(key) - 1, 60);
  });
  const TaskReport report = evaluate("circo", {{"data", folder.path()}}, system);
  // Right ones at places 2 and 12 (of 60; the third is at 55): 1/2 of min(3, k).
  EXPECT_NEAR(report.find("circo_map@5")->value, 100 * 0.5 / 3, 1e-9);
  EXPECT_NEAR(report.find("circo_map@25")->value, 100 * (0.5 + 2.0 / 12) / 3, 1e-9);
  EXPECT_NEAR(report.find("circo_map@50")->value, 100 * (0.5 + 2.0 / 12) / 3, 1e-9);
  EXPECT_EQ(report.find("circo_recall@10")->value, 0);
  EXPECT_EQ(report.find("circo_recall@25")->value, 100);

  query.erase("target_img_id");
  query.erase("gt_img_ids");
  write_file(folder / "annotations/test.json", Json{query}.dump());
  const TaskReport test = evaluate("circo", {{"data", folder.path()}, {"split", "test"}}, system);
  const Json submission = Json::parse(test.files.at("circo_submission.json"));
  EXPECT_EQ(submission["0"].size(), 50u);
  EXPECT_EQ(submission["0"][1], 2);
}

}  // namespace
}  // namespace e5v::detail
