// The data sets as their owners publish them, to the numbers that their papers state.
#include <gtest/gtest.h>

#include <set>

#include "e5v/eval/retrieval.h"
#include "tests/eval/eval_support.h"

namespace e5v::detail {
namespace {

/// What the protocol says about its data; the vectors are all one.
Json counts_of(const std::string& protocol, const OptionValues& options) {
  FakeSystem system([](const std::string&) { return std::vector<float>{1}; });
  return evaluate(protocol, options, system).data;
}

TEST(DatasetsTest, CirrHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("cir/cirr");
  const Json val = counts_of("cirr", {{"data", shared_data("cir/cirr")}});
  EXPECT_EQ(val["queries"], 4181);
  EXPECT_EQ(val["gallery"], 2297);
  const Json test = counts_of("cirr", {{"data", shared_data("cir/cirr")}, {"split", "test1"}});
  EXPECT_EQ(test["queries"], 4148);
  EXPECT_EQ(test["gallery"], 2315);
}

TEST(DatasetsTest, FashionIqHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("cir/fashioniq");
  const Json counts =
      counts_of("fashioniq", {{"data", shared_data("cir/fashioniq")}})["categories"];
  EXPECT_EQ(counts["dress"]["queries"], 2017);
  EXPECT_EQ(counts["shirt"]["queries"], 2038);
  EXPECT_EQ(counts["toptee"]["queries"], 1961);
  EXPECT_EQ(counts["dress"]["gallery"], 3817);
}

TEST(DatasetsTest, CircoHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("cir/circo");
  // Its gallery is all of COCO's unlabeled2017; here those that its annotations name.
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "annotations");
  for (const char* split : {"val", "test"}) {
    const std::string name = fmt::format("annotations/{}.json", split);
    std::filesystem::copy_file(shared_data("cir/circo") / name, folder / name);
  }
  std::set<int64_t> ids;
  for (const char* split : {"val", "test"}) {
    for (const Json& query : read_json(folder / fmt::format("annotations/{}.json", split))) {
      ids.insert(query["reference_img_id"].get<int64_t>());
      for (const Json& id : query.value("gt_img_ids", Json::array())) ids.insert(id.get<int64_t>());
    }
  }
  Json images = Json::array();
  for (const int64_t id : ids) images.push_back({{"id", id}});
  write_file(folder / "annotations/image_info_unlabeled2017.json", Json{{"images", images}}.dump());
  EXPECT_EQ(counts_of("circo", {{"data", folder.path()}})["queries"], 220);
  EXPECT_EQ(counts_of("circo", {{"data", folder.path()}, {"split", "test"}})["queries"], 800);
}

TEST(DatasetsTest, CocoHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("retrieval/coco/captions_val2017.json");
  RetrievalData data{.path = shared_data("retrieval/coco"), .captions_per_image = 0};
  const RetrievalSet all = load_retrieval(data);
  EXPECT_EQ(all.images.size(), 5000u);
  EXPECT_EQ(all.captions.size(), 25014u);
  data.captions_per_image = 5;
  EXPECT_EQ(load_retrieval(data).captions.size(), 25000u);
}

TEST(DatasetsTest, StsHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("sts");
  const Json expected = {{"sts12", 3108}, {"sts13", 1500}, {"sts14", 3750}, {"sts15", 3000},
                         {"sts16", 1186}, {"stsb", 1379},  {"sickr", 4927}};
  EXPECT_EQ(counts_of("sts", {{"data", shared_data("sts")}})["pairs"], expected);
}

}  // namespace
}  // namespace e5v::detail
