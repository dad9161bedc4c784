#include "e5v/eval/composed_retrieval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "tests/eval/eval_support.h"

namespace e5v {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// Two CIRR queries in a group of six pictures, with a seventh outside.
void write_cirr(const TemporaryFolder& folder, const std::string& split, bool with_targets) {
  std::filesystem::create_directories(folder / "captions");
  std::filesystem::create_directories(folder / "image_splits");
  Json pictures = Json::object(), members = Json::array();
  std::string ordered = "{";
  for (const char* id : {"p6", "p5", "p4", "p3", "p2", "p1", "p0"}) {  // not in alphabetical order
    ordered += fmt::format("{}\"{}\": \"./dev/{}.png\"", ordered.size() > 1 ? "," : "", id, id);
    if (std::string(id) != "p6") members.push_back(id);
  }
  write_file(folder / ("image_splits/split.rc2." + split + ".json"), ordered + "}");
  Json captions = Json::array();
  for (int i = 0; i < 2; ++i) {
    Json entry = {{"pairid", 100 + i},
                  {"reference", fmt::format("p{}", i)},
                  {"caption", fmt::format("change {}", i)},
                  {"img_set", {{"members", members}}}};
    if (with_targets) entry["target_hard"] = fmt::format("p{}", i + 2);
    captions.push_back(entry);
  }
  write_file(folder / ("captions/cap.rc2." + split + ".json"), captions.dump());
}

/// Pictures p0 … p6 are the axes; each query's vector is given.
FakeSystem cirr_system(std::vector<float> first, std::vector<float> second) {
  return FakeSystem([=](const std::string& key) {
    if (key == "p0+change 0") return first;
    if (key == "p1+change 1") return second;
    return one_hot(static_cast<size_t>(key[1] - '0'), 7);
  });
}

TEST(CirrTest, MasksTheReferenceAndRanksTheSubsetWithoutIt) {
  const TemporaryFolder folder;
  write_cirr(folder, "val", true);
  ComposedSet set = load_cirr({.path = folder.path()});
  EXPECT_EQ(set.gallery.front().id, "p6");  // the file's order
  EXPECT_EQ(set.queries[0].subset.size(), 5u);
  // Query 0 is nearest to its reference, then to p6 outside of the group, then to its target p2.
  FakeSystem system = cirr_system({9, 0, 5, 1, 0, 0, 7}, {0, 1, 0, 4, 8, 0, 0});
  const TaskReport report = evaluate_cirr(system, std::move(set), {}, "val");
  EXPECT_EQ(report.find("cirr_recall@1")->value, 0);
  EXPECT_EQ(report.find("cirr_recall@5")->value, 100);
  EXPECT_EQ(report.find("cirr_subset_recall@1")->value, 50);  // p2 leads its group; p3 does not
  EXPECT_EQ(report.find("cirr_subset_recall@2")->value, 100);
  EXPECT_THAT(report.per_query.at("cirr_subset_recall@1"), ElementsAre(100, 0));
  EXPECT_EQ(report.examples.front().examples.front().image.id, "p0");
}

TEST(CirrTest, WritesTheServersFilesWhereThereAreNoTargets) {
  const TemporaryFolder folder;
  write_cirr(folder, "test1", false);
  FakeSystem system = cirr_system({9, 0, 5, 1, 0, 0, 7}, {0, 1, 0, 4, 8, 0, 0});
  const TaskReport report =
      evaluate_cirr(system, load_cirr({.path = folder.path(), .split = "test1"}), {}, "test1");
  EXPECT_TRUE(report.metrics.empty());
  const Json recall = Json::parse(report.files.at("cirr_recall.json"));
  EXPECT_EQ(recall["version"], "rc2");
  EXPECT_EQ(recall["metric"], "recall");
  EXPECT_EQ(recall["100"][0], "p6");
  EXPECT_EQ(recall["100"][1], "p2");
  EXPECT_EQ(recall["100"].size(), 7u);
  EXPECT_EQ(recall["100"].back(), "p0");  // masked, not removed
  const Json subset = Json::parse(report.files.at("cirr_recall_subset.json"));
  EXPECT_EQ(subset["metric"], "recall_subset");
  EXPECT_EQ(subset["100"].size(), 3u);
  EXPECT_EQ(subset["100"][0], "p2");
}

TEST(CirrTest, NamesIdsThatDoNotExistOrAreThereTwice) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { load_cirr({.path = folder.path()}); }),
              HasSubstr("looked for captions/cap.rc2.val.json"));
  write_cirr(folder, "val", true);
  const auto path = folder / "captions/cap.rc2.val.json";
  Json captions = read_json(path);
  captions[1]["pairid"] = 100;
  write_file(path, captions.dump());
  EXPECT_THAT(error_of([&] { load_cirr({.path = folder.path()}); }), HasSubstr("'100' twice"));
  captions[1]["pairid"] = 101;
  captions[1]["target_hard"] = "p9";
  write_file(path, captions.dump());
  EXPECT_THAT(error_of([&] { load_cirr({.path = folder.path()}); }),
              HasSubstr("pair 101 names 'p9'"));
  captions[1]["target_hard"] = 5;
  write_file(path, captions.dump());
  EXPECT_THAT(error_of([&] { load_cirr({.path = folder.path()}); }), HasSubstr("target_hard"));
}

