// The protocol FashionIQ (e5v/eval/protocols/fashioniq.cpp), run as `e5v eval run fashioniq` runs
// it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

TEST(FashionIqTest, RanksAmongTheCategorysOwnPicturesAndStripsCaptions) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "captions");
  std::filesystem::create_directories(folder / "image_splits");
  for (const std::string category : {"dress", "shirt", "toptee"}) {
    Json split = Json::array();
    for (int i = 0; i < 60; ++i) split.push_back(fmt::format("{}{}", category, i));
    write_file(folder / ("image_splits/split." + category + ".val.json"), split.dump());
    const Json captions = {{{"target", category + "30"},
                            {"candidate", category + "0"},
                            {"captions", {" is red. ", "longer?"}}}};
    write_file(folder / ("captions/cap." + category + ".val.json"), captions.dump());
  }
  std::vector<std::string> seen;
  FakeSystem system([&](const std::string& key) {
    seen.push_back(key);
    // The target is the 31st best for dresses, the best for shirts, the last for toptees.
    if (key.ends_with("+is red+longer")) {
      std::vector<float> query(60);
      for (size_t i = 0; i < 60; ++i) query[i] = static_cast<float>(60 - i);
      if (key.starts_with("shirt")) query[30] = 100;
      if (key.starts_with("toptee")) query[30] = -1;
      return query;
    }
    return one_hot(std::stoul(key.substr(key.find_first_of("0123456789"))), 60);
  });
  const TaskReport report = evaluate("fashioniq", {{"data", folder.path()}}, system);
  EXPECT_THAT(seen, testing::Contains("dress0+is red+longer"));
  EXPECT_EQ(report.find("fashioniq_dress_recall@10")->value, 0);
  EXPECT_EQ(report.find("fashioniq_dress_recall@50")->value, 100);
  EXPECT_EQ(report.find("fashioniq_shirt_recall@10")->value, 100);
  EXPECT_EQ(report.find("fashioniq_toptee_recall@50")->value, 0);
  EXPECT_NEAR(report.find("fashioniq_mean_recall@50")->value, 200.0 / 3, 1e-9);
  EXPECT_EQ(report.data["categories"]["toptee"]["gallery"], 60);
}

}  // namespace
}  // namespace e5v::detail
