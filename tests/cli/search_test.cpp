#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/base/npy.h"
#include "e5v/base/random.h"
#include "tests/cli/run_program.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// `e5v index`, `search` and `collections` on the golden model, from outside.
class SearchCommandGoldenTest : public testing::Test {
 protected:
  const fs::path model_ = fs::path(E5V_SOURCE_DIR) / "tests/goldens/end_to_end_tiny";
  const TemporaryFolder folder_;
  const std::string collection_ = (folder_ / "c").native();

  ProgramResult index(const std::string& roots, const std::string& rest = "") const {
    return run_e5v("index " + roots + " --collection " + collection_ + " --model " +
                   model_.native() + " --json " + rest);
  }
  ProgramResult search(const std::string& query) const {
    return run_e5v("search --collection " + collection_ + " " + query);
  }
  std::string images() const { return (model_ / "images").native(); }
};

TEST_F(SearchCommandGoldenTest, FindsByWordsByAPictureAndByBoth) {
  const ProgramResult indexed = index(images());
  ASSERT_EQ(indexed.status, 0) << indexed.err;
  const int64_t num_items = Json::parse(indexed.out)["items"];
  EXPECT_GT(num_items, 2);
  EXPECT_EQ(Json::parse(index(images()).out)["embedded"], 0);

  const ProgramResult by_picture = search("--image " + images() + "/gray_40x60.png -k 2 --json");
  ASSERT_EQ(by_picture.status, 0) << by_picture.err;
  const Json results = Json::parse(by_picture.out)["results"];
  EXPECT_THAT(results[0]["path"].get<std::string>(), HasSubstr("gray_40x60.png"));
  EXPECT_NEAR(results[0]["score"].get<double>(), 1, 1e-5);
  EXPECT_EQ(results.size(), 2u);

  const ProgramResult paths = search("'a dog' --paths-only -k 100");
  EXPECT_EQ(std::count(paths.out.begin(), paths.out.end(), '\n'), num_items);
  EXPECT_EQ(search("'at night' --image " + images() + "/gray_40x60.png").status, 0);
  EXPECT_EQ(search("'a dog' --minus snow --plus grass --weight 2").status, 0);
  EXPECT_EQ(
      Json::parse(search("x --json --where \"path LIKE '%gray_40x60%'\"").out)["results"].size(),
      1u);
  EXPECT_EQ(search("'a <b>' --html " + (folder_ / "r.html").native()).status, 0);
  EXPECT_THAT(read_file(folder_ / "r.html"), HasSubstr("a &lt;b&gt;"));
}

TEST_F(SearchCommandGoldenTest, SaysWhatIsWrong) {
  EXPECT_EQ(run_e5v("index --collection " + collection_).status, 2);  // nothing to index
  EXPECT_EQ(index("/no/such/folder").status, 1);
  ASSERT_EQ(index(images()).status, 0);
  EXPECT_EQ(search("").status, 2);
  EXPECT_EQ(search("x -k 0").status, 2);
  const ProgramResult filter = search("x --where 'path = '");
  EXPECT_EQ(filter.status, 1);
  EXPECT_THAT(filter.err, HasSubstr("filter, column 8"));
  EXPECT_THAT(run_e5v("search --collection " + folder_.path().native() + " x").err,
              HasSubstr("holds no collection"));
  // Another model's vectors are refused.
  const std::string other = (folder_ / "other").native();
  ASSERT_EQ(run_e5v("random-model --preset tiny --output " + other).status, 0);
  const ProgramResult refused = search("x --model " + other);
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("was made with another"));
}

TEST_F(SearchCommandGoldenTest, FindsWhatIsLikeAnItem) {
  ASSERT_EQ(index(images()).status, 0);
  const Json results = Json::parse(search("'a dog' --json -k 100").out)["results"];
  const std::string id = std::to_string(results[1]["id"].get<int64_t>());
  const Json like = Json::parse(search("--item " + id + " --json").out);
  EXPECT_EQ(like["query"], "item " + id);
  EXPECT_EQ(like["results"][0]["id"], results[1]["id"]);
  EXPECT_NEAR(like["results"][0]["score"].get<double>(), 1, 1e-5);
  // With words, the item's picture is asked about as one that is given.
  const std::string picture = results[1]["path"];
  EXPECT_EQ(Json::parse(search("'at night' --json --item " + id).out)["results"],
            Json::parse(search("'at night' --json --image " + picture).out)["results"]);
  EXPECT_THAT(search("--item 1000").err, HasSubstr("there is no item 1000"));
  EXPECT_THAT(search("--item -1").err, HasSubstr("'item' is -1"));
}

