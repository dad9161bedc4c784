// The data sets as their owners publish them, to the numbers that their papers state.
#include <gtest/gtest.h>

#include <set>

#include "e5v/eval/composed_retrieval.h"
#include "e5v/eval/retrieval.h"
#include "e5v/eval/sts.h"
#include "tests/eval/eval_support.h"

namespace e5v {
namespace {

TEST(DatasetsTest, CirrHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("cir/cirr");
  const ComposedSet val = load_cirr({.path = shared_data("cir/cirr")});
  EXPECT_EQ(val.queries.size(), 4181u);
  EXPECT_EQ(val.gallery.size(), 2297u);
  EXPECT_EQ(val.gallery.front().id, "dev-244-0-img0");
  for (const ComposedItem& item : val.queries) ASSERT_EQ(item.subset.size(), 5u) << item.id;
  const ComposedSet test = load_cirr({.path = shared_data("cir/cirr"), .split = "test1"});
  EXPECT_EQ(test.queries.size(), 4148u);
  EXPECT_EQ(test.gallery.size(), 2315u);
  EXPECT_TRUE(test.queries.front().targets.empty());
}

TEST(DatasetsTest, FashionIqHasItsPublishedSizes) {
  E5V_NEEDS_SHARED_DATA("cir/fashioniq");
  const ComposedData data{.path = shared_data("cir/fashioniq")};
  const auto queries = [&](const char* category) {
    return load_fashioniq(data, category).queries.size();
  };
  EXPECT_EQ(queries("dress"), 2017u);
  EXPECT_EQ(queries("shirt"), 2038u);
  EXPECT_EQ(queries("toptee"), 1961u);
  EXPECT_EQ(load_fashioniq(data, "dress").gallery.size(), 3817u);
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
  EXPECT_EQ(load_circo({.path = folder.path()}).queries.size(), 220u);
  EXPECT_EQ(load_circo({.path = folder.path(), .split = "test"}).queries.size(), 800u);
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
  std::vector<size_t> counts;
  for (const StsTask& task : load_sts(shared_data("sts"))) counts.push_back(task.num_pairs());
  EXPECT_EQ(counts, (std::vector<size_t>{3108, 1500, 3750, 3000, 1186, 1379, 4927}));
}

}  // namespace
}  // namespace e5v
