// The protocol CIRR (e5v/eval/protocols/cirr.cpp), run as `e5v eval run cirr` runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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
  // Query 0 is nearest to its reference, then to p6 outside of the group, then to its target p2.
  FakeSystem system = cirr_system({9, 0, 5, 1, 0, 0, 7}, {0, 1, 0, 4, 8, 0, 0});
  const TaskReport report = evaluate("cirr", {{"data", folder.path()}}, system);
  EXPECT_EQ(report.task, "cirr");
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
  const TaskReport report = evaluate("cirr", {{"data", folder.path()}, {"split", "test1"}}, system);
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
  FakeSystem system = cirr_system({}, {});
  const auto error_of_data = [&] {
    return error_of([&] { evaluate("cirr", {{"data", folder.path()}}, system); });
  };
  EXPECT_THAT(error_of_data(), HasSubstr("looked for captions/cap.rc2.val.json"));
  write_cirr(folder, "val", true);
  const auto path = folder / "captions/cap.rc2.val.json";
  Json captions = read_json(path);
  captions[1]["pairid"] = 100;
  write_file(path, captions.dump());
  EXPECT_THAT(error_of_data(), HasSubstr("'100' twice"));
  captions[1]["pairid"] = 101;
  captions[1]["target_hard"] = "p9";
  write_file(path, captions.dump());
  EXPECT_THAT(error_of_data(), HasSubstr("pair 101 names 'p9'"));
  captions[1]["target_hard"] = 5;
  write_file(path, captions.dump());
  EXPECT_THAT(error_of_data(), HasSubstr("target_hard"));
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
  EXPECT_THAT(error_of([&] {
                evaluate("cirr", {{"data", folder.path()}}, system);
              }),
              HasSubstr("p3.png"));
  const TaskReport report =
      evaluate("cirr", {{"data", folder.path()}, {"on-error", "skip"}}, system);
  EXPECT_EQ(report.data["queries"], 1);
  EXPECT_EQ(report.data["gallery"], 6);
  EXPECT_EQ(report.skipped.size(), 1u);
}

}  // namespace
}  // namespace e5v::detail