TEST_F(SearchCommandGoldenTest, ParametersOfApproximateSearchAreKept) {
  const auto parameters = [&] {
    const Json info = Json::parse(run_e5v("collections info " + collection_ + " --json").out);
    return info["index"].get<std::string>() + " " + info["index_parameters"].dump();
  };
  ASSERT_EQ(index(images(), "--kind hnsw --hnsw-m 8 --hnsw-ef-search 20").status, 0);
  const std::string made = R"(hnsw-sq8 {"M":8,"efConstruction":200,"efSearch":20,"nprobe":0})";
  EXPECT_EQ(parameters(), made);
  ASSERT_EQ(index(images()).status, 0);
  EXPECT_EQ(parameters(), made);
  const ProgramResult bad = index(images(), "--hnsw-m 1");
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.err, HasSubstr("'M' is 1, expected 2 to 512"));
  const ProgramResult unused = index(images(), "--ivf-nprobe 3");
  EXPECT_EQ(unused.status, 2);
  EXPECT_THAT(unused.err, HasSubstr("--ivf-nprobe is for the index ivfpq, this one is hnsw-sq8"));
  EXPECT_EQ(parameters(), made);
  ASSERT_EQ(index(images(), "--kind ivfpq --ivf-nprobe 3 --hnsw-ef-search 20").status, 2);
  ASSERT_EQ(index(images(), "--hnsw-ef-search 40 --hnsw-ef-construction 100").status, 0);
  EXPECT_EQ(parameters(), R"(hnsw-sq8 {"M":8,"efConstruction":100,"efSearch":40,"nprobe":0})");
  EXPECT_THAT(run_e5v("collections info " + collection_).out,
              HasSubstr("index       hnsw-sq8, M 8, efConstruction 100, efSearch 40, "));
  EXPECT_EQ(search("'a dog'").status, 0);
}

TEST_F(SearchCommandGoldenTest, ACollectionIsSearchedInItsOwnPrecision) {
  ASSERT_EQ(index(images(), "--precision bf16").status, 0);
  EXPECT_EQ(search("x").status, 0);
  EXPECT_EQ(search("x --precision bf16").status, 0);
  const ProgramResult other = search("x --precision fp32");
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("another precision: bf16, now fp32; give --precision bf16"));
}

TEST_F(SearchCommandGoldenTest, CollectionsAreDescribedCheckedCompactedAndExported) {
  ASSERT_EQ(index(images()).status, 0);
  const auto run = [&](const std::string& action, const std::string& rest = "") {
    return run_e5v("collections " + action + " " + collection_ + " --json " + rest);
  };
  EXPECT_EQ(Json::parse(run("info").out)["dimensions"], 32);
  EXPECT_EQ(Json::parse(run("verify").out)["problems"], Json::array());
  EXPECT_EQ(run("compact").status, 0);
  const std::string to = (folder_ / "v").native();
  EXPECT_EQ(run("export", "--to " + to).status, 0);
  const NpyArray vectors(to + ".npy");
  EXPECT_EQ(vectors.shape()[1], 32);
  const std::string lines = read_file(to + ".jsonl");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), vectors.shape()[0]);
  EXPECT_EQ(run("export").status, 2);
  EXPECT_EQ(run("burn").status, 2);
}

/// Runs `e5v index` and kills it after `milliseconds`; false if it had ended.
bool index_and_kill(const fs::path& photos, const fs::path& model, const fs::path& collection,
                    useconds_t milliseconds) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(E5V_PROGRAM, "e5v", "index", photos.c_str(), "--collection", collection.c_str(),
            "--model", model.c_str(), "--quiet", "--threads", "1", nullptr);
    ::_exit(127);
  }
  ::usleep(milliseconds * 1000);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

TEST_F(SearchCommandGoldenTest, KilledTwentyTimesTheCollectionIsThatOfAnUndisturbedRun) {
  // Pictures that differ: copies with a byte more, which decoders pass over.
  const fs::path photos = folder_ / "photos";
  fs::create_directories(photos);
  std::vector<std::string> pictures;
  for (const fs::directory_entry& entry : fs::directory_iterator(images())) {
    if (entry.path().extension() == ".png") pictures.push_back(read_file(entry.path()));
  }
  for (size_t i = 0; i < 300; ++i) {
    write_file(photos / (std::to_string(i) + ".png"),
               pictures[i % pictures.size()] + std::to_string(i));
  }
  const std::string undisturbed = (folder_ / "undisturbed").native();
  ASSERT_EQ(run_e5v("index " + photos.native() + " --quiet --collection " + undisturbed +
                    " --model " + model_.native())
                .status,
            0);
  SplitMix64 random(7);
  int num_killed = 0;
  for (int round = 0; round < 20; ++round) {
    num_killed += index_and_kill(photos, model_, collection_, 20 + random.below(250)) ? 1 : 0;
    if (fs::exists(folder_ / "c" / "collection.db")) {
      ASSERT_EQ(run_e5v("collections verify " + collection_).status, 0);
    }
  }
  EXPECT_GT(num_killed, 5);
  ASSERT_EQ(index(photos.native()).status, 0);
  for (const auto& [from, to] : {std::pair(undisturbed, "a"), std::pair(collection_, "b")}) {
    ASSERT_EQ(run_e5v("collections export " + from + " --to " + (folder_ / to).native()).status, 0);
  }
  EXPECT_EQ(read_file(folder_ / "a.jsonl"), read_file(folder_ / "b.jsonl"));
  const NpyArray a(folder_ / "a.npy"), b(folder_ / "b.npy");
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_TRUE(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin()));
}

}  // namespace
}  // namespace e5v::detail