TEST(CirrTest, AQueryWhoseTargetIsMissingIsLeftOut) {
  const TemporaryFolder folder;
  write_cirr(folder, "val", true);
  for (const char* id : {"p0", "p1", "p2", "p4", "p5", "p6"}) {
    draw_picture(folder / ("dev/" + std::string(id) + ".png"));
  }
  FakeSystem system(
      [](const std::string& key) { return one_hot(static_cast<size_t>(key[1] - '0'), 7); },
      /*needs_images=*/true);
  EXPECT_THAT(
      error_of([&] { evaluate_cirr(system, load_cirr({.path = folder.path()}), {}, "val"); }),
      HasSubstr("p3.png"));
  ComposedOptions options;
  options.on_missing = OnMissing::kSkip;
  const TaskReport report =
      evaluate_cirr(system, load_cirr({.path = folder.path()}), options, "val");
  EXPECT_EQ(report.data["queries"], 1);
  EXPECT_EQ(report.data["gallery"], 6);
  EXPECT_EQ(report.skipped.size(), 1u);
}

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
  const TaskReport report = evaluate_fashioniq(system, {.path = folder.path()}, {});
  EXPECT_THAT(seen, testing::Contains("dress0+is red+longer"));
  EXPECT_EQ(report.find("fashioniq_dress_recall@10")->value, 0);
  EXPECT_EQ(report.find("fashioniq_dress_recall@50")->value, 100);
  EXPECT_EQ(report.find("fashioniq_shirt_recall@10")->value, 100);
  EXPECT_EQ(report.find("fashioniq_toptee_recall@50")->value, 0);
  EXPECT_NEAR(report.find("fashioniq_mean_recall@50")->value, 200.0 / 3, 1e-9);
  EXPECT_EQ(report.data["categories"]["toptee"]["gallery"], 60);
}

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
  const TaskReport report = evaluate_circo(system, load_circo({.path = folder.path()}), {}, "val");
  // Right ones at places 2 and 12 (of 60; the third is at 55): 1/2 of min(3, k).
  EXPECT_NEAR(report.find("circo_map@5")->value, 100 * 0.5 / 3, 1e-9);
  EXPECT_NEAR(report.find("circo_map@25")->value, 100 * (0.5 + 2.0 / 12) / 3, 1e-9);
  EXPECT_NEAR(report.find("circo_map@50")->value, 100 * (0.5 + 2.0 / 12) / 3, 1e-9);
  EXPECT_EQ(report.find("circo_recall@10")->value, 0);
  EXPECT_EQ(report.find("circo_recall@25")->value, 100);

  query.erase("target_img_id");
  query.erase("gt_img_ids");
  write_file(folder / "annotations/test.json", Json{query}.dump());
  const TaskReport test =
      evaluate_circo(system, load_circo({.path = folder.path(), .split = "test"}), {}, "test");
  const Json submission = Json::parse(test.files.at("circo_submission.json"));
  EXPECT_EQ(submission["0"].size(), 50u);
  EXPECT_EQ(submission["0"][1], 2);
}

}  // namespace
}  // namespace e5v
