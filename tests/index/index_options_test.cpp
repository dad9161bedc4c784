#include "e5v/index/index_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"
#include "tests/support/message_of.h"

namespace e5v::detail {
namespace {

using testing::HasSubstr;

TEST(IndexKindTest, SizeChoosesWhatAutoIs) {
  EXPECT_EQ(resolve(IndexKind::kAuto, 200'000), IndexKind::kFlat);
  EXPECT_EQ(resolve(IndexKind::kAuto, 200'001), IndexKind::kHnswSq8);
  EXPECT_EQ(resolve(IndexKind::kAuto, 2'000'001), IndexKind::kIvfPq);
  EXPECT_EQ(resolve(IndexKind::kFlat, 9'000'000), IndexKind::kFlat);
}

TEST(IndexKindTest, IsFoundByItsNameAndByTheFormerOne) {
  for (const IndexKind kind :
       {IndexKind::kAuto, IndexKind::kFlat, IndexKind::kHnswSq8, IndexKind::kIvfPq}) {
    EXPECT_EQ(find_index_kind(to_string(kind)), kind);
  }
  EXPECT_EQ(find_index_kind("hnsw"), IndexKind::kHnswSq8);
  EXPECT_THROW(find_index_kind("tree"), ConfigError);
}

TEST(IndexOptionsTest, AParameterOutOfItsRangeIsNamed) {
  const auto problem = [](const char* json) {
    IndexOptions options;
    return message_of<ConfigError>([&] { options.read_parameters(Json::parse(json)); });
  };
  EXPECT_EQ(problem(R"({"M": 1})"), "'M' is 1, expected 2 to 512");
  EXPECT_EQ(problem(R"({"efConstruction": 0})"), "'efConstruction' is 0, expected 1 to 10000");
  EXPECT_EQ(problem(R"({"efSearch": 1000000})"), "'efSearch' is 1000000, expected 1 to 100000");
  EXPECT_EQ(problem(R"({"nprobe": -1})"), "'nprobe' is -1, expected 0 to 1000000");
  EXPECT_THAT(problem(R"({"M": "many"})"), HasSubstr("'M' is \"many\""));
}

TEST(IndexOptionsTest, ParametersAreReadAsTheyWereWritten) {
  const IndexOptions written{.M = 8, .efConstruction = 40, .efSearch = 20, .nprobe = 3};
  IndexOptions read;
  read.read_parameters(written.parameters());
  EXPECT_EQ(read, written);
  read.read_parameters({{"efSearch", 21}});
  EXPECT_EQ(read.M, 8);
  EXPECT_EQ(read.efSearch, 21);
}

TEST(IndexOptionsTest, OnlyWhatBuildingDependsOnAsksForAnotherIndex) {
  const IndexOptions hnsw{.kind = IndexKind::kHnswSq8}, ivf{.kind = IndexKind::kIvfPq};
  IndexOptions other = hnsw;
  other.efSearch = 1;
  other.nprobe = 7;
  EXPECT_TRUE(hnsw.builds_as(other));
  other.M = 16;
  EXPECT_FALSE(hnsw.builds_as(other));
  other = hnsw;
  other.efConstruction = 100;
  EXPECT_FALSE(hnsw.builds_as(other));
  other.kind = IndexKind::kIvfPq;
  EXPECT_TRUE(ivf.builds_as(other));
  EXPECT_FALSE(ivf.builds_as(hnsw));
}

}  // namespace
}  // namespace e5v::detail
